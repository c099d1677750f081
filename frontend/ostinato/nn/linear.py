"""Layers that multiply by a weight or look one up."""

from __future__ import annotations

import math

from .. import Tensor, device, empty, float32
from ..ir.dtypes import DType
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """x @ weight.T + bias; weight (out, in) and bias (out,) start uniform in ±1/sqrt(in)."""

    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: DType = float32,
        device: device | str | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty((out_features, in_features), dtype=dtype, device=device))
        self.bias = Parameter(empty((out_features,), dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Embedding(Module):
    """Rows of weight (num_embeddings, embedding_dim), which starts standard normal."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        dtype: DType = float32,
        device: device | str | None = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        shape = (num_embeddings, embedding_dim)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new rows."""
        init.normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Integers (...) to rows (..., embedding_dim)."""
        return F.embedding(x, self.weight)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"
