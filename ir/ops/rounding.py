"""Rounding to whole numbers, and the sign."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dtypes import Only, Promote
from ..lazy import np
from ..op import Sample, Tensor, pointwise
from ..samples import unary, without_gradient
from ..scalar import expression as s

_NUMBERS = Only(Promote(), "if")


@pointwise(dtype=_NUMBERS)
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1 as x is negative, zero (or NaN) or positive."""
    return s.cast(x > 0, x.dtype) - s.cast(x < 0, x.dtype)


@sign.sampled
def _() -> Iterator[Sample]:
    yield from unary(kinds="fi")()
    yield without_gradient(np.array([0.0, -0.0, np.nan, np.inf], "float32"))


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


@floor.sampled
@ceil.sampled
@trunc.sampled
@round_.sampled
def _() -> Iterator[Sample]:
    yield from unary(kinds="fi")()
    yield without_gradient(np.array([-1.5, -0.5, 0.5, 1.5, 2.5, -3.0], "float32"))


@sign.vjp
@floor.vjp
@ceil.vjp
@trunc.vjp
@round_.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * 0.0,)
