"""`kernel.func`: a kernel's buffers, its sizes, and the nest that runs along its parallel axis."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import I64, DenseArrayBase, IntegerAttr, StringAttr, UnitAttr
from xdsl.ir import BlockArgument, Region
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsolatedFromAbove, IsTerminator, NoMemoryEffect, SymbolOpInterface

from ..integers import integers_attribute, integers_of, optional_integer
from . import text
from .rules import check_nest
from .types import BufferType


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """Ends a `kernel.func`."""

    name = "kernel.return"
    traits = traits_def(IsTerminator(), NoMemoryEffect())
    assembly_format = "attr-dict"


@irdl_op_definition
class FuncOp(IRDLOperation):
    """A kernel: buffers, sizes, and a body that runs for each index of the parallel axis.

    `extent` is the parallel axis' length, or size number `size` is; `vector` makes it the vector
    axis, `unroll` vectors at a time; `grain` is the fewest iterations worth giving to a thread.
    Buffers do not overlap, but for those numbered in `aliased`: these may be the same storage,
    provided that no iteration of any loop stores an element that another iteration touches.
    """

    name = "kernel.func"
    sym_name = prop_def(StringAttr)
    extent = opt_prop_def(IntegerAttr[I64])
    size = opt_prop_def(IntegerAttr[I64])
    vector = opt_prop_def(UnitAttr)
    unroll = opt_prop_def(IntegerAttr[I64])
    grain = opt_prop_def(IntegerAttr[I64])
    aliased = opt_prop_def(DenseArrayBase)
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove(), SymbolOpInterface())

    def __init__(
        self,
        name: str,
        extent: int | None,
        body: Region,
        *,
        vector: bool = False,
        unroll: int | None = None,
        grain: int | None = None,
        aliased: Sequence[int] = (),
        size: int | None = None,
    ) -> None:
        """`body` is one block; its arguments are the buffers, the sizes, then the parallel index.
        Of `extent` and `size` one is given."""
        super().__init__(
            regions=[body],
            properties={
                "sym_name": StringAttr(name),
                "extent": optional_integer(extent),
                "size": optional_integer(size),
                "vector": UnitAttr() if vector else None,
                "unroll": optional_integer(unroll),
                "grain": optional_integer(grain),
                "aliased": integers_attribute(sorted(aliased)) if aliased else None,
            },
        )

    @property
    def aliased_numbers(self) -> tuple[int, ...]:
        """The buffers, by number, that may be the same storage."""
        return integers_of(self.properties.get("aliased"))

    @property
    def buffers(self) -> tuple[BlockArgument, ...]:
        """The buffer arguments, in the order in which a launch passes them."""
        return tuple(a for a in self.body.block.args if isinstance(a.type, BufferType))

    @property
    def sizes(self) -> tuple[BlockArgument, ...]:
        """The size arguments, in the order in which a launch passes them after the buffers."""
        return tuple(self.body.block.args[len(self.buffers) : -1])

    @property
    def length(self) -> int | BlockArgument:
        """The parallel axis' length: a number, or the size that says it."""
        if self.size is not None:
            return self.sizes[self.size.value.data]
        return self.fixed_length

    @property
    def fixed_length(self) -> int:
        """The parallel axis' length in a kernel that takes no size for it."""
        assert self.extent is not None, "a size argument says the length"
        return self.extent.value.data

    @property
    def index(self) -> BlockArgument:
        """The index of the parallel axis."""
        return self.body.block.args[-1]

    def print(self, printer: Printer) -> None:
        text.print_func(printer, self, self.sym_name.data, self.length)

    @classmethod
    def parse(cls, parser: Parser) -> FuncOp:
        func = text.parse_func(parser)
        return cls.create(
            properties=func.properties, attributes=func.attributes, regions=[func.body]
        )

    def verify_(self) -> None:
        check_nest(self)
