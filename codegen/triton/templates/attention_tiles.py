"""What attention's kernels share: the numbers of a call, and tiles of a head in memory.

The numbers are an example: `attention.py` writes those of its call into their place. A program
works on one head, and there on a block of queries or of keys. Scores are query key^T SCALE SIGN;
a mask is added to them or, as bytes, says where to look. `_STRIDES` are those of the leading axes
and of the rows (of `mask` also of the columns); the last stride of all other operands is 1.
"""

# pyright: basic
# pyright: reportGeneralTypeIssues=false, reportArgumentType=false
# (Triton's annotations are not about what its functions take inside of kernels.)

import triton
import triton.language as tl

# Leading axes, and how many heads they have in all.
SIZES = tl.constexpr((2, 4))
RANK = tl.constexpr(2)
HEADS = tl.constexpr(8)
# L queries of width E look at S keys, with values of width EV.
L = tl.constexpr(100)
S = tl.constexpr(100)
E = tl.constexpr(32)
EV = tl.constexpr(32)
SCALE = tl.constexpr(0.125)
SIGN = tl.constexpr(1)
CAUSAL = tl.constexpr(True)
HAS_MASK = tl.constexpr(False)
MASK_ADDS = tl.constexpr(False)
PRECISION = tl.constexpr("tf32")
# Whether an offset within a head needs 64 bits.
WIDE = tl.constexpr(False)
BLOCK_M = tl.constexpr(64)
BLOCK_N = tl.constexpr(64)
BLOCK_E = tl.constexpr(32)
BLOCK_EV = tl.constexpr(32)
# What a second part of the keys holds, of a head whose keys are at most two blocks.
REST_N = tl.constexpr(0)
QUERY_STRIDES = tl.constexpr((12800, 3200, 32))
KEY_STRIDES = tl.constexpr((12800, 3200, 32))
VALUE_STRIDES = tl.constexpr((12800, 3200, 32))
OUT_STRIDES = tl.constexpr((12800, 3200, 32))
LOGSUMEXP_STRIDES = tl.constexpr((400, 100, 1))
MASK_STRIDES = tl.constexpr((0, 0, 100, 1))
GRAD_STRIDES = tl.constexpr((12800, 3200, 32))
QUERY_GRAD_STRIDES = tl.constexpr((12800, 3200, 32))
KEY_GRAD_STRIDES = tl.constexpr((12800, 3200, 32))
VALUE_GRAD_STRIDES = tl.constexpr((12800, 3200, 32))
# Where gradients start in the tensor that they are written to.
QUERY_GRAD_START = tl.constexpr(0)
KEY_GRAD_START = tl.constexpr(0)
VALUE_GRAD_START = tl.constexpr(0)

BLOCKS_M = tl.constexpr(-(-L.value // BLOCK_M.value))
CHECK_M = tl.constexpr(L.value % BLOCK_M.value != 0)
CHECK_N = tl.constexpr((S.value - REST_N.value) % BLOCK_N.value != 0 or S.value == 0)
CHECK_E = tl.constexpr(E.value != BLOCK_E.value)
CHECK_EV = tl.constexpr(EV.value != BLOCK_EV.value)
# Queries before this one see nothing of a second part of the keys.
FIRST = tl.constexpr(BLOCK_N.value // BLOCK_M.value * BLOCK_M.value if CAUSAL.value else 0)
ALONE = tl.constexpr(min(FIRST.value, L.value) if REST_N.value else L.value)
# Whether some queries see whole blocks of keys, of which nothing need be checked.
SEES_BLOCKS = tl.constexpr(
    S.value >= BLOCK_N.value and not (CAUSAL.value and BLOCK_M.value >= L.value)
)
LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)
# Exponentials are powers of two. A mask is added to scores that have been scaled for that; others
# are scaled by UNIT as they go in.
FACTOR = tl.constexpr(SCALE.value * LOG2_E.value)
UNIT = tl.constexpr(1.0 if MASK_ADDS.value else FACTOR.value)


@triton.jit
def head_offset(head, STRIDES):
    """Elements from head 0 to `head`."""
    rest = head.to(tl.int64)
    offset = rest * 0
    for axis in tl.static_range(RANK - 1, -1, -1):
        offset += rest % SIZES[axis] * STRIDES[axis]
        rest = rest // SIZES[axis]
    return offset


@triton.jit
def positions(start, SIZE: tl.constexpr):
    """`SIZE` positions from `start` on."""
    at = tl.arange(0, SIZE) + start
    return at.to(tl.int64) if WIDE else at


@triton.jit
def load_tile(head, rows, columns, STRIDE, ROWS, COLUMNS, CHECK: tl.constexpr):
    """Elements (rows, columns) of a head, 0 outside of ROWS and COLUMNS."""
    at = head + rows[:, None] * STRIDE + columns[None, :]
    if CHECK:
        tile = tl.load(at, mask=(rows < ROWS)[:, None] & (columns < COLUMNS)[None, :], other=0.0)
    else:
        tile = tl.load(at)
    return tile


@triton.jit
def store_tile(head, tile, rows, columns, STRIDE, ROWS, COLUMNS, CHECK: tl.constexpr):
    """Writes those elements (rows, columns) that a head has."""
    at = head + rows[:, None] * STRIDE + columns[None, :]
    tile = tile.to(head.dtype.element_ty)
    if CHECK:
        tl.store(at, tile, mask=(rows < ROWS)[:, None] & (columns < COLUMNS)[None, :])
    else:
        tl.store(at, tile)


@triton.jit
def load_query(query, rows, e):
    """A block of queries, with the sign of the scale."""
    q = load_tile(query, rows, e, QUERY_STRIDES[RANK], L, E, CHECK_M or CHECK_E)
    if SIGN != 1:
        q = (q * SIGN).to(q.dtype)
    return q


@triton.jit
def load_shift(logsumexp, rows):
    """What is taken from the scores of queries in powers of two: 0 where they look nowhere."""
    at = logsumexp + rows * LOGSUMEXP_STRIDES[RANK]
    shift = tl.load(at, mask=rows < L, other=0.0)
    return tl.where(shift == float("-inf"), 0.0, shift) * LOG2_E


@triton.jit
def masked(scores, rows, columns, mask, DIAGONAL: tl.constexpr, RAGGED: tl.constexpr):
    """Scores of `rows` for `columns` (which broadcast), -inf where a query does not look.

    The diagonal and the end of the keys are looked for where DIAGONAL and RAGGED say so.
    """
    if HAS_MASK:
        inside = (rows < L) & (columns < S)
        at = mask + rows * MASK_STRIDES[RANK] + columns * MASK_STRIDES[RANK + 1]
        given = tl.load(at, mask=inside, other=0)
        if MASK_ADDS:
            scores = scores * FACTOR + given.to(tl.float32) * LOG2_E
        else:
            scores = tl.where(given != 0, scores, float("-inf"))
    if DIAGONAL:
        scores = tl.where(columns <= rows, scores, float("-inf"))
    if RAGGED:
        scores = tl.where(columns < S, scores, float("-inf"))
    return scores


@triton.jit
def first_unchecked(block):
    """Keys before this one are seen by all queries of a block and in whole blocks of keys."""
    whole = S // BLOCK_N * BLOCK_N
    return tl.minimum(block * BLOCK_M // BLOCK_N * BLOCK_N, whole) if CAUSAL else whole
