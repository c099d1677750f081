"""Comparisons, logic, bits, and tests of elements."""

from __future__ import annotations

from typing import Any

from .. import scalar as s
from ..dtypes import Fixed, Only, Promote, bool_
from ..op import Tensor, pointwise

_BITS = Only(Promote(), "bi", what="result")


@pointwise(dtype=Fixed(bool_))
def eq(x: Tensor, y: Tensor) -> Tensor:
    """Whether x equals y, as bool."""
    return x.eq(y)


@pointwise(dtype=Fixed(bool_))
def ne(x: Tensor, y: Tensor) -> Tensor:
    """Whether x differs from y, as bool."""
    return x.ne(y)


@pointwise(dtype=Fixed(bool_))
def lt(x: Tensor, y: Tensor) -> Tensor:
    """Whether x is less than y, as bool."""
    return x < y


@pointwise(dtype=Fixed(bool_))
def le(x: Tensor, y: Tensor) -> Tensor:
    """Whether x is at most y, as bool."""
    return x <= y


@pointwise(dtype=Fixed(bool_))
def gt(x: Tensor, y: Tensor) -> Tensor:
    """Whether x is greater than y, as bool."""
    return x > y


@pointwise(dtype=Fixed(bool_))
def ge(x: Tensor, y: Tensor) -> Tensor:
    """Whether x is at least y, as bool."""
    return x >= y


def _truth(x: Any) -> Any:
    return x if x.dtype is bool_ else x.ne(0)


@pointwise(dtype=Fixed(bool_))
def logical_and(x: Tensor, y: Tensor) -> Tensor:
    """Whether neither x nor y is zero, as bool."""
    return _truth(x) & _truth(y)


@pointwise(dtype=Fixed(bool_))
def logical_or(x: Tensor, y: Tensor) -> Tensor:
    """Whether x or y is not zero, as bool."""
    return _truth(x) | _truth(y)


@pointwise(dtype=Fixed(bool_))
def logical_xor(x: Tensor, y: Tensor) -> Tensor:
    """Whether exactly one of x and y is not zero, as bool."""
    return _truth(x) ^ _truth(y)


@pointwise(dtype=Fixed(bool_))
def logical_not(x: Tensor) -> Tensor:
    """Whether x is zero, as bool."""
    return ~_truth(x)


@pointwise(dtype=_BITS)
def bitwise_and(x: Tensor, y: Tensor) -> Tensor:
    """The bits set in both x and y, of integers or bools."""
    return x & y


@pointwise(dtype=_BITS)
def bitwise_or(x: Tensor, y: Tensor) -> Tensor:
    """The bits set in x or y, of integers or bools."""
    return x | y


@pointwise(dtype=_BITS)
def bitwise_xor(x: Tensor, y: Tensor) -> Tensor:
    """The bits set in exactly one of x and y, of integers or bools."""
    return x ^ y


@pointwise(dtype=_BITS)
def bitwise_not(x: Tensor) -> Tensor:
    """x with every bit flipped, of integers or bools."""
    return ~x


@pointwise(dtype=Fixed(bool_), inplace=False)
def isnan(x: Tensor) -> Tensor:
    """Whether x is NaN, as bool."""
    return s.isnan(x) if x.dtype.is_floating_point else x.ne(x)


@pointwise(dtype=Fixed(bool_), inplace=False)
def isinf(x: Tensor) -> Tensor:
    """Whether x is an infinity, as bool."""
    return s.isinf(x) if x.dtype.is_floating_point else x.ne(x)


@pointwise(dtype=Fixed(bool_), inplace=False)
def isfinite(x: Tensor) -> Tensor:
    """Whether x is neither NaN nor an infinity, as bool."""
    return ~(s.isnan(x) | s.isinf(x)) if x.dtype.is_floating_point else x.eq(x)
