"""The fused-kernel dialect: loop nests over scalar ops on flat buffers, one parallel axis each.

    kernel.func @softmax(%x: !kernel.buffer<f32>, %o: !kernel.buffer<f32>) parallel %i to 512 {
      %m = kernel.reduce max %j to 100 vector {
        %v = kernel.load %x[affine_map<(d0, d1) -> (d0 * 100 + d1)>(%i, %j)] : !kernel.buffer<f32>
        kernel.yield %v : f32
      }
      kernel.for %j to 100 vector { ... kernel.store %y, %o[...] : !kernel.buffer<f32> ... }
      kernel.return
    }

What the ops mean, and what their verifiers hold producers to:

- Iterations of the parallel axis are independent; they run in any order and on any thread.
- On every path from `kernel.func` to an innermost loop exactly one loop is marked `vector`. Its
  iterations are lanes: they depend on each other only through the loop's own combiners.
- A `vector` reduction works in `LANES` lanes: element j goes to lane j mod 16; a lane starts at the
  combiner's identity and takes its elements in rising order; then lane k takes in lane k + 8 (for
  k < 8), then k + 4, k + 2 and k + 1. A serial reduction takes elements in rising order. So a
  result depends neither on the machine nor on how the parallel axis was split.
- A load or store touches element `map(dims)[symbols]` of a buffer: dims are indices of enclosing
  loops, symbols are any other `index` values (a loaded integer goes through `arith.index_cast`).
  With `if %mask` memory is touched only where the mask is true; a load gives `%other` elsewhere.
- After its buffers a kernel may take sizes, of type `index`: loops that are as long as one of them
  (`parallel %i to %n`, `kernel.for %j to %n`), offsets and scalars may depend on them.
- Everything else is `arith` and `math` on scalars, `index` included. Unsigned integers are signless
  types under unsigned ops. Ops mean what `ir/scalar_kinds.py` says of the kinds that they stand
  for: integer division by zero gives 0 and never traps, `maximumf` and `minimumf` give NaN if
  either side is NaN and the second operand if both are equal. f16 and bf16 are only moved and
  converted.

`ir/kernel_builder.py` builds kernels; `ir/interpret_kernel.py` runs them in NumPy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.dialects.builtin import (
    I64,
    AffineMapAttr,
    ArrayAttr,
    DenseArrayBase,
    IndexType,
    IntegerAttr,
    StringAttr,
    UnitAttr,
    i1,
)
from xdsl.ir import Attribute, BlockArgument, Dialect, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import (
    IsolatedFromAbove,
    IsTerminator,
    MemoryReadEffect,
    MemoryWriteEffect,
    NoMemoryEffect,
    RecursiveMemoryEffect,
    SymbolOpInterface,
)

from . import kernel_text as text
from .integers import SEGMENTS, integer_attribute, integers_attribute, segment_sizes
from .kernel_batch import BatchOp, Launchable, Member
from .kernel_rules import check_access, check_combiners, check_guard, check_nest
from .kernel_types import BufferType, element_type, value_type

__all__ = [
    "LANES",
    "BatchOp",
    "BufferType",
    "ForOp",
    "FuncOp",
    "Kernel",
    "Launchable",
    "LoadOp",
    "LocalOp",
    "Member",
    "ReduceOp",
    "ReturnOp",
    "StoreOp",
    "YieldOp",
    "element_type",
    "value_type",
]

LANES = 16
"""Lanes of a vector axis, for every element type and machine."""


def _flag(value: bool) -> UnitAttr | None:
    return UnitAttr() if value else None


def _number(value: int | None) -> IntegerAttr | None:
    return None if value is None else integer_attribute(value)


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a loop body; in a reduction it hands each combiner this iteration's element."""

    name = "kernel.yield"
    arguments = var_operand_def()
    traits = traits_def(IsTerminator(), NoMemoryEffect())
    assembly_format = "attr-dict ($arguments^ `:` type($arguments))?"

    def __init__(self, arguments: Sequence[SSAValue] = ()) -> None:
        Operation.__init__(self, operands=arguments)


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """Ends a `kernel.func`."""

    name = "kernel.return"
    traits = traits_def(IsTerminator(), NoMemoryEffect())
    assembly_format = "attr-dict"


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
        super().__init__(result_types=[type_], properties={"count": _number(count)})


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
                "vector": _flag(vector),
                "unroll": _number(unroll),
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
            result_types=[_yielded_types(body)],
            properties={
                "combiners": ArrayAttr([StringAttr(c) for c in combiners]),
                "count": number,
                "vector": _flag(vector),
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
            result_types=_yielded_types(loop.body),
            properties=loop.properties,
            attributes=loop.attributes,
            regions=[loop.body],
        )

    def verify_(self) -> None:
        check_combiners(self, self.kinds)


def _guard(*values: SSAValue | None) -> tuple[list[SSAValue], list[int]]:
    """The operands that are given of optional ones, and how many values each of all is."""
    return [v for v in values if v is not None], [int(v is not None) for v in values]


def _length(count: int | SSAValue) -> tuple[SSAValue | None, IntegerAttr | None]:
    return (None, _number(count)) if isinstance(count, int) else (count, None)


def _yielded_types(body: Region) -> list[Attribute]:
    end = body.block.last_op
    return [v.type for v in end.operands] if isinstance(end, YieldOp) else []


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
                "extent": _number(extent),
                "size": _number(size),
                "vector": _flag(vector),
                "unroll": _number(unroll),
                "grain": _number(grain),
                "aliased": integers_attribute(sorted(aliased)) if aliased else None,
            },
        )

    @property
    def aliased_numbers(self) -> tuple[int, ...]:
        """The buffers, by number, that may be the same storage."""
        return text.numbers(self.properties.get("aliased"))

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


Kernel = Dialect(
    "kernel",
    [FuncOp, BatchOp, ForOp, ReduceOp, LoadOp, StoreOp, LocalOp, YieldOp, ReturnOp],
    [BufferType],
)
