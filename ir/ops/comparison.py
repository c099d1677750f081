"""Comparisons, logic, bits, and tests of elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dtypes import Fixed, Only, Promote, bool_
from ..lazy import np
from ..op import Sample, Tensor, pointwise
from ..samples import binary, ints, sample, unary
from ..scalar import expression as s

_BITS = Only(Promote(), "bi")


def _pairs() -> Iterator[Sample]:
    yield from binary()()
    yield sample(ints(2, 3).astype("float32"), ints(3, seed=2).astype("float32"))
    yield sample(np.array([np.nan, 1, 0], "float32"), np.array([np.nan, np.inf, -0.0], "float32"))


def _bit_pairs() -> Iterator[Sample]:
    yield from binary(kinds="ib")()


@pointwise(dtype=Fixed(bool_))
def eq(x: Tensor, y: Tensor) -> Tensor:
    """Whether x equals y, as bool."""
    return x.eq(y)


eq.sampled(_pairs)


@pointwise(dtype=Fixed(bool_))
def ne(x: Tensor, y: Tensor) -> Tensor:
    """Whether x differs from y, as bool."""
    return x.ne(y)


ne.sampled(_pairs)


@pointwise(dtype=Fixed(bool_))
def lt(x: Tensor, y: Tensor) -> Tensor:
    """Whether x is less than y, as bool."""
    return x < y


lt.sampled(_pairs)


@pointwise(dtype=Fixed(bool_))
def le(x: Tensor, y: Tensor) -> Tensor:
    """Whether x is at most y, as bool."""
    return x <= y


le.sampled(_pairs)


@pointwise(dtype=Fixed(bool_))
def gt(x: Tensor, y: Tensor) -> Tensor:
    """Whether x is greater than y, as bool."""
    return x > y


gt.sampled(_pairs)


@pointwise(dtype=Fixed(bool_))
def ge(x: Tensor, y: Tensor) -> Tensor:
    """Whether x is at least y, as bool."""
    return x >= y


ge.sampled(_pairs)


def _truth(x: Any) -> Any:
    return x if x.dtype is bool_ else x.ne(0)


@pointwise(dtype=Fixed(bool_))
def logical_and(x: Tensor, y: Tensor) -> Tensor:
    """Whether neither x nor y is zero, as bool."""
    return _truth(x) & _truth(y)


logical_and.sampled(_pairs)


@pointwise(dtype=Fixed(bool_))
def logical_or(x: Tensor, y: Tensor) -> Tensor:
    """Whether x or y is not zero, as bool."""
    return _truth(x) | _truth(y)


logical_or.sampled(_pairs)


@pointwise(dtype=Fixed(bool_))
def logical_xor(x: Tensor, y: Tensor) -> Tensor:
    """Whether exactly one of x and y is not zero, as bool."""
    return _truth(x) ^ _truth(y)


logical_xor.sampled(_pairs)


@pointwise(dtype=Fixed(bool_))
def logical_not(x: Tensor) -> Tensor:
    """Whether x is zero, as bool."""
    return ~_truth(x)


logical_not.sampled(unary())


@pointwise(dtype=_BITS)
def bitwise_and(x: Tensor, y: Tensor) -> Tensor:
    """The bits set in both x and y, of integers or bools."""
    return x & y


bitwise_and.sampled(_bit_pairs)


@pointwise(dtype=_BITS)
def bitwise_or(x: Tensor, y: Tensor) -> Tensor:
    """The bits set in x or y, of integers or bools."""
    return x | y


bitwise_or.sampled(_bit_pairs)


@pointwise(dtype=_BITS)
def bitwise_xor(x: Tensor, y: Tensor) -> Tensor:
    """The bits set in exactly one of x and y, of integers or bools."""
    return x ^ y


bitwise_xor.sampled(_bit_pairs)


@pointwise(dtype=_BITS)
def bitwise_not(x: Tensor) -> Tensor:
    """x with every bit flipped, of integers or bools."""
    return ~x


bitwise_not.sampled(unary(kinds="ib"))


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


@isnan.sampled
@isinf.sampled
@isfinite.sampled
def _() -> Iterator[Sample]:
    yield from unary()()
    yield sample(np.array([np.nan, np.inf, -np.inf, 1], "float32"))
    yield sample(np.array([np.nan, np.inf, -np.inf, 1], "float16"))
