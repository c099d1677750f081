"""Shapes and dtypes of values, as fusion asks for them: often."""

from __future__ import annotations

from collections.abc import Iterable

from xdsl.ir import Attribute, SSAValue

from ...ir.dialects.ot.types import to_table_type
from ...ir.dtypes import DType
from ...ir.op import Type

Shape = tuple[int, ...]

_REMEMBERED = 1 << 12
_types: dict[int, tuple[Attribute, Type]] = {}


def type_of(value: SSAValue) -> Type:
    """Shape, dtype and wrappedness of a value."""
    # By identity first: hashing a tensor type costs more than all else that is done with it.
    type_ = value.type
    known = _types.get(id(type_))
    if known is not None and known[0] is type_:
        return known[1]
    if len(_types) > _REMEMBERED:
        _types.clear()
    found = to_table_type(type_)
    _types[id(type_)] = type_, found
    return found


def shape_of(value: SSAValue) -> Shape:
    """The sizes of a value; () of a number."""
    return type_of(value).shape  # pyright: ignore[reportReturnType]


def dtype_of(value: SSAValue) -> DType:
    """The element type of a value."""
    return type_of(value).dtype


def count(shape: Iterable[int]) -> int:
    """The number of elements of a shape."""
    total = 1
    for size in shape:
        total *= size
    return total


def size_of(value: SSAValue) -> int:
    """The number of elements of a value."""
    return count(shape_of(value))


def bytes_of(value: SSAValue) -> int:
    """The bytes of a value's elements."""
    return size_of(value) * dtype_of(value).itemsize
