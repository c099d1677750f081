"""The loops of a kernel: those that run for each index, and those that combine what each yields."""

from __future__ import annotations

from collections.abc import Iterable

from xdsl.dialects.builtin import I64, ArrayAttr, IndexType, IntegerAttr, StringAttr, UnitAttr
from xdsl.ir import BlockArgument, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import RecursiveMemoryEffect

from ..integers import optional_integer
from ..yields import Yielding, yielded_types
from . import text
from .rules import check_combiners


@irdl_op_definition
class YieldOp(Yielding):
    """Ends a loop body; in a reduction it hands each combiner this iteration's element."""

    name = "kernel.yield"


class _Loop(IRDLOperation):
    """What `kernel.for` and `kernel.reduce` share: a loop of `count` iterations, or of `size`."""

    count = opt_prop_def(IntegerAttr[I64])
    size = opt_operand_def(IndexType)
    vector = opt_prop_def(UnitAttr)
    body = region_def("single_block")
    traits = traits_def(RecursiveMemoryEffect())

    @property
    def trip_count(self) -> int:
        """Iterations of a loop whose length is known."""
        assert self.count is not None, f"{self.name} is as long as a size says"
        return self.count.value.data

    @property
    def length(self) -> int | SSAValue:
        """Iterations: a number, or the size that says it."""
        return self.trip_count if self.size is None else self.size

    @property
    def index(self) -> BlockArgument:
        """The loop index, the body's only argument."""
        return self.body.block.args[0]


@irdl_op_definition
class ForOp(_Loop):
    """Runs its body for `index` from 0 to `count`, 16 * `unroll` at once where it is `vector`."""

    name = "kernel.for"
    unroll = opt_prop_def(IntegerAttr[I64])

    def __init__(
        self, count: int | SSAValue, body: Region, *, vector: bool = False,
        unroll: int | None = None,
    ) -> None:  # fmt: skip
        size, number = _length(count)
        super().__init__(
            operands=[size],
            regions=[body],
            properties={
                "count": number,
                "vector": UnitAttr() if vector else None,
                "unroll": optional_integer(unroll),
            },
        )

    def print(self, printer: Printer) -> None:
        text.print_loop(printer, self, self.length)

    @classmethod
    def parse(cls, parser: Parser) -> ForOp:
        loop = text.parse_loop(parser)
        return cls.create(
            operands=loop.sizes,
            properties=loop.properties,
            attributes=loop.attributes,
            regions=[loop.body],
        )


@irdl_op_definition
class ReduceOp(_Loop):
    """Combines what its body yields for `index` from 0 to `count`; one result for each combiner.

    Combiners: `sum` and `prod` (f32, f64, integers); `max` and `min` (the same; a NaN wins; of
    equal elements the first one stays); `umax` and `umin` (unsigned integers); `any` and `all`
    (i1). They start from 0, 1, the lowest or highest value of the type (infinities for floats),
    false and true.
    """

    name = "kernel.reduce"
    combiners = prop_def(ArrayAttr[StringAttr])
    res = var_result_def()

    def __init__(
        self, combiners: Iterable[str], count: int | SSAValue, body: Region, *,
        vector: bool = False,
    ) -> None:  # fmt: skip
        """`body` is complete: the types that its `kernel.yield` hands over are the results'."""
        size, number = _length(count)
        super().__init__(
            operands=[size],
            regions=[body],
            result_types=[yielded_types(body.block)],
            properties={
                "combiners": ArrayAttr([StringAttr(c) for c in combiners]),
                "count": number,
                "vector": UnitAttr() if vector else None,
            },
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The combiner of each result."""
        return tuple(c.data for c in self.combiners)

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {', '.join(self.kinds)}")
        text.print_loop(printer, self, self.length)

    @classmethod
    def parse(cls, parser: Parser) -> ReduceOp:
        kinds = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_identifier)
        loop = text.parse_loop(parser)
        loop.properties["combiners"] = ArrayAttr([StringAttr(k) for k in kinds])
        return cls.create(
            operands=loop.sizes,
            result_types=yielded_types(loop.body.block),
            properties=loop.properties,
            attributes=loop.attributes,
            regions=[loop.body],
        )

    def verify_(self) -> None:
        check_combiners(self, self.kinds)


def _length(count: int | SSAValue) -> tuple[SSAValue | None, IntegerAttr | None]:
    return (None, optional_integer(count)) if isinstance(count, int) else (count, None)
