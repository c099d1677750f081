"""Activation functions."""

from __future__ import annotations

import math

from .. import scalar as s
from ..dtypes import Only, Promote
from ..op import Tensor, composite, pointwise
from .comparison import gt
from .selection import where
from .transcendental import exp, log1p

_FLOATS = Only(Promote(), "f")


@pointwise(dtype=Only(Promote(), "if"))
def relu(x: Tensor) -> Tensor:
    """x where it is positive, else 0; NaN stays."""
    return s.maximum(x, 0)


@pointwise(dtype=_FLOATS, method=False, namespace="nn.functional")
def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x)."""
    return x * s.sigmoid(x)


@pointwise(
    dtype=_FLOATS, method=False, inplace=False, namespace="nn.functional",
    variants={"approximate": ("none", "tanh")},
)  # fmt: skip
def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x; `approximate="tanh"` writes it with tanh."""
    if approximate == "tanh":
        inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1.0 + s.tanh(inner))
    return x * 0.5 * (1.0 + s.erf(x * math.sqrt(0.5)))


@composite(dtype=_FLOATS, method=False, namespace="nn.functional")
def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta x is above `threshold`."""
    scaled = x * beta
    return where(gt(scaled, threshold), x, log1p(exp(scaled)) / beta)
