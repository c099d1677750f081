"""Arithmetic on elements, integers included."""

from __future__ import annotations

from .. import scalar as s
from ..dtypes import Only, Promote, PromoteFloat, bool_
from ..op import Tensor, pointwise

_NUMBERS = Only(Promote(), "if", what="result")
_FLOATS = Only(Promote(), "f", what="result")


@pointwise()
def add(x: Tensor, y: Tensor) -> Tensor:
    """x + y; of two bools, whether either holds."""
    return x | y if x.dtype is bool_ else x + y


@pointwise(dtype=_NUMBERS)
def sub(x: Tensor, y: Tensor) -> Tensor:
    """x - y; not for two bools."""
    return x - y


@pointwise()
def mul(x: Tensor, y: Tensor) -> Tensor:
    """x * y; of two bools, whether both hold."""
    return x & y if x.dtype is bool_ else x * y


@pointwise(dtype=PromoteFloat())
def div(x: Tensor, y: Tensor) -> Tensor:
    """x / y, in floating point."""
    return x / y


@pointwise(dtype=_NUMBERS)
def floor_divide(x: Tensor, y: Tensor) -> Tensor:
    """x / y rounded down, in the dtype of the operands; an integer divided by 0 is 0."""
    return x // y


@pointwise(dtype=_NUMBERS)
def remainder(x: Tensor, y: Tensor) -> Tensor:
    """x modulo y with the sign of y; an integer modulo 0 is 0."""
    return x % y


@pointwise(dtype=_NUMBERS)
def pow_(x: Tensor, y: Tensor) -> Tensor:
    """x raised to the power y, in the dtype of the operands."""
    return x**y


@pointwise()
def maximum(x: Tensor, y: Tensor) -> Tensor:
    """The larger of x and y; NaN if either is NaN."""
    return s.maximum(x, y)


@pointwise()
def minimum(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of x and y; NaN if either is NaN."""
    return s.minimum(x, y)


@pointwise(dtype=_NUMBERS)
def neg(x: Tensor) -> Tensor:
    """-x."""
    return -x


@pointwise(dtype=_NUMBERS)
def abs_(x: Tensor) -> Tensor:
    """The absolute value of x."""
    return abs(x)


@pointwise(dtype=_NUMBERS)
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1 as x is negative, zero (or NaN) or positive."""
    return s.cast(x > 0, x.dtype) - s.cast(x < 0, x.dtype)


@pointwise(dtype=_NUMBERS)
def square(x: Tensor) -> Tensor:
    """x * x."""
    return x * x


@pointwise(dtype=PromoteFloat())
def reciprocal(x: Tensor) -> Tensor:
    """1 / x, in floating point."""
    return 1.0 / x


@pointwise(dtype=_NUMBERS)
def floor(x: Tensor) -> Tensor:
    """The largest whole number not above x."""
    return s.floor(x) if x.dtype.is_floating_point else x


@pointwise(dtype=_NUMBERS)
def ceil(x: Tensor) -> Tensor:
    """The smallest whole number not below x."""
    return s.ceil(x) if x.dtype.is_floating_point else x


@pointwise(dtype=_NUMBERS)
def trunc(x: Tensor) -> Tensor:
    """x without its fraction."""
    return s.trunc(x) if x.dtype.is_floating_point else x


@pointwise(dtype=_NUMBERS)
def round_(x: Tensor) -> Tensor:
    """The whole number nearest to x; halves go to the even one."""
    return s.round_half_even(x) if x.dtype.is_floating_point else x


@pointwise(dtype=_FLOATS)
def lerp(x: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """x + weight * (end - x), written from the nearer end."""
    low = x + weight * (end - x)
    return s.select(abs(weight) < 0.5, low, end - (end - x) * (1.0 - weight))


@pointwise(dtype=_NUMBERS)
def addcmul(x: Tensor, tensor1: Tensor, tensor2: Tensor, value: Tensor = 1) -> Tensor:  # pyright: ignore[reportArgumentType]
    """x + value * tensor1 * tensor2."""
    return x + value * tensor1 * tensor2


@pointwise(dtype=_FLOATS)
def addcdiv(x: Tensor, tensor1: Tensor, tensor2: Tensor, value: Tensor = 1) -> Tensor:  # pyright: ignore[reportArgumentType]
    """x + value * tensor1 / tensor2, in floating point."""
    return x + value * tensor1 / tensor2
