"""Roots, exponentials, logarithms and trigonometry of elements, in floating point."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import PromoteFloat
from ..op import Tensor, pointwise
from ..samples import unary
from ..scalar import expression as s


@pointwise(dtype=PromoteFloat())
def sqrt(x: Tensor) -> Tensor:
    """The square root of x."""
    return s.sqrt(x)


@sqrt.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g / (out * 2.0),)


sqrt.sampled(unary(low=0.1))


@pointwise(dtype=PromoteFloat(), autocast="wide")
def rsqrt(x: Tensor) -> Tensor:
    """1 / sqrt(x)."""
    return s.rsqrt(x)


@rsqrt.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * -0.5 * (out * out * out),)


rsqrt.sampled(unary(low=0.1))


@pointwise(dtype=PromoteFloat(), autocast="wide")
def exp(x: Tensor) -> Tensor:
    """e raised to the power x."""
    return s.exp(x)


@exp.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * out,)


exp.sampled(unary())


@pointwise(dtype=PromoteFloat())
def exp2(x: Tensor) -> Tensor:
    """2 raised to the power x."""
    return s.exp2(x)


@exp2.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * out * math.log(2.0),)


exp2.sampled(unary())


@pointwise(dtype=PromoteFloat(), autocast="wide")
def expm1(x: Tensor) -> Tensor:
    """exp(x) - 1, accurate near 0."""
    return s.expm1(x)


@expm1.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * (out + 1.0),)


expm1.sampled(unary())


@pointwise(dtype=PromoteFloat(), autocast="wide")
def log(x: Tensor) -> Tensor:
    """The natural logarithm of x."""
    return s.log(x)


@log.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g / x,)


log.sampled(unary(low=0.1))


@pointwise(dtype=PromoteFloat(), autocast="wide")
def log2(x: Tensor) -> Tensor:
    """The logarithm of x to the base 2."""
    return s.log2(x)


@log2.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g / (x * math.log(2.0)),)


log2.sampled(unary(low=0.1))


@pointwise(dtype=PromoteFloat(), autocast="wide")
def log1p(x: Tensor) -> Tensor:
    """log(1 + x), accurate near 0."""
    return s.log1p(x)


@log1p.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g / (x + 1.0),)


log1p.sampled(unary(low=-0.9))


@pointwise(dtype=PromoteFloat())
def sin(x: Tensor) -> Tensor:
    """The sine of x, in radians."""
    return s.sin(x)


@sin.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * cos(x),)


sin.sampled(unary())


@pointwise(dtype=PromoteFloat())
def cos(x: Tensor) -> Tensor:
    """The cosine of x, in radians."""
    return s.cos(x)


@cos.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (-g * sin(x),)


cos.sampled(unary())


@pointwise(dtype=PromoteFloat(), autocast="wide")
def tan(x: Tensor) -> Tensor:
    """The tangent of x, in radians."""
    return s.tan(x)


@tan.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * (1.0 + out * out),)


tan.sampled(unary(low=-1.2, high=1.2))


@pointwise(dtype=PromoteFloat())
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent of x."""
    return s.tanh(x)


@tanh.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * (1.0 - out * out),)


tanh.sampled(unary())


@pointwise(dtype=PromoteFloat())
def erf(x: Tensor) -> Tensor:
    """The error function of x, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return s.erf(x)


@erf.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * (2.0 / math.sqrt(math.pi)) * exp(-(x * x)),)


erf.sampled(unary())


@pointwise(dtype=PromoteFloat())
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return s.sigmoid(x)


@sigmoid.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * (1.0 - out) * out,)


sigmoid.sampled(unary())
