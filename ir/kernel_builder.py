"""Builds kernels: a cursor that inserts kernel, arith and math ops with locations.

b = KernelBuilder("row_sum", {"x": dtypes.float32, "o": dtypes.float32}, 512, location=loc)
x, o = b.buffers
with b.reduce(["sum"], 100, vector=True) as row:
    row.give(b.load(x, {b.index: 100, row.index: 1}))
b.store(row.results[0], o, {b.index: 1})
kernel = b.finish()
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from xdsl.builder import Builder
from xdsl.dialects import arith
from xdsl.dialects.builtin import IndexType, IntegerType, LocationAttr, UnknownLoc
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.rewriter import InsertPoint

from .dialects.kernel import (
    BufferType,
    ForOp,
    FuncOp,
    LoadOp,
    LocalOp,
    ReduceOp,
    ReturnOp,
    StoreOp,
    YieldOp,
)
from .dtypes import DType

Strides = Mapping[SSAValue, int] | Mapping[BlockArgument, int]
"""Elements that the offset moves by for each step of a loop index or other integer."""

_Op = TypeVar("_Op", bound=Operation)


class Reduction:
    """An open reduction: its index, what its body gives, and after the body its results."""

    def __init__(self, index: BlockArgument) -> None:
        self.index = index
        self.given: tuple[SSAValue, ...] = ()
        self.results: tuple[SSAValue, ...] = ()

    def give(self, *values: SSAValue) -> None:
        """Hands one value to each combiner; once, at the end of the body."""
        self.given = values


class KernelBuilder:
    """A kernel being built; `location` goes on every op inserted until it is changed."""

    def __init__(
        self,
        name: str,
        buffers: Mapping[str, DType],
        extent: int,
        *,
        vector: bool = False,
        unroll: int | None = None,
        grain: int | None = None,
        aliased: Sequence[int] = (),
        location: LocationAttr | None = None,
    ) -> None:
        types = [BufferType.of(d) for d in buffers.values()]
        block = Block(arg_types=[*types, IndexType()])
        self.location: LocationAttr = location or UnknownLoc()
        for argument, hint in zip(block.args, [*buffers, "i"], strict=True):
            argument.name_hint = hint
            argument.location = self.location
        self.func = FuncOp(
            name, extent, Region(block), vector=vector, unroll=unroll, grain=grain, aliased=aliased
        )
        self.func.location = self.location
        self.buffers = self.func.buffers
        self.index = self.func.index
        self.builder = Builder(InsertPoint.at_end(block))

    def insert(self, op: _Op) -> _Op:
        """Inserts `op` at the cursor, under the current location, and returns it."""
        op.location = self.location
        return self.builder.insert(op)

    def finish(self, verify: bool = True) -> FuncOp:
        """Ends the kernel, verifies it and returns it. Passes, which are verified as a whole where
        that is asked for, do without."""
        self.insert(ReturnOp())
        if verify:
            self.func.verify()
        return self.func

    def as_index(self, value: SSAValue) -> SSAValue:
        """`value`, an integer, as an `index`."""
        if isinstance(value.type, IndexType):
            return value
        assert isinstance(value.type, IntegerType), f"an index made of {value.type}"
        return self.insert(arith.IndexCastOp(value, IndexType())).result

    def access(self, strides: Strides, offset: int = 0) -> tuple[AffineMap, list[SSAValue]]:
        """The map and indices of `offset + sum of value * stride`: loop indices are dims,
        other integers (cast to index here) are symbols."""
        items: list[tuple[SSAValue, int]] = list(strides.items())
        dims = [(v, step) for v, step in items if _is_loop_index(v)]
        symbols = [(v, step) for v, step in items if not _is_loop_index(v)]
        terms = [AffineExpr.dimension(i) * step for i, (_, step) in enumerate(dims)]
        terms += [AffineExpr.symbol(i) * step for i, (_, step) in enumerate(symbols)]
        expr = sum(terms, start=AffineExpr.constant(0)) + offset
        indices = [*(v for v, _ in dims), *(self.as_index(v) for v, _ in symbols)]
        return AffineMap(len(dims), len(symbols), (expr,)), indices

    def load(
        self,
        buffer: SSAValue,
        strides: Strides,
        offset: int = 0,
        *,
        mask: SSAValue | None = None,
        other: SSAValue | None = None,
    ) -> SSAValue:
        """The element at `access(strides, offset)`; `other` where `mask` is given and false."""
        map_, indices = self.access(strides, offset)
        return self.insert(LoadOp(buffer, map_, indices, mask, other)).value

    def store(
        self,
        value: SSAValue,
        buffer: SSAValue,
        strides: Strides,
        offset: int = 0,
        *,
        mask: SSAValue | None = None,
    ) -> None:
        """Stores `value` at `access(strides, offset)`, where `mask` (if given) is true."""
        map_, indices = self.access(strides, offset)
        self.insert(StoreOp(value, buffer, map_, indices, mask))

    def local(self, count: int, dtype: DType) -> SSAValue:
        """Scratch of `count` elements for one iteration of a serial parallel axis."""
        return self.insert(LocalOp(count, BufferType.of(dtype))).buffer

    @contextmanager
    def loop(
        self, count: int, *, vector: bool = False, unroll: int | None = None
    ) -> Generator[BlockArgument]:
        """A `kernel.for`; ops inserted within the `with` are its body, its value is the index."""
        body = self._body("j")
        with self._inside(body):
            yield body.args[0]
            self.insert(YieldOp())
        self.insert(ForOp(count, Region(body), vector=vector, unroll=unroll))

    @contextmanager
    def reduce(
        self, combiners: Sequence[str], count: int, *, vector: bool = False
    ) -> Generator[Reduction]:
        """A `kernel.reduce`; the body ends by `give`, `results` are there after the `with`."""
        body = self._body("k")
        reduction = Reduction(body.args[0])
        with self._inside(body):
            yield reduction
            self.insert(YieldOp(reduction.given))
        op = self.insert(ReduceOp(combiners, count, Region(body), vector=vector))
        reduction.results = tuple(op.results)

    def _body(self, hint: str) -> Block:
        body = Block(arg_types=[IndexType()])
        body.args[0].name_hint = hint
        body.args[0].location = self.location
        return body

    @contextmanager
    def _inside(self, body: Block) -> Generator[None]:
        outer = self.builder.insertion_point
        self.builder.insertion_point = InsertPoint.at_end(body)
        try:
            yield
        finally:
            self.builder.insertion_point = outer


def _is_loop_index(value: SSAValue) -> bool:
    return isinstance(value, BlockArgument) and isinstance(value.type, IndexType)
