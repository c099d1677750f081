"""Where a program's values lie: views, numbers, and at stage `planned` memory of each kind."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import I64, DenseArrayBase, IntegerAttr, MemRefType, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import MemoryReadEffect, NoMemoryEffect
from xdsl.utils.exceptions import VerifyException

from ..integers import integer_attribute, integers_attribute, integers_of
from ..ot import NumberType
from . import text


@irdl_op_definition
class ViewOp(IRDLOperation):
    """Elements of a tensor's memory under another shape; nothing is copied."""

    name = "program.view"
    strides = prop_def(DenseArrayBase)
    start = prop_def(IntegerAttr[I64])
    source = operand_def(TensorType)
    view = result_def(TensorType)
    traits = traits_def(NoMemoryEffect())

    def __init__(
        self, source: SSAValue, strides: Sequence[int], start: int, type_: Attribute
    ) -> None:
        Operation.__init__(
            self,
            operands=[source],
            result_types=[type_],
            properties={"strides": integers_attribute(strides), "start": integer_attribute(start)},
        )

    @property
    def steps(self) -> tuple[int, ...]:
        """The stride along each axis, in elements."""
        return integers_of(self.strides)

    def verify_(self) -> None:
        if isinstance(self.source.owner, ViewOp):
            raise VerifyException(f"{self.name}: a view of a view; view the memory itself")

    def print(self, printer: Printer) -> None:
        text.print_view(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> ViewOp:
        source, strides, start, result, attributes = text.parse_view(parser)
        op = cls(source, strides, start, result)
        op.attributes |= attributes
        return op


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A Python number, as a value or (planned) in memory."""

    name = "program.constant"
    value = prop_def()
    res = result_def(NumberType | MemRefType)
    traits = traits_def(NoMemoryEffect())

    def __init__(self, value: Attribute, type_: Attribute) -> None:
        Operation.__init__(self, properties={"value": value}, result_types=[type_])

    def print(self, printer: Printer) -> None:
        text.print_constant(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        value, type_, attributes = text.parse_constant(parser)
        op = cls(value, type_)
        op.attributes |= attributes
        return op


@irdl_op_definition
class InputOp(IRDLOperation):
    """The memory of an argument, or a part of it."""

    name = "program.input"
    argument = operand_def()
    memory = result_def(MemRefType)
    traits = traits_def(NoMemoryEffect())
    assembly_format = "$argument attr-dict `:` type($argument) `->` type($memory)"

    def __init__(self, argument: SSAValue, type_: Attribute) -> None:
        Operation.__init__(self, operands=[argument], result_types=[type_])


class _PlacedOp(IRDLOperation):
    """What `program.arena` and `program.host` share: a tensor at byte `offset` of some memory."""

    offset = prop_def(IntegerAttr[I64])
    memory = result_def(MemRefType)
    traits = traits_def(NoMemoryEffect())
    assembly_format = "$offset attr-dict `:` type($memory)"

    def __init__(self, offset: int, type_: Attribute) -> None:
        offset_ = integer_attribute(offset)
        Operation.__init__(self, properties={"offset": offset_}, result_types=[type_])


@irdl_op_definition
class ArenaOp(_PlacedOp):
    """A tensor at byte `offset` of the arena (its layout's own offset comes on top)."""

    name = "program.arena"


@irdl_op_definition
class HostOp(_PlacedOp):
    """A tensor at byte `offset` of the region's memory on the host."""

    name = "program.host"


@irdl_op_definition
class OutputOp(IRDLOperation):
    """Fresh memory of result number `index`, or a part of it."""

    name = "program.output"
    index = prop_def(IntegerAttr[I64])
    memory = result_def(MemRefType)
    traits = traits_def(NoMemoryEffect())
    assembly_format = "$index attr-dict `:` type($memory)"

    def __init__(self, index: int, type_: Attribute) -> None:
        index_ = integer_attribute(index)
        Operation.__init__(self, properties={"index": index_}, result_types=[type_])


@irdl_op_definition
class ResultOp(IRDLOperation):
    """What memory holds at the end, as a result of the region."""

    name = "program.result"
    memory = operand_def(MemRefType)
    value = result_def(TensorType)
    traits = traits_def(MemoryReadEffect())
    assembly_format = "$memory attr-dict `:` type($memory) `->` type($value)"

    def __init__(self, memory: SSAValue, type_: Attribute) -> None:
        Operation.__init__(self, operands=[memory], result_types=[type_])
