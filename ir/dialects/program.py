"""The program dialect: kernel launches and calls of native ops, over tensors and then over memory.

At stage `kernels` values are tensors:

    %2 = program.launch @layer_norm_0(%0, %1) : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
    %3 = program.view %2 strides [1, 8] start 0 : tensor<4x8xf32> -> tensor<8x4xf32>
    %4 = program.call matmul(%2, %3) {} : (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32>

Element (i, j, ...) of a view is element `start + i * strides[0] + ...` of the memory of the viewed
tensor, which is row-major unless `layouts` say otherwise, and no view. A kernel's buffers are the
operands of its launch, then the results; `reuse` holds (buffer, buffer) pairs that may be one. An
absent operand of a call is `none`, a list operand stands in brackets. `layouts` gives the strides
in memory of each result of a call, () for row-major.

At stage `planned` memory is explicit. Each tensor in memory is a `memref` made by one of
`program.input` (the memory of an argument), `program.arena` (at a byte offset of the region's one
block of memory), `program.output` (fresh memory of a result) and `program.constant`; launches and
calls have no results but take the memory to write `into`, and `program.result` says that a memref
holds a result of the region.

A region for a device may have values in the memory of the CPU (`ot.host` arguments, and results of
calls with that attribute, at stage `planned` made by `program.host`). `program.upload` gives the
device copies of them; launches read no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import cast

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    IntegerAttr,
    IntegerType,
    MemRefType,
    StringAttr,
    SymbolRefAttr,
    TensorType,
)
from xdsl.ir import Attribute, Dialect, Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect, NoMemoryEffect
from xdsl.utils.exceptions import VerifyException

from .integers import SEGMENTS, integer_attribute, integers_attribute, segment_sizes
from .ot_types import NumberType
from .program_text import (
    parse_call,
    parse_constant,
    parse_launch,
    parse_upload,
    parse_view,
    print_call,
    print_constant,
    print_launch,
    print_upload,
    print_view,
)

__all__ = [
    "SLOT_BYTES",
    "ArenaOp",
    "CallOp",
    "ConstantOp",
    "HostOp",
    "InputOp",
    "LaunchOp",
    "OutputOp",
    "Program",
    "ResultOp",
    "UploadOp",
    "ViewOp",
]


SLOT_BYTES = 16
"""What the device's copy of a value of the host takes: a number, or a random state."""


@lru_cache(1 << 10)
def _symbol(name: str) -> SymbolRefAttr:
    return SymbolRefAttr(name)


@lru_cache(1 << 10)
def _pair_array(pairs: tuple[tuple[int, int], ...]) -> ArrayAttr[DenseArrayBase]:
    return ArrayAttr([integers_attribute(p) for p in pairs])


