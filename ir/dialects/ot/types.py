"""Types and attributes of the `ot` dialect, to and from those of the op table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    f64,
    i1,
    i64,
)
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.utils.exceptions import VerifyException

from ... import dtypes
from ...dtypes import DType
from ...op import Type
from ..elements import dtype_of, element_type, find_dtype
from ..integers import integer_attribute, integers_attribute

_NUMBERS = (dtypes.bool_, dtypes.int64, dtypes.float64)


@irdl_attr_definition
class NumberType(ParametrizedAttribute, TypeAttribute):
    """A Python number: `!ot.number<f64>` a float, `<i64>` an int, `<i1>` a bool."""

    name = "ot.number"
    element: Attribute = param_def()

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            return [parser.parse_type()]

    def verify(self) -> None:
        if find_dtype(self.element) not in _NUMBERS:
            raise VerifyException(f"!ot.number<{self.element}>; it must be of f64, i64 or i1")


_to_ir: dict[Type, Attribute] = {}
_to_table: dict[Attribute, Type] = {}


def to_ir_type(type_: Type) -> Attribute:
    """`tensor<2x3xf32>` for a tensor, `!ot.number<f64>` for a wrapped number."""
    made = _to_ir.get(type_)
    if made is None:
        element = element_type(type_.dtype)
        shape = [s for s in type_.shape if isinstance(s, int)]
        assert len(shape) == len(type_.shape), f"{type_.shape} has sizes known only at run time"
        made = NumberType(element) if type_.wrapped else TensorType(element, shape)
        _to_ir[type_] = made
    return made


def to_table_type(type_: Attribute) -> Type:
    """The op table's view of a value's type; VerifyException where it has none."""
    known = _to_table.get(type_)
    if known is None:
        known = _to_table[type_] = _table_type(type_)
    return known


def _table_type(type_: Attribute) -> Type:
    if isinstance(type_, NumberType):
        return Type((), dtype_of(type_.element), wrapped=True)
    if not isinstance(type_, TensorType):
        raise VerifyException(f"a value of type {type_}; it must be a tensor or an !ot.number")
    tensor = cast(TensorType[Attribute], type_)
    shape = tensor.get_shape()
    if any(s < 0 for s in shape):
        raise VerifyException(f"a value of type {type_}; every size must be known")
    return Type(shape, dtype_of(tensor.element_type))


def show(types: Sequence[Attribute]) -> str:
    """Types as messages list them."""
    return ", ".join(map(str, types)) or "none"


def number_dtype(value: bool | int | float) -> DType:
    """The dtype of a Python number: bool, int64 or float64."""
    if isinstance(value, bool):
        return dtypes.bool_
    return dtypes.int64 if isinstance(value, int) else dtypes.float64


def number_attribute(value: bool | int | float) -> IntegerAttr | FloatAttr:
    """A number as `true`, `3 : i64` or `3.0 : f64`; OverflowError beyond 64 bits."""
    if isinstance(value, bool):
        return _TRUTH[value]
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise OverflowError(f"the number {value} does not fit 64 bits; give a float")
        return integer_attribute(value)
    return FloatAttr(float(value), f64)


def number_value(attribute: Attribute) -> bool | int | float:
    """The inverse of `number_attribute`."""
    for read in (_read_float, _read_bool, _read_int):
        value = read(attribute)
        if value is not None:
            return value
    raise VerifyException(f"{attribute} is no number; it must be a bool, an i64 or an f64")


def _read_int(a: Any) -> Any:
    return a.value.data if isinstance(a, IntegerAttr) and a.type == i64 else None  # pyright: ignore[reportUnknownMemberType]


def _read_ints(a: Any) -> Any:
    if isinstance(a, DenseArrayBase) and a.elt_type == i64:  # pyright: ignore[reportUnknownMemberType]
        return tuple(a.get_values())
    return None


def _read_bool(a: Any) -> Any:
    return bool(a.value.data) if isinstance(a, IntegerAttr) and a.type == i1 else None  # pyright: ignore[reportUnknownMemberType]


def _read_float(a: Any) -> Any:
    return a.value.data if isinstance(a, FloatAttr) and a.type == f64 else None  # pyright: ignore[reportUnknownMemberType]


def _write_int(value: Any) -> Attribute:
    return integer_attribute(int(value))


def _write_ints(value: Any) -> Attribute:
    values = (value,) if isinstance(value, int) else value
    return integers_attribute(int(v) for v in values)


@lru_cache(1 << 10)
def _write_str(value: str) -> Attribute:
    return StringAttr(value)


_TRUTH = IntegerAttr(0, i1), IntegerAttr(1, i1)


# Kind of attribute: how a value is written, and how it is read (None: not of the kind).
_KINDS: dict[str, tuple[Callable[[Any], Attribute], Callable[[Attribute], Any]]] = {
    "int": (_write_int, _read_int),
    "size": (_write_int, _read_int),
    "ints": (_write_ints, _read_ints),
    "sizes": (_write_ints, _read_ints),
    "bool": (lambda v: _TRUTH[bool(v)], _read_bool),
    "float": (lambda v: FloatAttr(float(v), f64), _read_float),
    "str": (_write_str, lambda a: a.data if isinstance(a, StringAttr) else None),
    "device": (_write_str, lambda a: a.data if isinstance(a, StringAttr) else None),
    "dtype": (element_type, find_dtype),
}


def to_property(kind: str, value: Any) -> Attribute:
    """The IR attribute of a Python value of a parameter kind (`ir.op.Param.kind`)."""
    return _KINDS[kind][0](value)


def from_property(kind: str, name: str, attribute: Attribute) -> Any:
    """The Python value of an attribute: bool, int, float, str, DType or a tuple of ints."""
    value = _KINDS[kind][1](attribute)
    if value is None:
        raise VerifyException(f"attribute '{name}' is {attribute}; it must be of kind {kind}")
    return value
