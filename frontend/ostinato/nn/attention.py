"""Multi-head attention with the three projections packed in one weight."""

from __future__ import annotations

import functools
import math
import operator

from .. import Tensor, device, empty, float32, ones, softmax, zeros
from ..ir.dtypes import DType
from ..ir.errors import ShapeError
from . import functional as F
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """softmax(q kᵀ / sqrt(d)) v in `num_heads` heads, between projections in and out.

    `in_proj_weight` (3·embed_dim, embed_dim) holds those of query, key and value in this order.
    Inputs are (length, batch, embed_dim), or (batch, length, embed_dim) with `batch_first`.
    """

    in_proj_bias: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        batch_first: bool = False,
        dtype: DType = float32,
        device: device | str | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ShapeError(
                f"MultiheadAttention: embed_dim {embed_dim} and num_heads {num_heads} came; "
                "give an embed_dim that num_heads divides"
            )
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout, self.batch_first = dropout, batch_first
        width = 3 * embed_dim
        self.in_proj_weight = Parameter(empty((width, embed_dim), dtype=dtype, device=device))
        made = zeros((width,), dtype=dtype, device=device) if bias else None
        self.in_proj_bias = None if made is None else Parameter(made)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype, device=device)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new projections; biases of zero."""
        init.xavier_uniform_(self.in_proj_weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The result, shaped as `query`, and the weights (batch, length, keys) if they are needed.

        `attn_mask` (length, keys) or (batch·heads, length, keys) and `key_padding_mask`
        (batch, keys) are True where attention is forbidden, or floats that are added to the scores.
        `is_causal` forbids later keys by itself, with no mask given. Without `need_weights` the
        fused scaled_dot_product_attention runs.
        """
        for name, x in (("query", query), ("key", key), ("value", value)):
            self._check(name, x)
        q, k, v = self._heads(query, key, value)
        masked = attn_mask is not None or key_padding_mask is not None
        fused_causal = is_causal and not need_weights and not masked
        mask = self._mask(q, k, attn_mask, key_padding_mask, is_causal and not fused_causal)
        p = self.dropout if self.training else 0.0
        if not need_weights:
            out = F.scaled_dot_product_attention(q, k, v, mask, p, fused_causal)
            return self._joined(out), None
        scores = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
        weights = softmax(scores if mask is None else scores + mask, dim=-1)
        out = self._joined(F.dropout(weights, p) @ v)
        return out, weights.mean(1) if average_attn_weights else weights

    def _check(self, name: str, x: Tensor) -> None:
        if x.ndim != 3 or x.shape[-1] != self.embed_dim:
            order = "batch, length" if self.batch_first else "length, batch"
            raise ShapeError(
                f"MultiheadAttention: {name} of shape {tuple(x.shape)} came; "
                f"give ({order}, {self.embed_dim})"
            )

    def _heads(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        if query is key and key is value:
            projected = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
            return [self._split(x) for x in projected]
        weights = self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        given = zip((query, key, value), weights, biases, strict=True)
        return [self._split(F.linear(x, w, b)) for x, w, b in given]

    def _split(self, x: Tensor) -> Tensor:
        split = x.reshape(*x.shape[:-1], self.num_heads, self.head_dim)
        return split.transpose(1, 2) if self.batch_first else split.permute(1, 2, 0, 3)

    def _joined(self, heads: Tensor) -> Tensor:
        x = heads.transpose(1, 2) if self.batch_first else heads.permute(2, 0, 1, 3)
        return self.out_proj(x.reshape(*x.shape[:-2], self.embed_dim))

    def _mask(
        self,
        q: Tensor,
        k: Tensor,
        attn_mask: Tensor | None,
        padding: Tensor | None,
        is_causal: bool,
    ) -> Tensor | None:
        """What to add to the scores, or None."""
        batch, heads, length, keys = *q.shape[:3], k.shape[2]
        parts: list[Tensor] = []
        if attn_mask is not None:
            shape = (batch, heads, length, keys) if attn_mask.ndim == 3 else (length, keys)
            parts.append(_added(attn_mask, q).reshape(shape))
        if padding is not None:
            parts.append(_added(padding, q).reshape(batch, 1, 1, keys))
        if is_causal:
            later = ones((length, keys), device=q.device).triu(1) > 0
            parts.append(_added(later, q))
        return functools.reduce(operator.add, parts) if parts else None


def _added(mask: Tensor, like: Tensor) -> Tensor:
    if mask.is_floating_point():
        return mask
    return zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, -math.inf)
