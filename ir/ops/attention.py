"""Scaled dot-product attention."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..dtypes import Agreed, Only, Same, Widened, bool_
from ..lazy import np
from ..op import Sample, Tensor, composite, function
from ..samples import bools, floats, sample
from ..shapes import SameShape, broadcast_shapes
from ..shapes_product import Fits, Leading, ProductBatch, Stacked
from .comparison import eq, le
from .contract import matmul
from .create import iota, zeros_like
from .join import stack
from .random import dropout
from .reduce import amax, sum_
from .selection import as_dtype, where, widened
from .transcendental import exp, log
from .view import expand, squeeze, transpose, unsqueeze

_DTYPE = Only(Agreed((0, 1, 2)), "f", what="query")


def _attended() -> Iterator[tuple[Any, ...]]:
    q, k, v = floats(2, 3, 4), floats(2, 5, 4, seed=1), floats(2, 5, 2, seed=2)
    yield q, k, v, None
    yield q, k, v, floats(2, 3, 5, seed=3)
    yield q, k, v, bools(3, 5)
    yield q, k, v, np.arange(3)[:, None] > np.arange(5)
    yield q[0], k[0], v[0], floats(1, 5, seed=3)
    yield q[:, :0], k, v, None
    yield q.astype("float16"), k.astype("float16"), v.astype("float16"), None


@function(method=False, namespace="nn.functional")
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
) -> Tensor:  # fmt: skip
    """softmax(query key^T * scale + mask) value, for query (..., L, E), key (..., S, E) and value
    (..., S, Ev): (..., L, Ev).

    A bool `attn_mask` (broadcast to (..., L, S)) tells where to look, another is added.
    `is_causal` lets query i see the keys up to i. `scale` is 1 / sqrt(E) for None. A row that may
    look nowhere gives zeros. ValueError for both mask and `is_causal`.
    """
    if attn_mask is not None and is_causal:
        raise ValueError(
            "scaled_dot_product_attention: got attn_mask and is_causal=True; give one of them"
        )
    batches = [x.shape[:-2] for x in (query, key, value)]
    batch = broadcast_shapes("scaled_dot_product_attention", batches)
    query, key, value = (
        x if x.ndim < 2 or x.shape[:-2] == batch else expand(x, size=(*batch, *x.shape[-2:]))
        for x in (query, key, value)
    )
    ProductBatch()("scaled_dot_product_attention", (query, key, value, attn_mask), {})
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    if dropout_p:
        scores = attention_scores(query, key, attn_mask, is_causal, scale)
        weights, _ = _weights(scores)
        return matmul(as_dtype(dropout(weights, p=dropout_p), value.dtype), value)
    return attention(query, key, value, attn_mask, is_causal, scale)[0]


@scaled_dot_product_attention.sampled
def _() -> Iterator[Sample]:
    for q, k, v, mask in _attended():
        yield sample(q, k, v, mask)
    q, k, v, _ = next(_attended())
    yield sample(q, k, v, None, is_causal=True)
    yield sample(q[0], k, v, None, scale=0.3)


def attention_scores(query: Any, key: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    """query key^T * scale, masked with -inf, in float32 or wider: (..., L, S)."""
    product = matmul(widened(query), transpose(widened(key), dim0=-2, dim1=-1))
    scores = product * scale
    if mask is not None:
        scores = where(mask, scores, -math.inf) if mask.dtype is bool_ else scores + mask
    if is_causal:
        row = unsqueeze(iota(query.shape[-2], 0, 1), dim=1)
        scores = where(le(iota(key.shape[-2], 0, 1), row), scores, -math.inf)
    return scores


def _weights(scores: Any) -> tuple[Any, Any]:
    """softmax of each row, 0 where all scores are -inf; and the logarithm of the row's sum."""
    top = amax(scores, dim=(-1,), keepdim=True)
    top = where(eq(top, -math.inf), 0.0, top)
    e = exp(scores - top)
    total = sum_(e, dim=(-1,), keepdim=True)
    weights = e / where(eq(total, 0.0), 1.0, total)
    return weights, squeeze(log(total) + top, dim=(-1,))


@composite(shape=(ProductBatch(), Leading()), dtype=(_DTYPE, Widened()), native=True,
           method=False, namespace="internal", autocast="low")  # fmt: skip
def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, is_causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`scaled_dot_product_attention` of operands with the same leading axes, and the logarithm of
    each row's sum of exponentials: (..., L, Ev) and (..., L)."""
    weights, logsumexp = _weights(attention_scores(query, key, attn_mask, is_causal, scale))
    return as_dtype(matmul(weights, widened(value)), query.dtype), logsumexp