@irdl_op_definition
class LaunchOp(IRDLOperation):
    """Runs a kernel over its whole parallel axis."""

    name = "program.launch"
    kernel = prop_def(SymbolRefAttr)
    arguments = var_operand_def()
    into = var_operand_def(MemRefType)
    reuse = opt_prop_def(ArrayAttr[DenseArrayBase])
    outputs = var_result_def(TensorType)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    @classmethod
    def of(
        cls,
        kernel: str,
        arguments: Sequence[SSAValue],
        results: Sequence[Attribute],
        reuse: Sequence[tuple[int, int]] = (),
        into: Sequence[SSAValue] = (),
    ) -> LaunchOp:
        """A launch of `kernel`; planned ones have no results but memory to write `into`."""
        properties: dict[str, Attribute] = {
            "kernel": _symbol(kernel),
            SEGMENTS: segment_sizes((len(arguments), len(into))),
        }
        if reuse:
            properties["reuse"] = _pair_array(tuple(reuse))
        return cls.create(operands=[*arguments, *into], result_types=results, properties=properties)

    @property
    def kernel_name(self) -> str:
        """The name of the kernel."""
        return self.kernel.string_value()

    @property
    def reusable(self) -> list[tuple[int, int]]:
        """(buffer of an operand, buffer of a result) pairs that may be one."""
        return [] if self.reuse is None else _pairs_of(self.reuse)

    def print(self, printer: Printer) -> None:
        print_launch(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> LaunchOp:
        found = parse_launch(parser)
        op = cls.of(found.name, found.arguments, found.results, into=found.into)
        op.properties |= found.properties
        op.attributes |= found.attributes
        return op


@lru_cache(1 << 10)
def _pairs_of(array: ArrayAttr[DenseArrayBase]) -> list[tuple[int, int]]:
    return [(p[0], p[1]) for p in _pairs(array)]


def integers(array: Attribute) -> tuple[int, ...]:
    """The elements of a dense array of integers."""
    return cast("DenseArrayBase[IntegerType]", array).get_values()


def _pairs(array: Iterable[Attribute] | None) -> list[tuple[int, ...]]:
    return [integers(p) for p in array or ()]


@irdl_op_definition
class CallOp(IRDLOperation):
    """Runs the kernel of an op of the table; `segments` counts values by operand. Results beyond
    those of the op are memory that the kernel may use meanwhile."""

    name = "program.call"
    callee = prop_def(StringAttr)
    segments = prop_def(DenseArrayBase)
    given = prop_def(DictionaryAttr)
    layouts = opt_prop_def(ArrayAttr)
    arguments = var_operand_def()
    into = var_operand_def(MemRefType)
    outputs = var_result_def(TensorType)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    @classmethod
    def of(
        cls,
        callee: str,
        arguments: Sequence[SSAValue],
        segments: Sequence[int],
        given: DictionaryAttr,
        results: Sequence[Attribute],
        into: Sequence[SSAValue] = (),
    ) -> CallOp:
        """A call of the op `callee`; planned ones have no results but memory to write `into`."""
        return cls.create(
            operands=[*arguments, *into],
            result_types=results,
            properties={
                "callee": StringAttr(callee),
                "given": given,
                "segments": segment_sizes(segments),
                SEGMENTS: segment_sizes((len(arguments), len(into))),
            },
        )

    @property
    def grouped(self) -> list[SSAValue | list[SSAValue] | None]:
        """Operands as the op's signature has them: a value, None, or a list for a list operand."""
        from ..op import OPS

        found: list[SSAValue | list[SSAValue] | None] = []
        at = 0
        for p, n in zip(OPS[self.callee.data].operands, self.counts, strict=True):
            part = list(self.arguments[at : at + n])
            at += n
            found.append(part if p.kind == "tensors" else part[0] if part else None)
        return found

    @property
    def counts(self) -> list[int]:
        """The number of values of each operand."""
        return list(integers(self.segments))

    @property
    def strides(self) -> list[tuple[int, ...]] | None:
        """Strides in memory of each result; None where all are row-major."""
        return None if self.layouts is None else _pairs(self.layouts)

    def give_layouts(self, strides: Sequence[Sequence[int]]) -> None:
        """Sets the strides of each result; () for row-major ones."""
        self.layouts = ArrayAttr([integers_attribute(s) for s in strides])

    def print(self, printer: Printer) -> None:
        print_call(printer, self, self.grouped)

    @classmethod
    def parse(cls, parser: Parser) -> CallOp:
        found = parse_call(parser)
        op = cls.of(
            found.name, found.arguments, found.segments, found.given, found.results, found.into
        )
        op.properties |= found.properties
        op.attributes |= found.attributes
        return op

    def verify_(self) -> None:
        from ..op import OPS

        if self.callee.data not in OPS:
            raise VerifyException(f"{self.name}: no op is called '{self.callee.data}'")
        if len(self.counts) != len(OPS[self.callee.data].operands):
            raise VerifyException(
                f"{self.name}: {len(self.counts)} operands for '{self.callee.data}'"
            )


@irdl_op_definition
class UploadOp(IRDLOperation):
    """Copies small values of the host to the device, one after the other, `SLOT_BYTES` each."""

    name = "program.upload"
    arguments = var_operand_def()
    into = var_operand_def(MemRefType)
    outputs = var_result_def(TensorType)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    @classmethod
    def of(
        cls,
        arguments: Sequence[SSAValue],
        results: Sequence[Attribute],
        into: Sequence[SSAValue] = (),
    ) -> UploadOp:
        """Copies of `arguments`; a planned one has no results but memory to write `into`."""
        properties = {SEGMENTS: segment_sizes((len(arguments), len(into)))}
        return cls.create(operands=[*arguments, *into], result_types=results, properties=properties)

    def print(self, printer: Printer) -> None:
        print_upload(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> UploadOp:
        found = parse_upload(parser)
        op = cls.of(found.arguments, found.results, found.into)
        op.attributes |= found.attributes
        return op


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
        return integers(self.strides)

    def verify_(self) -> None:
        if isinstance(self.source.owner, ViewOp):
            raise VerifyException(f"{self.name}: a view of a view; view the memory itself")

    def print(self, printer: Printer) -> None:
        print_view(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> ViewOp:
        source, strides, start, result, attributes = parse_view(parser)
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
        print_constant(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        value, type_, attributes = parse_constant(parser)
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


Program = Dialect(
    "program",
    [LaunchOp, CallOp, UploadOp, ViewOp, ConstantOp, InputOp, ArenaOp, HostOp, OutputOp, ResultOp],
    [],
)
