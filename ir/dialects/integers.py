"""Attributes of integers, equal ones made once: xDSL verifies every attribute that it makes, which
takes ten times as long as to find one that is there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import cast

from xdsl.dialects.builtin import I64, DenseArrayBase, IntegerAttr, IntegerType, i32, i64
from xdsl.ir import Attribute

SEGMENTS = "operandSegmentSizes"
"""The property that says how many values each operand of an op has."""

_REMEMBERED = 1 << 14


@lru_cache(_REMEMBERED)
def integer_attribute(value: int) -> IntegerAttr[I64]:
    """`value : i64`."""
    return IntegerAttr(value, i64)


def optional_integer(value: int | None) -> IntegerAttr[I64] | None:
    """`value : i64` where there is one, for a property that may be absent."""
    return None if value is None else integer_attribute(value)


def integers_attribute(values: Iterable[int]) -> DenseArrayBase:
    """`array<i64: ...>` of `values`."""
    return _integers(tuple(values))


@lru_cache(_REMEMBERED)
def _integers(values: tuple[int, ...]) -> DenseArrayBase:
    return DenseArrayBase.from_list(i64, values)


def integers_of(attribute: Attribute | None) -> tuple[int, ...]:
    """The elements of a dense array of integers; none where the attribute is absent."""
    if not isinstance(attribute, DenseArrayBase):
        return ()
    return tuple(cast("DenseArrayBase[IntegerType]", attribute).get_values())


def segment_sizes(sizes: Iterable[int]) -> DenseArrayBase:
    """The value of the property `SEGMENTS`, or another count of values by operand."""
    return _sizes(tuple(sizes))


@lru_cache(_REMEMBERED)
def _sizes(sizes: tuple[int, ...]) -> DenseArrayBase:
    return DenseArrayBase.from_list(i32, sizes)