@attention.vjp
def _(
    g: Any, out: Any, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None,
    is_causal: bool, scale: float,
) -> Any:  # fmt: skip
    (g, sum_g), (y, logsumexp) = g, out
    given = (query, key, value, y, logsumexp, attn_mask, is_causal, scale)
    floats = attn_mask is not None and attn_mask.dtype is not bool_
    g = zeros_like(y) if g is None else g
    query_g, key_g, value_g = attention_backward(g, *given)
    mask_g = _score_gradient(g, *given)[1] if floats else None
    if sum_g is not None:
        weights, _ = _score_gradient(g, *given)
        more = weights * unsqueeze(sum_g, dim=-1)
        query_g = query_g + matmul(more * scale, widened(key))
        key_g = key_g + matmul(transpose(more * scale, dim0=-2, dim1=-1), widened(query))
        mask_g = mask_g + more if floats else None
    return query_g, key_g, value_g, mask_g


@attention.sampled
def _() -> Iterator[Sample]:
    for q, k, v, mask in _attended():
        yield sample(q, k, v, mask, is_causal=mask is None, scale=0.7)


def _score_gradient(
    g: Any, query: Any, key: Any, value: Any, out: Any, logsumexp: Any, mask: Any,
    is_causal: bool, scale: float,
) -> tuple[Any, Any]:  # fmt: skip
    """The attention weights, and the gradient of the masked scores, both (..., L, S)."""
    scores = attention_scores(query, key, mask, is_causal, scale)
    shift = unsqueeze(where(eq(logsumexp, -math.inf), 0.0, logsumexp), dim=-1)
    weights = exp(scores - shift)
    weight_g = matmul(widened(g), transpose(widened(value), dim0=-2, dim1=-1))
    along = sum_(widened(g) * widened(out), dim=(-1,), keepdim=True)
    return weights, weights * (weight_g - along)


_OUT = ProductBatch(first=1, mask=6)
_QUERY_G = Fits(SameShape(1), ((0, "g", _OUT), (4, "out", _OUT), (5, "logsumexp", Leading(1))))


@composite(shape=(_QUERY_G, SameShape(2), SameShape(3)),
           dtype=(Only(Agreed((1, 2, 3)), "f", what="query"), Same(2), Same(3)),
           native=True, method=False, namespace="internal")  # fmt: skip
def attention_backward(
    g: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, logsumexp: Tensor,
    attn_mask: Tensor | None, is_causal: bool, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradients of `attention` for query, key and value, from that of its first result."""
    weights, score_g = _score_gradient(
        g, query, key, value, out, logsumexp, attn_mask, is_causal, scale
    )
    product_g = score_g * scale
    query_g = matmul(product_g, widened(key))
    key_g = matmul(transpose(product_g, dim0=-2, dim1=-1), widened(query))
    value_g = matmul(transpose(weights, dim0=-2, dim1=-1), widened(g))
    return (
        as_dtype(query_g, query.dtype), as_dtype(key_g, key.dtype), as_dtype(value_g, value.dtype)
    )  # fmt: skip


@composite(shape=Stacked(1, 3), dtype=Same(1), method=False, namespace="internal")
def attention_backward_stacked(
    g: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, logsumexp: Tensor,
    attn_mask: Tensor | None, is_causal: bool, scale: float,
) -> Tensor:  # fmt: skip
    """`attention_backward` of a query, key and value of one shape: (3, ..., L, E)."""
    return stack(
        attention_backward(g, query, key, value, out, logsumexp, attn_mask, is_causal, scale)
    )


def _forward(q: Any, k: Any, v: Any, mask: Any) -> tuple[Any, Any]:
    """What `attention` gives at scale 0.7, causal without a mask."""
    wide, at = (np.asarray(x, "float64") for x in (q, k, v)), (q.shape[-2], k.shape[-2])
    q64, k64, v64 = wide
    allowed = np.arange(at[0])[:, None] >= np.arange(at[1]) if mask is None else mask
    added = np.where(allowed, 0.0, -np.inf) if allowed.dtype == bool else allowed
    e = np.exp(q64 @ np.swapaxes(k64, -1, -2) * 0.7 + added)
    total = e.sum(axis=-1)
    out = e @ v64 / np.where(total == 0, 1, total)[..., None]
    with np.errstate(divide="ignore"):
        return out.astype(q.dtype), np.log(total).astype("float32")


@attention_backward.sampled
def _() -> Iterator[Sample]:
    for q, k, v, mask in _attended():
        out, logsumexp = _forward(q, k, v, mask)
        g = floats(*out.shape, dtype=q.dtype.name, seed=9)
        yield sample(g, q, k, v, out, logsumexp, mask, is_causal=mask is None, scale=0.7)


@attention_backward_stacked.sampled
def _() -> Iterator[Sample]:
    x, mask = floats(2, 3, 4), floats(2, 3, 3, seed=3)
    for q, m in ((x, None), (x, mask), (x.astype("float16"), None)):
        given = (q, q[..., ::-1], q[:, ::-1])
        out, logsumexp = _forward(*given, m)
        g = floats(*out.shape, dtype=q.dtype.name, seed=9)
        yield sample(g, *given, out, logsumexp, m, is_causal=m is None, scale=0.7)
