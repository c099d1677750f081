"""Choosing between elements, clamping, casts and copies."""

from __future__ import annotations

from typing import Any

from .. import scalar as s
from ..dtypes import DType, FromAttr, Only, Promote, Same, float32, result_type
from ..op import Tensor, composite, pointwise
from ..shapes import Broadcast
from .arithmetic import maximum, minimum


@pointwise(
    dtype=Only(Promote((1, 2)), "b", of=Same(0), what="condition"),
    compute=Promote((1, 2)), uncast=(0,), inplace=False, method=False,
)  # fmt: skip
def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """x where the bool `condition` holds, else y."""
    return s.select(condition, x, y)


@pointwise(dtype=Only(Same(), "b", of=Same(1), what="mask"), compute=Same(), uncast=(1,))
def masked_fill(x: Tensor, mask: Tensor, value: Tensor) -> Tensor:
    """`value`, converted to the dtype of x, where the bool `mask` holds, else x."""
    return s.select(mask, value, x)


@pointwise(dtype=FromAttr("dtype", Same()), inplace=False)
def to(x: Tensor, dtype: DType) -> Tensor:
    """x converted to `dtype`: floats to integers are truncated, anything to bool tested for 0."""
    return x


@pointwise(dtype=Same(), inplace=False)
def clone(x: Tensor) -> Tensor:
    """A copy of x in memory of its own."""
    return x


@pointwise(dtype=Same())
def copy(x: Tensor, src: Tensor) -> Tensor:
    """`src` converted to the dtype of x; in place, x takes the values of `src`."""
    return src


@pointwise(dtype=Same())
def fill(x: Tensor, value: Tensor) -> Tensor:
    """A tensor like x, every element the 0-d `value`."""
    return value


@composite(dtype=Promote(), shape=Broadcast(), inplace=True)
def clamp(x: Tensor, min: Tensor | None = None, max: Tensor | None = None) -> Tensor:
    """x limited to at least `min` and at most `max`; `max` wins where they cross, NaN stays."""
    if min is None and max is None:
        raise TypeError("clamp: neither min nor max was given; give at least one")
    dtype = result_type([t for t in (x, min, max) if t is not None])
    y = x if min is None else maximum(x, min)
    y = y if max is None else minimum(y, max)
    return as_dtype(y, dtype)


def widened(x: Any) -> Any:
    """x, of a half type in float32: what sums and products of it are computed in."""
    half = x.dtype.is_floating_point and x.dtype.bits == 16
    return to(x, dtype=float32) if half else x


def as_dtype(x: Any, dtype: DType) -> Any:
    """x, converted where its dtype is another."""
    return x if x.dtype is dtype else to(x, dtype=dtype)
