"""What a program does: launches of kernels, calls of native ops, uploads to the device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Self

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    MemRefType,
    StringAttr,
    SymbolRefAttr,
    TensorType,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect
from xdsl.utils.exceptions import VerifyException

from ...op import OPS
from ..integers import SEGMENTS, integers_attribute, integers_of, segment_sizes
from . import text


@lru_cache(1 << 10)
def _symbol(name: str) -> SymbolRefAttr:
    return SymbolRefAttr(name)


@lru_cache(1 << 10)
def _pair_array(pairs: tuple[tuple[int, int], ...]) -> ArrayAttr[DenseArrayBase]:
    return ArrayAttr([integers_attribute(p) for p in pairs])


class _Work(IRDLOperation):
    """What launches, calls and uploads share: values to read, and results; planned ones have no
    results but memory to write `into`."""

    arguments = var_operand_def()
    into = var_operand_def(MemRefType)
    outputs = var_result_def(TensorType)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    @classmethod
    def _made(
        cls,
        arguments: Sequence[SSAValue],
        results: Sequence[Attribute],
        into: Sequence[SSAValue],
        properties: Mapping[str, Attribute],
    ) -> Self:
        return cls.create(
            operands=[*arguments, *into],
            result_types=results,
            properties={**properties, SEGMENTS: segment_sizes((len(arguments), len(into)))},
        )


@irdl_op_definition
class LaunchOp(_Work):
    """Runs a kernel over its whole parallel axis."""

    name = "program.launch"
    kernel = prop_def(SymbolRefAttr)
    reuse = opt_prop_def(ArrayAttr[DenseArrayBase])

    @classmethod
    def of(
        cls,
        kernel: str,
        arguments: Sequence[SSAValue],
        results: Sequence[Attribute],
        reuse: Sequence[tuple[int, int]] = (),
        into: Sequence[SSAValue] = (),
    ) -> LaunchOp:
        """A launch of `kernel`."""
        properties: dict[str, Attribute] = {"kernel": _symbol(kernel)}
        if reuse:
            properties["reuse"] = _pair_array(tuple(reuse))
        return cls._made(arguments, results, into, properties)

    @property
    def kernel_name(self) -> str:
        """The name of the kernel."""
        return self.kernel.string_value()

    @property
    def reusable(self) -> list[tuple[int, int]]:
        """(buffer of an operand, buffer of a result) pairs that may be one."""
        return [] if self.reuse is None else _pairs_of(self.reuse)

    def print(self, printer: Printer) -> None:
        text.print_launch(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> LaunchOp:
        found = text.parse_launch(parser)
        op = cls.of(found.name, found.arguments, found.results, into=found.into)
        op.properties |= found.properties
        op.attributes |= found.attributes
        return op


@lru_cache(1 << 10)
def _pairs_of(array: ArrayAttr[DenseArrayBase]) -> list[tuple[int, int]]:
    return [(p[0], p[1]) for p in _pairs(array)]


def _pairs(array: Iterable[Attribute] | None) -> list[tuple[int, ...]]:
    return [integers_of(p) for p in array or ()]


@irdl_op_definition
class CallOp(_Work):
    """Runs the kernel of an op of the table; `segments` counts values by operand. Results beyond
    those of the op are memory that the kernel may use meanwhile."""

    name = "program.call"
    callee = prop_def(StringAttr)
    segments = prop_def(DenseArrayBase)
    given = prop_def(DictionaryAttr)
    layouts = opt_prop_def(ArrayAttr)

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
        """A call of the op `callee`."""
        properties = {
            "callee": StringAttr(callee),
            "given": given,
            "segments": segment_sizes(segments),
        }
        return cls._made(arguments, results, into, properties)

    @property
    def grouped(self) -> list[SSAValue | list[SSAValue] | None]:
        """Operands as the op's signature has them: a value, None, or a list for a list operand."""
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
        return list(integers_of(self.segments))

    @property
    def strides(self) -> list[tuple[int, ...]] | None:
        """Strides in memory of each result; None where all are row-major."""
        return None if self.layouts is None else _pairs(self.layouts)

    def give_layouts(self, strides: Sequence[Sequence[int]]) -> None:
        """Sets the strides of each result; () for row-major ones."""
        self.layouts = ArrayAttr([integers_attribute(s) for s in strides])

    def print(self, printer: Printer) -> None:
        text.print_call(printer, self, self.grouped)

    @classmethod
    def parse(cls, parser: Parser) -> CallOp:
        found = text.parse_call(parser)
        op = cls.of(
            found.name, found.arguments, found.segments, found.given, found.results, found.into
        )
        op.properties |= found.properties
        op.attributes |= found.attributes
        return op

    def verify_(self) -> None:
        if self.callee.data not in OPS:
            raise VerifyException(f"{self.name}: no op is called '{self.callee.data}'")
        if len(self.counts) != len(OPS[self.callee.data].operands):
            raise VerifyException(
                f"{self.name}: {len(self.counts)} operands for '{self.callee.data}'"
            )


@irdl_op_definition
class UploadOp(_Work):
    """Copies small values of the host to the device, one after the other, `SLOT_BYTES` each."""

    name = "program.upload"

    @classmethod
    def of(
        cls,
        arguments: Sequence[SSAValue],
        results: Sequence[Attribute],
        into: Sequence[SSAValue] = (),
    ) -> UploadOp:
        """Copies of `arguments`."""
        return cls._made(arguments, results, into, {})

    def print(self, printer: Printer) -> None:
        text.print_upload(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> UploadOp:
        found = text.parse_upload(parser)
        op = cls.of(found.arguments, found.results, found.into)
        op.attributes |= found.attributes
        return op
