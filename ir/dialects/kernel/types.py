"""The types of fused kernels: flat buffers, and the scalar types that their elements load as."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from ... import dtypes
from ...dtypes import DType
from ..elements import dtype_of, element_type


def value_type(dtype: DType) -> TypeAttribute:
    """The type of a loaded element of `dtype`; `i8` for uint8, since `arith` is signless."""
    return element_type(dtypes.int8 if dtype is dtypes.uint8 else dtype)


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
        return dtype_of(self.element)

    @property
    def value_type(self) -> TypeAttribute:
        """The type of a loaded element."""
        return value_type(self.dtype)

    def verify(self) -> None:
        try:
            dtype_of(self.element)
        except VerifyException as error:
            raise VerifyException(f"!kernel.buffer: {error}") from error

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            return [parser.parse_type()]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_attribute(self.element)
