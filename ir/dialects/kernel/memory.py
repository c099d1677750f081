"""What a kernel does with memory: loads, stores and scratch."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import I64, AffineMapAttr, IndexType, IntegerAttr, i1
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect

from ..integers import SEGMENTS, integer_attribute, segment_sizes
from . import text
from .rules import check_access, check_guard
from .types import BufferType


@irdl_op_definition
class LocalOp(IRDLOperation):
    """`count` elements of scratch for one iteration of a parallel axis that is no vector axis.

    It stands in the body of `kernel.func` itself, at most 64 KiB a kernel, undefined at first.
    """

    name = "kernel.local"
    count = prop_def(IntegerAttr[I64])
    buffer = result_def(BufferType)
    assembly_format = "$count attr-dict `:` type($buffer)"

    def __init__(self, count: int, type_: BufferType) -> None:
        super().__init__(result_types=[type_], properties={"count": integer_attribute(count)})


@irdl_op_definition
class LoadOp(IRDLOperation):
    """Element `map(dims)[symbols]` of a buffer; `other` where a mask is given and false."""

    name = "kernel.load"
    buffer = operand_def(BufferType)
    indices = var_operand_def(IndexType)
    mask = opt_operand_def(i1)
    other = opt_operand_def()
    map = prop_def(AffineMapAttr)
    value = result_def()
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect())

    def __init__(
        self,
        buffer: SSAValue,
        map_: AffineMap,
        indices: Sequence[SSAValue],
        mask: SSAValue | None = None,
        other: SSAValue | None = None,
    ) -> None:
        assert isinstance(buffer.type, BufferType)
        guard, sizes = _guard(mask, other)
        Operation.__init__(
            self,
            operands=[buffer, *indices, *guard],
            properties={
                "map": AffineMapAttr(map_), SEGMENTS: segment_sizes((1, len(indices), *sizes))
            },
            result_types=[buffer.type.value_type],
        )  # fmt: skip

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        text.print_access(printer, self.buffer, self.map, self.indices)
        text.print_guard(printer, self.mask, self.other, self, self.buffer.type)

    @classmethod
    def parse(cls, parser: Parser) -> LoadOp:
        a = text.parse_access(parser)
        op = cls(a.buffer, a.map.data, a.indices, a.mask, a.other)
        op.attributes |= a.attributes
        return op

    def verify_(self) -> None:
        check_access(self, self.buffer, self.map.data, self.indices, self.value.type)
        check_guard(self, self.mask, self.other, self.value.type)


@irdl_op_definition
class StoreOp(IRDLOperation):
    """Writes a value to element `map(dims)[symbols]` of a buffer, where a mask, if any, is true."""

    name = "kernel.store"
    value = operand_def()
    buffer = operand_def(BufferType)
    indices = var_operand_def(IndexType)
    mask = opt_operand_def(i1)
    map = prop_def(AffineMapAttr)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryWriteEffect())

    def __init__(
        self,
        value: SSAValue,
        buffer: SSAValue,
        map_: AffineMap,
        indices: Sequence[SSAValue],
        mask: SSAValue | None = None,
    ) -> None:
        guard, sizes = _guard(mask)
        Operation.__init__(
            self,
            operands=[value, buffer, *indices, *guard],
            properties={
                "map": AffineMapAttr(map_), SEGMENTS: segment_sizes((1, 1, len(indices), *sizes))
            },
        )  # fmt: skip

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.value)
        printer.print_string(", ")
        text.print_access(printer, self.buffer, self.map, self.indices)
        text.print_guard(printer, self.mask, None, self, self.buffer.type)

    @classmethod
    def parse(cls, parser: Parser) -> StoreOp:
        value = parser.parse_unresolved_operand()
        parser.parse_punctuation(",")
        a = text.parse_access(parser)
        resolved = parser.resolve_operand(value, a.type.value_type)
        op = cls(resolved, a.buffer, a.map.data, a.indices, a.mask)
        op.attributes |= a.attributes
        return op

    def verify_(self) -> None:
        check_access(self, self.buffer, self.map.data, self.indices, self.value.type)


def _guard(*values: SSAValue | None) -> tuple[list[SSAValue], list[int]]:
    """The operands that are given of optional ones, and how many values each of all is."""
    return [v for v in values if v is not None], [int(v is not None) for v in values]
