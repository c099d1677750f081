"""Attention without the matrix of scores (FlashAttention-2, Dao 2023): the weighted values."""

# pyright: basic
# pyright: reportGeneralTypeIssues=false, reportArgumentType=false
# (Triton's annotations are not about what its functions take inside of kernels.)

import triton
import triton.language as tl

from .attention_tiles import (
    BLOCK_E,
    BLOCK_EV,
    BLOCK_M,
    BLOCK_N,
    BLOCKS_M,
    CAUSAL,
    CHECK_E,
    CHECK_EV,
    CHECK_M,
    CHECK_N,
    EV,
    HAS_MASK,
    HEADS,
    KEY_STRIDES,
    LN_2,
    LOGSUMEXP_STRIDES,
    MASK_STRIDES,
    OUT_STRIDES,
    PRECISION,
    QUERY_STRIDES,
    RANK,
    SEES_BLOCKS,
    UNIT,
    VALUE_STRIDES,
    E,
    L,
    S,
    first_unchecked,
    head_offset,
    load_query,
    load_tile,
    masked,
    positions,
    store_tile,
)


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
