"""`kernel.batch`: several independent kernels launched as one, their parallel axes side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import (
    I64,
    ArrayAttr,
    DenseArrayBase,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    SymbolRefAttr,
)
from xdsl.irdl import IRDLOperation, irdl_op_definition, prop_def, traits_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from ..integers import integer_attribute, integers_attribute, integers_of
from ..text import parse_attributes


@dataclass(frozen=True)
class Member:
    """A kernel of a batch, and the batch's buffer that each of its own is."""

    kernel: str
    buffers: tuple[int, ...]


@irdl_op_definition
class BatchOp(IRDLOperation):
    """Runs each member, in any order or at once: none touches what another one stores.

        kernel.batch @steps of 3 buffers [@step_0(0, 2), @step_1(1, 2)]

    A launch passes `count` buffers; those of different members may be the same one.
    """

    name = "kernel.batch"
    sym_name = prop_def(StringAttr)
    count = prop_def(IntegerAttr[I64])
    kernels = prop_def(ArrayAttr[SymbolRefAttr])
    buffers = prop_def(ArrayAttr[DenseArrayBase])
    traits = traits_def(SymbolOpInterface())

    def __init__(self, name: str, count: int, members: Sequence[Member]) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "count": integer_attribute(count),
                "kernels": ArrayAttr([SymbolRefAttr(m.kernel) for m in members]),
                "buffers": ArrayAttr([integers_attribute(m.buffers) for m in members]),
            }
        )

    @property
    def members(self) -> list[Member]:
        """The kernels, in the order given."""
        return [
            Member(k.string_value(), integers_of(b))
            for k, b in zip(self.kernels, self.buffers, strict=True)
        ]

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        printer.print_string(f" of {self.count.value.data} buffers [")
        for i, m in enumerate(self.members):
            printer.print_string(", " if i else "")
            printer.print_symbol_name(m.kernel)
            printer.print_string(f"({', '.join(map(str, m.buffers))})")
        printer.print_string("]")
        printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    def parse(cls, parser: Parser) -> BatchOp:
        name = parser.parse_symbol_name().data
        parser.parse_keyword("of")
        count = parser.parse_integer()
        parser.parse_keyword("buffers")
        members = parser.parse_comma_separated_list(
            parser.Delimiter.SQUARE, lambda: _parse_member(parser)
        )
        op = cls(name, count, members)
        op.attributes |= parse_attributes(parser)
        return op

    def verify_(self) -> None:
        used = {b for m in self.members for b in m.buffers}
        if len(self.kernels) != len(self.buffers) or not self.members:
            raise VerifyException("kernel.batch: as many lists of buffers as kernels, one at least")
        if used != set(range(self.count.value.data)):
            raise VerifyException(
                f"kernel.batch: its kernels use buffers {sorted(used)}; "
                f"they must use each of {self.count.value.data}"
            )


class Launchable:
    """What launches of a module run, by name: kernels alone or in a batch."""

    def __init__(self, module: ModuleOp) -> None:
        self.batches = {op.sym_name.data: op for op in module.ops if isinstance(op, BatchOp)}

    def members(self, name: str, buffers: int) -> list[Member]:
        """The kernels that a launch of `name` with that many buffers runs."""
        batch = self.batches.get(name)
        return [Member(name, tuple(range(buffers)))] if batch is None else batch.members


def _parse_member(parser: Parser) -> Member:
    name = parser.parse_symbol_name().data
    numbers = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_integer)
    return Member(name, tuple(numbers))
