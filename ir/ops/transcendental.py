"""Roots, exponentials, logarithms and trigonometry of elements, in floating point."""

from __future__ import annotations

from .. import scalar as s
from ..dtypes import PromoteFloat
from ..op import Tensor, pointwise


@pointwise(dtype=PromoteFloat())
def sqrt(x: Tensor) -> Tensor:
    """The square root of x."""
    return s.sqrt(x)


@pointwise(dtype=PromoteFloat())
def rsqrt(x: Tensor) -> Tensor:
    """1 / sqrt(x)."""
    return s.rsqrt(x)


@pointwise(dtype=PromoteFloat())
def exp(x: Tensor) -> Tensor:
    """e raised to the power x."""
    return s.exp(x)


@pointwise(dtype=PromoteFloat())
def exp2(x: Tensor) -> Tensor:
    """2 raised to the power x."""
    return s.exp2(x)


@pointwise(dtype=PromoteFloat())
def expm1(x: Tensor) -> Tensor:
    """exp(x) - 1, accurate near 0."""
    return s.expm1(x)


@pointwise(dtype=PromoteFloat())
def log(x: Tensor) -> Tensor:
    """The natural logarithm of x."""
    return s.log(x)


@pointwise(dtype=PromoteFloat())
def log2(x: Tensor) -> Tensor:
    """The logarithm of x to the base 2."""
    return s.log2(x)


@pointwise(dtype=PromoteFloat())
def log1p(x: Tensor) -> Tensor:
    """log(1 + x), accurate near 0."""
    return s.log1p(x)


@pointwise(dtype=PromoteFloat())
def sin(x: Tensor) -> Tensor:
    """The sine of x, in radians."""
    return s.sin(x)


@pointwise(dtype=PromoteFloat())
def cos(x: Tensor) -> Tensor:
    """The cosine of x, in radians."""
    return s.cos(x)


@pointwise(dtype=PromoteFloat())
def tan(x: Tensor) -> Tensor:
    """The tangent of x, in radians."""
    return s.tan(x)


@pointwise(dtype=PromoteFloat())
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent of x."""
    return s.tanh(x)


@pointwise(dtype=PromoteFloat())
def erf(x: Tensor) -> Tensor:
    """The error function of x, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return s.erf(x)


@pointwise(dtype=PromoteFloat())
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return s.sigmoid(x)
