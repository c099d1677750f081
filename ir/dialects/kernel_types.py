"""The types of fused kernels: flat buffers, and the scalar types that their elements load as."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerType,
    Signedness,
    i1,
    i64,
)
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from ..dtypes import BY_IR, DType

_TYPES: dict[str, TypeAttribute] = {
    "i1": i1,
    "ui8": IntegerType(8, Signedness.UNSIGNED),
    "i8": IntegerType(8),
    "i16": IntegerType(16),
    "i32": IntegerType(32),
    "i64": i64,
    "f16": Float16Type(),
    "bf16": BFloat16Type(),
    "f32": Float32Type(),
    "f64": Float64Type(),
}
_DTYPES: dict[Attribute, DType] = {type_: BY_IR[name] for name, type_ in _TYPES.items()}


def element_type(dtype: DType) -> TypeAttribute:
    """The type of an element of `dtype` in a buffer; `ui8` for uint8."""
    return _TYPES[dtype.ir]


def value_type(dtype: DType) -> TypeAttribute:
    """The type of a loaded element of `dtype`; `i8` for uint8, since `arith` is signless."""
    return _TYPES["i8" if dtype.ir == "ui8" else dtype.ir]


@irdl_attr_definition
class BufferType(ParametrizedAttribute, TypeAttribute):
    """A flat run of elements in memory; a bool takes a byte that is 0 or 1."""

    name = "kernel.buffer"
    element: TypeAttribute = param_def()

    @classmethod
    def of(cls, dtype: DType) -> BufferType:
        """A buffer of `dtype`."""
        return cls(element_type(dtype))

    @property
    def dtype(self) -> DType:
        """The dtype of an element."""
        return _DTYPES[self.element]

    @property
    def value_type(self) -> TypeAttribute:
        """The type of a loaded element."""
        return value_type(self.dtype)

    def verify(self) -> None:
        if self.element not in _DTYPES:
            raise VerifyException(
                f"!kernel.buffer: element type {self.element}; it must be one "
                f"of {', '.join(_TYPES)}"
            )

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            return [parser.parse_type()]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_attribute(self.element)
