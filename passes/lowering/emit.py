"""Emission of fused ops into loops: values on demand, each where its innermost index is known."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IndexType, IntegerAttr, i1, i64
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.rewriter import InsertPoint

from ...ir.dialects.integers import integer_attribute
from ...ir.dialects.kernel import LoadOp, StoreOp
from ...ir.dialects.kernel.types import value_type
from ...ir.dtypes import DType
from ...ir.kernel_builder import KernelBuilder, Reduction
from ...ir.scalar.arith import emit, scalar_type
from ...ir.scalar.expression import Scalar, argument, postorder, rewrite
from ..fusion.expressions import wide
from ..fusion.extraction import Extraction
from ..fusion.index import Bounds, Linear, compose
from ..fusion.nodes import Arg, Gathered, Guard, Node, bounds_of, guarded
from ..fusion.types import dtype_of
from .constants import Constants
from .space import Axis, Space

Key = tuple[Any, Linear, Guard]
Placed = tuple[SSAValue, int]
"""A value and the depth of the loop body that it stands in."""


@dataclass(eq=False)
class Scope:
    """One open loop body, and what was computed in it."""

    block: Block
    known: dict[Key, SSAValue] = field(default_factory=dict[Key, SSAValue])


@dataclass(frozen=True)
class Touch:
    """One load or store: in which pass over the row, and of which element (None: unknown)."""

    phase: float
    offset: Linear | None


class Emission:
    """One kernel being written. `layouts` gives the element offset of row-major number n of each
    value in memory."""

    def __init__(self, region: Extraction, builder: KernelBuilder, buffers: Mapping[Any, SSAValue],
                 layouts: Mapping[SSAValue, Linear]) -> None:  # fmt: skip
        self.region, self.b, self.buffers, self.layouts = region, builder, buffers, layouts
        self.space = Space()
        self.scopes = [Scope(builder.func.body.block)]
        self._offers: dict[tuple[SSAValue, Linear], tuple[Any, Linear]] = {}
        self.phase: float = 0
        self.loads: dict[SSAValue, list[Touch]] = {}
        self.stores: dict[SSAValue, Touch] = {}
        self._accumulated: set[Any] = set()
        self._constants = Constants(builder)

    @property
    def depth(self) -> int:
        """The depth of the innermost open loop body; 0 is the parallel axis."""
        return len(self.scopes) - 1

    @contextmanager
    def at(self, depth: int) -> Generator[None]:
        """Ops inserted inside go to the end of the loop body at `depth`."""
        builder = self.b.builder
        before = builder.insertion_point
        if depth != self.depth:
            builder.insertion_point = InsertPoint.at_end(self.scopes[depth].block)
        try:
            yield
        finally:
            builder.insertion_point = before

    @contextmanager
    def loop(self, count: int, weight: int, *, vector: bool = False,
             unroll: int | None = None) -> Generator[None]:  # fmt: skip
        """A loop over the digit of n with this weight."""
        with self.b.loop(count, vector=vector, unroll=unroll) as index:
            with self._inside(Axis(index, weight, count, self.depth + 1)):
                yield

    @contextmanager
    def reduce(self, kinds: Sequence[str], count: int, weight: int, *,
               vector: bool = False) -> Generator[Reduction]:  # fmt: skip
        """A reduction over the digit of n with this weight; `kinds` may come to be filled inside,
        by the time that values are given."""
        with self.b.reduce(kinds, count, vector=vector) as open_:
            with self._inside(Axis(open_.index, weight, count, self.depth + 1)):
                yield open_

    @contextmanager
    def _inside(self, axis: Axis) -> Generator[None]:
        block = axis.index.owner
        assert isinstance(block, Block)
        self.space.axes.append(axis)
        self.scopes.append(Scope(block))
        try:
            yield
        finally:
            self.scopes.pop()
            self.space.axes.pop()

    def keep(self, value: Any, e: Linear, ssa: SSAValue, depth: int) -> None:
        """Notes what stands for element `e` of `value` at `depth`."""
        self.scopes[depth].known[value, e, ()] = ssa

    def value(self, value: SSAValue, e: Linear, guard: Guard = ()) -> Placed:
        """Element `e` of `value`, in the type that it is computed in. Where `guard` does not hold
        it may be anything."""
        key = (value, e, guard)
        for depth, scope in enumerate(self.scopes):
            if key in scope.known:
                return scope.known[key], depth
        node = self.region.of.get(value)
        if node is None:
            made = self._load(value, e, guard)
        elif node.is_reduction:
            made = self.value(value, e) if guard else self._missing(node)
        elif (value, e) in self._offers:
            place, at = self._offers[value, e]
            made = self._reload(place, at, dtype_of(value)), self.depth
        else:
            made = self._compute(node, e, guard)
        self.scopes[made[1]].known[key] = made[0]
        return made

    def _missing(self, node: Node) -> Placed:
        raise AssertionError(f"{node.op.name}: a reduction is read at an element it does not have")

    def _compute(self, node: Node, e: Linear, guard: Guard) -> Placed:
        operands: list[Placed] = []
        for arg in node.args:
            operands.append(self._argument(arg, e, guard, operands))
        bounds = bounds_of(guard)
        operands += [self.number(_composed(i, e, bounds)) for i in node.indices]
        operands += [
            self._holds(_composed(c.index, e, bounds), c.low, c.high) for c in node.conditions
        ]
        depth = max((d for _, d in operands), default=0)
        family = node.family or [node]
        roots = [n.expression for n in family if n.expression is not None]
        with self._from(node.op):
            made = self._emit(roots, operands, depth)
        for n, ssa in zip(family, made, strict=True):
            self.scopes[depth].known[n.result, e, guard] = ssa
        return self.scopes[depth].known[node.result, e, guard], depth

    def _emit(self, roots: list[Scalar], operands: list[Placed], depth: int) -> list[SSAValue]:
        """`roots` over `operands`, at `depth`; what depends on outer loops alone stands there."""
        placed = list(operands)
        while found := outermost(roots, [d for _, d in placed], depth):
            level, parts = found
            made = self._emit_at(level, parts, placed)
            fresh = {p: argument(len(placed) + i, p.dtype) for i, p in enumerate(parts)}
            placed += [(ssa, level) for ssa in made]
            roots = rewrite(roots, fresh.get)
        if all(r.kind == "argument" for r in roots):
            return [placed[r.payload][0] for r in roots]
        return self._emit_at(depth, roots, placed)

    def _emit_at(self, depth: int, roots: list[Scalar], operands: list[Placed]) -> list[SSAValue]:
        with self.at(depth):
            return emit(roots, [v for v, _ in operands], self._constants, self.b.location)

    def element(self, node: Node, e: Linear) -> SSAValue:
        """What a reduction folds: its operand's element `e`, as the type that it folds in."""
        operands = [self._argument(a, e, (), []) for a in node.args]
        assert node.expression is not None
        with self._from(node.op):
            return self._emit([node.expression], operands, self.depth)[0]

    def _argument(self, arg: Arg, e: Linear, guard: Guard, before: Sequence[Placed]) -> Placed:
        found = guarded(arg, e, guard)
        assert found is not None, f"{arg} of {e}"
        link, inner = found
        if not arg.gathered:
            return self.value(arg.value, link, inner)
        indices = [(before[g.at], g) for g in arg.gathered]
        return self._gather(arg.value, link, inner, indices)

    @contextmanager
    def _from(self, op: Operation) -> Generator[None]:
        before, self.b.location = self.b.location, op.location
        try:
            yield
        finally:
            self.b.location = before

    def number(self, e: Linear) -> Placed:
        """The integer `e` as an i64."""
        key: Key = ("number", e, ())
        for depth, scope in enumerate(self.scopes):
            if key in scope.known:
                return scope.known[key], depth
        depth = self.space.depth_of(e)
        with self.at(depth):
            made = self.space.value(e, self.b)
        self.scopes[depth].known[key] = made
        return made, depth

    def _holds(self, at: Linear, low: int, high: int) -> Placed:
        """An i1: whether low <= at < high."""
        key: Key = (("holds", low, high), at, ())
        for depth, scope in enumerate(self.scopes):
            if key in scope.known:
                return scope.known[key], depth
        value, depth = self.number(at)
        with self.at(depth):
            bounds = [("sge", low)] if at.low < low else []
            bounds += [("slt", high)] if at.high >= high else []
            tests = [self._compare(predicate, value, bound) for predicate, bound in bounds]
            if not tests:
                tests = [self.b.insert(arith.ConstantOp(IntegerAttr(1, i1))).result]
            made = self._all(tests)
        self.scopes[depth].known[key] = made
        return made, depth

    def _all(self, tests: Sequence[SSAValue]) -> SSAValue:
        whole = tests[0]
        for test in tests[1:]:
            whole = self.b.insert(arith.AndIOp(whole, test)).result
        return whole

    def _compare(self, predicate: str, value: SSAValue, bound: int) -> SSAValue:
        limit = self.b.insert(arith.ConstantOp(integer_attribute(bound))).result
        return self.b.insert(arith.CmpiOp(value, limit, predicate)).result

    def _mask(self, guard: Guard) -> Placed | None:
        """Whether all of `guard`, conditions on numbers of n, hold."""
        if not guard:
            return None
        tests = [self._holds(*condition) for condition in guard]
        depth = max(d for _, d in tests)
        with self.at(depth):
            return self._all([test for test, _ in tests]), depth

    def _offset(self, value: SSAValue, e: Linear, guard: Guard) -> Linear:
        layout = self.layouts.get(value)
        return e if layout is None else _composed(layout, e, bounds_of(guard))

    def _load(self, value: SSAValue, e: Linear, guard: Guard) -> Placed:
        offset = self._offset(value, e, guard)
        mask = self._mask(guard)
        depth = max(self.space.depth_of(offset), mask[1] if mask else 0)
        plain = None if guard else offset
        self.loads.setdefault(value, []).append(Touch(self.phase, plain))
        dtype = dtype_of(value)
        mask_value = mask[0] if mask else None
        return self._read(self.buffers[value], offset, depth, dtype, mask_value), depth

    def _read(self, buffer: SSAValue, offset: Linear, depth: int, dtype: DType,
              mask: SSAValue | None = None) -> SSAValue:  # fmt: skip
        with self.at(depth):
            map_, indices = self.space.access(offset)
            other = None if mask is None else self._nothing(dtype, 0)
            loaded = self.b.insert(LoadOp(buffer, map_, indices, mask, other)).value
            return self._widened(loaded, dtype)

    def _gather(self, value: SSAValue, e: Linear, guard: Guard,
                indices: Sequence[tuple[Placed, Gathered]]) -> Placed:  # fmt: skip
        offset = self._offset(value, e, guard)
        mask = self._mask(guard)
        depth = max(self.space.depth_of(offset), mask[1] if mask else 0,
                    *(d for (_, d), _ in indices))  # fmt: skip
        self.loads.setdefault(value, []).append(Touch(self.phase, None))
        dtype = dtype_of(value)
        with self.at(depth):
            map_, dims = self.space.access(offset)
            expr, symbols = map_.results[0], list[SSAValue]()
            tests = [mask[0]] if mask else []
            for (index, _), g in indices:
                at = self._as_i64(index, g.signed)
                tests.append(self._compare("ult", at, g.size))
                expr = expr + AffineExpr.symbol(len(symbols)) * g.stride
                symbols.append(self.b.insert(arith.IndexCastOp(at, IndexType())).result)
            map_ = AffineMap(len(dims), len(symbols), (expr,))
            other = self._nothing(dtype, float("nan"))
            access = [*dims, *symbols]
            loaded = LoadOp(self.buffers[value], map_, access, self._all(tests), other)
            return self._widened(self.b.insert(loaded).value, dtype), depth

    def _as_i64(self, index: SSAValue, signed: bool) -> SSAValue:
        if index.type == i64:
            return index
        extend = arith.ExtSIOp if signed else arith.ExtUIOp
        return self.b.insert(extend(index, i64)).result

    def _nothing(self, dtype: DType, value: float) -> SSAValue:
        """What a masked-off load gives: `value`, or 0 for integers."""
        type_ = value_type(dtype)
        if dtype.is_floating_point:
            return self.b.insert(arith.ConstantOp(FloatAttr(value, type_))).result  # pyright: ignore
        return self.b.insert(arith.ConstantOp(IntegerAttr(0, type_))).result  # pyright: ignore

    def _widened(self, value: SSAValue, dtype: DType) -> SSAValue:
        to = wide(dtype)
        if to is dtype:
            return value
        return self.b.insert(arith.ExtFOp(value, scalar_type(to))).result  # pyright: ignore

    def offer(self, value: SSAValue, e: Linear, place: Any, at: Linear) -> None:
        """From now on element `e` of `value` is element `at` of `place`, an output or scratch."""
        self._offers[value, e] = place, at

    def _reload(self, place: Any, at: Linear, dtype: DType) -> SSAValue:
        if isinstance(place, SSAValue):
            return self._read(place, at, self.depth, wide(dtype))  # pyright: ignore[reportUnknownArgumentType]
        return self.read(place, at, dtype)

    def read(self, output: Any, at: Linear, dtype: DType) -> SSAValue:
        """Element `at` of an output that this iteration has stored."""
        return self._read(self.buffers[output], at, self.depth, dtype)

    def accumulate(self, output: Any, at: Linear, dtype: DType) -> SSAValue:
        """Element `at` of an output that adds up over iterations of an inner loop."""
        self._accumulated.add(output)
        return self.read(output, at, dtype)

    def scratch(self, buffer: SSAValue, ssa: SSAValue, at: Linear) -> None:
        """Stores `ssa` as element `at` of scratch."""
        map_, indices = self.space.access(at)
        self.b.insert(StoreOp(ssa, buffer, map_, indices))

    def may_share(self, value: SSAValue, output: Any) -> bool:
        """True where an input and an output may be one buffer: the input's elements are read at
        the index at which the output is stored, and not after that."""
        last = self.stores.get(output)
        if last is None or output in self._accumulated:
            return False
        touches = self.loads.get(value, [])
        return all(t.offset == last.offset and t.phase <= last.phase for t in touches)

    def store(self, value: SSAValue, ssa: SSAValue, e: Linear, output: Any = None) -> None:
        """Stores `ssa` as element `e` of `value` (in the buffer of `output`, if given)."""
        dtype = dtype_of(value)
        place = value if output is None else output
        with self._from(value.owner) if isinstance(value.owner, Operation) else nullcontext():
            if wide(dtype) is not dtype:
                ssa = self.b.insert(arith.TruncFOp(ssa, value_type(dtype))).result  # pyright: ignore
            map_, indices = self.space.access(e)
            self.b.insert(StoreOp(ssa, self.buffers[place], map_, indices))
        self.stores[place] = Touch(self.phase, e)


def outermost(
    roots: Sequence[Scalar], depths: Sequence[int], depth: int
) -> tuple[int, list[Scalar]] | None:
    """The parts of `roots` that can stand in the outermost loop that any can, and its depth; None
    where all depend on the loop at `depth`. `depths[i]` is that of argument i."""
    if all(d == depth for d in depths):
        return None
    order = postorder(roots)
    at: dict[Scalar, int] = {}
    parts: dict[Scalar, None] = {r: None for r in roots if r.operands}
    for node in order:
        inner = max((at[x] for x in node.operands), default=0)
        at[node] = depths[node.payload] if node.kind == "argument" else inner
        parts.update((x, None) for x in node.operands if x.operands and at[x] < at[node])
    level = min((at[p] for p in parts), default=depth)
    return (level, [p for p in parts if at[p] == level]) if level < depth else None


def _composed(outer: Linear, inner: Linear, bounds: Bounds = ()) -> Linear:
    whole = compose(outer, inner, bounds)
    assert whole is not None, f"{outer} of {inner}"
    return whole
