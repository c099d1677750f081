"""Attention without the matrix of scores (FlashAttention-2, Dao 2023), forward and backward.

The numbers below are an example: `attention.py` writes those of its call into this text. A program
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
def attend(total, acc, top, q, key, value, mask, rows, start, end, CHECK: tl.constexpr):
    """Adds keys `start` to `end` to the sums of a block of queries, relative to the `top` score."""
    e, ev = tl.arange(0, BLOCK_E), tl.arange(0, BLOCK_EV)
    for first in range(start, end, BLOCK_N):
        columns = positions(first, BLOCK_N)
        k = load_tile(key, columns, e, KEY_STRIDES[RANK], S, E, CHECK or CHECK_E)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        scores = masked(
            scores, rows[:, None], columns[None, :], mask, CHECK and CAUSAL, CHECK and CHECK_N
        )
        higher = tl.maximum(top, tl.max(scores, axis=1) * UNIT)
        # A row that has looked nowhere yet has weights 0, not exp2(-inf + inf).
        shift = tl.where(higher == float("-inf"), 0.0, higher)
        weights = tl.exp2(scores * UNIT - shift[:, None])
        shrink = tl.exp2(top - shift)
        total = total * shrink + tl.sum(weights, axis=1)
        v = load_tile(value, columns, ev, VALUE_STRIDES[RANK], S, EV, CHECK or CHECK_EV)
        acc = acc * shrink[:, None]
        acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)
        top = higher
    return total, acc, top


@triton.jit
def first_unchecked(block):
    """Keys before this one are seen by all queries of a block and in whole blocks of keys."""
    whole = S // BLOCK_N * BLOCK_N
    return tl.minimum(block * BLOCK_M // BLOCK_N * BLOCK_N, whole) if CAUSAL else whole


@triton.jit
def attention_forward(query, key, value, mask, out, logsumexp):
    """A block of queries; the last blocks go first, since causal ones look at the most keys."""
    head = tl.program_id(0) % HEADS
    block = -(tl.program_id(0) // HEADS) + (BLOCKS_M - 1)
    key += head_offset(head, KEY_STRIDES)
    value += head_offset(head, VALUE_STRIDES)
    if HAS_MASK:
        mask += head_offset(head, MASK_STRIDES)
    rows = positions(block * BLOCK_M, BLOCK_M)
    e, ev = tl.arange(0, BLOCK_E), tl.arange(0, BLOCK_EV)
    q = load_query(query + head_offset(head, QUERY_STRIDES), rows, e)

    top = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_EV], tl.float32)
    start = 0
    end = tl.minimum((block + 1) * BLOCK_M, S) if CAUSAL else S
    if SEES_BLOCKS:
        start = first_unchecked(block)
        total, acc, top = attend(total, acc, top, q, key, value, mask, rows, 0, start, False)
    if CAUSAL or CHECK_N:
        total, acc, top = attend(total, acc, top, q, key, value, mask, rows, start, end, True)

    result = acc / tl.where(total == 0, 1.0, total)[:, None]
    out += head_offset(head, OUT_STRIDES)
    store_tile(out, result, rows, ev, OUT_STRIDES[RANK], L, EV, CHECK_M or CHECK_EV)
    logsumexp += head_offset(head, LOGSUMEXP_STRIDES) + rows * LOGSUMEXP_STRIDES[RANK]
    shift = tl.where(top == float("-inf"), 0.0, top)
    tl.store(logsumexp, (shift + tl.log2(total)) * LN_2, mask=rows < L)


@triton.jit
def sum_along(g, out, rows, ev):
    """The sum over each row of the gradient times the result."""
    o = load_tile(out, rows, ev, OUT_STRIDES[RANK], L, EV, CHECK_M or CHECK_EV)
    return tl.sum(g.to(tl.float32) * o.to(tl.float32), axis=1)


@triton.jit
def attention_backward_whole(
    grad, query, key, value, out, logsumexp, mask, query_grad, key_grad, value_grad
):
    """All of a head whose keys are a block or two: a score is computed once for all gradients."""
    head = tl.program_id(0)
    grad += head_offset(head, GRAD_STRIDES)
    query += head_offset(head, QUERY_STRIDES)
    key += head_offset(head, KEY_STRIDES)
    value += head_offset(head, VALUE_STRIDES)
    out += head_offset(head, OUT_STRIDES)
    logsumexp += head_offset(head, LOGSUMEXP_STRIDES)
    query_grad += head_offset(head, QUERY_GRAD_STRIDES) + QUERY_GRAD_START
    if HAS_MASK:
        mask += head_offset(head, MASK_STRIDES)
    columns = positions(0, BLOCK_N)
    k, v, k_grad, v_grad = load_keys(key, value, columns, BLOCK_N)
    for first in range(0, ALONE, BLOCK_M):
        rows = positions(first, BLOCK_M)
        q, g, along, shift = load_queries(query, grad, out, logsumexp, rows)
        q_grad = tl.zeros([BLOCK_M, BLOCK_E], tl.float32)
        q_grad, k_grad, v_grad = pair_gradients(
            q_grad, k_grad, v_grad, q, g, along, shift, k, v, mask, rows, columns, CAUSAL
        )
        store_query_gradient(query_grad, q_grad, rows)
    if REST_N:
        more = positions(BLOCK_N, REST_N)
        k2, v2, k2_grad, v2_grad = load_keys(key, value, more, REST_N)
        for first in range(ALONE, L, BLOCK_M):
            rows = positions(first, BLOCK_M)
            q, g, along, shift = load_queries(query, grad, out, logsumexp, rows)
            q_grad = tl.zeros([BLOCK_M, BLOCK_E], tl.float32)
            q_grad, k_grad, v_grad = pair_gradients(
                q_grad, k_grad, v_grad, q, g, along, shift, k, v, mask, rows, columns,
                CAUSAL and BLOCK_M > BLOCK_N,
            )  # fmt: skip
            q_grad, k2_grad, v2_grad = pair_gradients(
                q_grad, k2_grad, v2_grad, q, g, along, shift, k2, v2, mask, rows, more, CAUSAL
            )
            store_query_gradient(query_grad, q_grad, rows)
        store_key_gradients(key_grad, value_grad, k2_grad, v2_grad, head, more)
    store_key_gradients(key_grad, value_grad, k_grad, v_grad, head, columns)


@triton.jit
def load_keys(key, value, columns, SIZE: tl.constexpr):
    """A block of keys, their values, and sums for the gradients of both."""
    e, ev = tl.arange(0, BLOCK_E), tl.arange(0, BLOCK_EV)
    k = load_tile(key, columns, e, KEY_STRIDES[RANK], S, E, CHECK_N or CHECK_E)
    v = load_tile(value, columns, ev, VALUE_STRIDES[RANK], S, EV, CHECK_N or CHECK_EV)
    k_grad, v_grad = tl.zeros([SIZE, BLOCK_E], tl.float32), tl.zeros([SIZE, BLOCK_EV], tl.float32)
    return k, v, k_grad, v_grad


@triton.jit
def load_queries(query, grad, out, logsumexp, rows):
    """A block of queries, its gradient, the sums along that, and what is taken from its scores."""
    e, ev = tl.arange(0, BLOCK_E), tl.arange(0, BLOCK_EV)
    q = load_query(query, rows, e)
    g = load_tile(grad, rows, ev, GRAD_STRIDES[RANK], L, EV, CHECK_M or CHECK_EV)
    return q, g, sum_along(g, out, rows, ev), load_shift(logsumexp, rows)


@triton.jit
def pair_gradients(
    q_grad, k_grad, v_grad, q, g, along, shift, k, v, mask, rows, columns, DIAGONAL: tl.constexpr
):
    """Adds what a block of queries and one of keys give to the gradients of each other."""
    scores = tl.dot(k, tl.trans(q), input_precision=PRECISION)
    scores = masked(scores, rows[None, :], columns[:, None], mask, DIAGONAL, CHECK_N)
    weights = tl.exp2(scores * UNIT - shift[None, :])
    v_grad = tl.dot(weights.to(g.dtype), g, v_grad, input_precision=PRECISION)
    weights_grad = tl.dot(v, tl.trans(g), input_precision=PRECISION)
    scores_grad = (weights * (weights_grad - along[None, :])).to(q.dtype)
    k_grad = tl.dot(scores_grad, q, k_grad, input_precision=PRECISION)
    q_grad = tl.dot(tl.trans(scores_grad), k, q_grad, input_precision=PRECISION)
    return q_grad, k_grad, v_grad


@triton.jit
def store_query_gradient(query_grad, q_grad, rows):
    """Writes the gradient of a block of queries."""
    e = tl.arange(0, BLOCK_E)
    q_grad *= SCALE * SIGN
    store_tile(query_grad, q_grad, rows, e, QUERY_GRAD_STRIDES[RANK], L, E, CHECK_M or CHECK_E)


@triton.jit
def store_key_gradients(key_grad, value_grad, k_grad, v_grad, head, columns):
    """Writes the gradients of a block of keys and values."""
    e, ev = tl.arange(0, BLOCK_E), tl.arange(0, BLOCK_EV)
    key_grad += head_offset(head, KEY_GRAD_STRIDES) + KEY_GRAD_START
    value_grad += head_offset(head, VALUE_GRAD_STRIDES) + VALUE_GRAD_START
    k_grad = k_grad * SCALE
    store_tile(key_grad, k_grad, columns, e, KEY_GRAD_STRIDES[RANK], S, E, CHECK_N or CHECK_E)
    store_tile(
        value_grad, v_grad, columns, ev, VALUE_GRAD_STRIDES[RANK], S, EV, CHECK_N or CHECK_EV
    )


@triton.jit
def query_gradient(
    q_grad, q, g, along, shift, key, value, mask, rows, start, end, CHECK: tl.constexpr
):
    """Adds what keys `start` to `end` give to the gradient of a block of queries."""
    e, ev = tl.arange(0, BLOCK_E), tl.arange(0, BLOCK_EV)
    for first in range(start, end, BLOCK_N):
        columns = positions(first, BLOCK_N)
        k = load_tile(key, columns, e, KEY_STRIDES[RANK], S, E, CHECK or CHECK_E)
        v = load_tile(value, columns, ev, VALUE_STRIDES[RANK], S, EV, CHECK or CHECK_EV)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        scores = masked(
            scores, rows[:, None], columns[None, :], mask, CHECK and CAUSAL, CHECK and CHECK_N
        )
        weights = tl.exp2(scores * UNIT - shift[:, None])
        weights_grad = tl.dot(g, tl.trans(v), input_precision=PRECISION)
        scores_grad = (weights * (weights_grad - along[:, None])).to(k.dtype)
        q_grad = tl.dot(scores_grad, k, q_grad, input_precision=PRECISION)
    return q_grad


@triton.jit
def attention_backward_query(grad, query, key, value, out, logsumexp, mask, query_grad, along):
    """The gradient of a block of queries, and `along` (heads, L) for the other half."""
    head = tl.program_id(0) % HEADS
    block = -(tl.program_id(0) // HEADS) + (BLOCKS_M - 1)
    key += head_offset(head, KEY_STRIDES)
    value += head_offset(head, VALUE_STRIDES)
    if HAS_MASK:
        mask += head_offset(head, MASK_STRIDES)
    rows = positions(block * BLOCK_M, BLOCK_M)
    e, ev = tl.arange(0, BLOCK_E), tl.arange(0, BLOCK_EV)
    q = load_query(query + head_offset(head, QUERY_STRIDES), rows, e)
    grad += head_offset(head, GRAD_STRIDES)
    g = load_tile(grad, rows, ev, GRAD_STRIDES[RANK], L, EV, CHECK_M or CHECK_EV)
    summed = sum_along(g, out + head_offset(head, OUT_STRIDES), rows, ev)
    tl.store(along + head.to(tl.int64) * L + rows, summed, mask=rows < L)
    shift = load_shift(logsumexp + head_offset(head, LOGSUMEXP_STRIDES), rows)

    q_grad = tl.zeros([BLOCK_M, BLOCK_E], tl.float32)
    start = 0
    end = tl.minimum((block + 1) * BLOCK_M, S) if CAUSAL else S
    if SEES_BLOCKS:
        start = first_unchecked(block)
        q_grad = query_gradient(
            q_grad, q, g, summed, shift, key, value, mask, rows, 0, start, False
        )
    if CAUSAL or CHECK_N:
        q_grad = query_gradient(
            q_grad, q, g, summed, shift, key, value, mask, rows, start, end, True
        )
    query_grad += head_offset(head, QUERY_GRAD_STRIDES) + QUERY_GRAD_START
    q_grad *= SCALE * SIGN
    store_tile(query_grad, q_grad, rows, e, QUERY_GRAD_STRIDES[RANK], L, E, CHECK_M or CHECK_E)


@triton.jit
def key_gradients(
    k_grad, v_grad, k, v, query, grad, logsumexp, along, mask, columns, start, end,
    DIAGONAL: tl.constexpr,
):  # fmt: skip
    """Adds what queries `start` to `end` give to the gradients of a block of keys and values."""
    e, ev = tl.arange(0, BLOCK_E), tl.arange(0, BLOCK_EV)
    for first in range(start, end, BLOCK_M):
        rows = positions(first, BLOCK_M)
        q = load_query(query, rows, e)
        g = load_tile(grad, rows, ev, GRAD_STRIDES[RANK], L, EV, CHECK_M or CHECK_EV)
        # Columns past S get weights too; they end in rows that are not stored.
        scores = tl.dot(k, tl.trans(q), input_precision=PRECISION)
        scores = masked(scores, rows[None, :], columns[:, None], mask, DIAGONAL, False)
        weights = tl.exp2(scores * UNIT - load_shift(logsumexp, rows)[None, :])
        v_grad = tl.dot(weights.to(g.dtype), g, v_grad, input_precision=PRECISION)
        weights_grad = tl.dot(v, tl.trans(g), input_precision=PRECISION)
        summed = tl.load(along + rows, mask=rows < L, other=0.0)
        scores_grad = (weights * (weights_grad - summed[None, :])).to(q.dtype)
        k_grad = tl.dot(scores_grad, q, k_grad, input_precision=PRECISION)
    return k_grad, v_grad


@triton.jit
def attention_backward_key(grad, query, key, value, logsumexp, along, mask, key_grad, value_grad):
    """The gradients of a block of keys and of their values; needs `along`."""
    head = tl.program_id(0) % HEADS
    block = tl.program_id(0) // HEADS
    grad += head_offset(head, GRAD_STRIDES)
    query += head_offset(head, QUERY_STRIDES)
    key += head_offset(head, KEY_STRIDES)
    value += head_offset(head, VALUE_STRIDES)
    logsumexp += head_offset(head, LOGSUMEXP_STRIDES)
    along += head.to(tl.int64) * L
    if HAS_MASK:
        mask += head_offset(head, MASK_STRIDES)
    columns = positions(block * BLOCK_N, BLOCK_N)
    e, ev = tl.arange(0, BLOCK_E), tl.arange(0, BLOCK_EV)
    k = load_tile(key, columns, e, KEY_STRIDES[RANK], S, E, CHECK_N or CHECK_E)
    v = load_tile(value, columns, ev, VALUE_STRIDES[RANK], S, EV, CHECK_N or CHECK_EV)
    k_grad = tl.zeros([BLOCK_N, BLOCK_E], tl.float32)
    v_grad = tl.zeros([BLOCK_N, BLOCK_EV], tl.float32)

    # Queries before the diagonal do not see the block, those from `whole` on see all of it.
    whole = 0
    if CAUSAL:
        first = block * BLOCK_N // BLOCK_M * BLOCK_M
        whole = tl.minimum(((block + 1) * BLOCK_N + BLOCK_M - 1) // BLOCK_M * BLOCK_M, L)
        k_grad, v_grad = key_gradients(
            k_grad, v_grad, k, v, query, grad, logsumexp, along, mask, columns, first, whole, True
        )
    k_grad, v_grad = key_gradients(
        k_grad, v_grad, k, v, query, grad, logsumexp, along, mask, columns, whole, L, False
    )
    store_key_gradients(key_grad, value_grad, k_grad, v_grad, head, columns)
