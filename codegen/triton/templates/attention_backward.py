"""Attention without the matrix of scores (FlashAttention-2, Dao 2023): its gradients."""

# pyright: basic
# pyright: reportGeneralTypeIssues=false, reportArgumentType=false
# (Triton's annotations are not about what its functions take inside of kernels.)

import triton
import triton.language as tl

from .attention_tiles import (
    ALONE,
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
    GRAD_STRIDES,
    HAS_MASK,
    HEADS,
    KEY_GRAD_START,
    KEY_GRAD_STRIDES,
    KEY_STRIDES,
    LOGSUMEXP_STRIDES,
    MASK_STRIDES,
    OUT_STRIDES,
    PRECISION,
    QUERY_GRAD_START,
    QUERY_GRAD_STRIDES,
    QUERY_STRIDES,
    RANK,
    REST_N,
    SCALE,
    SEES_BLOCKS,
    SIGN,
    UNIT,
    VALUE_GRAD_START,
    VALUE_GRAD_STRIDES,
    VALUE_STRIDES,
    E,
    L,
    S,
    first_unchecked,
    head_offset,
    load_query,
    load_shift,
    load_tile,
    masked,
    positions,
    store_tile,
)


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
