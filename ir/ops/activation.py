"""Activation functions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..dtypes import Only, Promote
from ..lazy import np
from ..op import Sample, Tensor, composite, pointwise
from ..samples import floats, sample, unary, without_gradient
from ..scalar import expression as s
from .comparison import gt, le
from .selection import where
from .transcendental import erf, exp, log1p, sigmoid

_FLOATS = Only(Promote(), "f")


@pointwise(dtype=Only(Promote(), "if"))
def relu(x: Tensor) -> Tensor:
    """x where it is positive, else 0; NaN stays."""
    return s.maximum(x, 0)


@relu.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (where(le(out, 0.0), 0.0, g),)


@relu.sampled
def _() -> Iterator[Sample]:
    yield from unary(kinds="fi")()
    yield without_gradient(np.array([0.0, -0.0, np.nan, np.inf], "float32"))


@composite(dtype=_FLOATS, method=False, namespace="nn.functional")
def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, else x * `negative_slope`."""
    return where(gt(x, 0.0), x, x * negative_slope)


@leaky_relu.vjp
def _(g: Tensor, out: Tensor, x: Tensor, negative_slope: float) -> Any:
    return (where(gt(x, 0.0), g, g * negative_slope),)


@leaky_relu.sampled
def _() -> Iterator[Sample]:
    yield from unary(kinds="f")()
    yield sample(floats(2, 3), negative_slope=0.2)
    yield without_gradient(np.array([0.0, -0.0, np.nan, -np.inf], "float32"))


@pointwise(dtype=_FLOATS, method=False, namespace="nn.functional")
def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x)."""
    return x * s.sigmoid(x)


@silu.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    gate = sigmoid(x)
    return (g * (gate * (1.0 + x * (1.0 - gate))),)


silu.sampled(unary(kinds="f"))


# (1 + tanh(y)) / 2 = sigmoid(2 y), which takes fewer operations and cancels nothing.
_TWICE = 2.0 * math.sqrt(2.0 / math.pi)
_TWICE_CUBED = 0.044715 * _TWICE


def _twice_inner(x: Any) -> Any:
    return x * (_TWICE + _TWICE_CUBED * (x * x))


@pointwise(
    dtype=_FLOATS, method=False, inplace=False, namespace="nn.functional",
    variants={"approximate": ("none", "tanh")},
)  # fmt: skip
def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x; `approximate="tanh"` writes it with tanh."""
    if approximate == "tanh":
        return x * s.sigmoid(_twice_inner(x))
    return x * 0.5 * (1.0 + s.erf(x * math.sqrt(0.5)))


@gelu.vjp
def _(g: Tensor, out: Tensor, x: Tensor, approximate: str) -> Any:
    if approximate == "tanh":
        below = sigmoid(_twice_inner(x))
        slope = _TWICE + 3.0 * _TWICE_CUBED * (x * x)
        return (g * (below + x * slope * (below * (1.0 - below))),)
    below = 0.5 * (1.0 + erf(x * math.sqrt(0.5)))
    density = exp(x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))
    return (g * (below + x * density),)


@gelu.sampled
def _() -> Iterator[Sample]:
    for approximate in ("none", "tanh"):
        for operands, _ in unary(low=-3.0, high=3.0, kinds="f")():
            yield operands, {"approximate": approximate}


@composite(dtype=_FLOATS, method=False, namespace="nn.functional", autocast="wide")
def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta x is above `threshold`."""
    scaled = x * beta
    return where(gt(scaled, threshold), x, log1p(exp(scaled)) / beta)


@softplus.vjp
def _(g: Tensor, out: Tensor, x: Tensor, beta: float, threshold: float) -> Any:
    scaled = x * beta
    return (where(gt(scaled, threshold), g, g * sigmoid(scaled)),)


@softplus.sampled
def _() -> Iterator[Sample]:
    yield from unary(kinds="f")()
    yield sample(floats(2, 3), beta=0.5)
    yield sample(floats(2, 3, low=-8.0, high=8.0), beta=2.0, threshold=5.0)
