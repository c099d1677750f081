"""Row fusions: several passes over each row, which lies in the nearest cache meanwhile.

Pass k computes the reductions whose operand needs the results of pass k - 1. What a later pass
needs of an earlier one is computed again or, where that costs more, kept: in an output that holds
it anyway, or in scratch. Column reductions add to one row of results for each run of rows.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from xdsl.ir import SSAValue

from ...ir.kernel_builder import KernelBuilder
from ...ir.scalar.arith import emit
from ...ir.scalar.expression import Scalar, argument, constant, make
from ..fusion.expressions import wide
from ..fusion.index import Linear, identity, normal, rows
from ..fusion.nodes import Node
from ..fusion.types import dtype_of
from .emit import Emission
from .fused import Fused, Kernel, Output, through, unroll_for
from .items import Item
from .space import Axis, breaks

_RELOAD, _SCRATCH = 0.08, 0.2
_LEAST_INNER = 16

_STEPS = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum", "any": "or",
          "all": "and", "umax": "maximum", "umin": "minimum"}  # fmt: skip


@dataclass(eq=False)
class Pass:
    """What one pass over the row computes."""

    folds: list[Node] = field(default_factory=list[Node])
    columns: list[Node] = field(default_factory=list[Node])
    outputs: list[Output] = field(default_factory=list[Output])
    kept: list[Item] = field(default_factory=list[Item])

    @property
    def is_empty(self) -> bool:
        """True where there is nothing to do."""
        return not (self.folds or self.columns or self.outputs or self.kept)


def lower_rows(fused: Fused, name: str) -> Kernel:
    """The kernel of a fusion over rows of `length`, in `outer` runs if it has column reductions."""
    return _Rows(fused, name).build()


class _Rows:
    def __init__(self, fused: Fused, name: str) -> None:
        self.fused, self.name = fused, name
        self.length = fused.attribute("length")
        self.size = fused.size
        self.rows = self.size // self.length
        self.full = identity(self.size)
        self.row = rows(self.size, self.length)
        self.items = fused.items(self.length)
        self.columns = [o for o in fused.outputs if _is_column(o)]
        self.runs = fused.attribute("outer") if self.columns else self.rows
        self.full_outputs = [o for o in fused.outputs if o.size == self.size and not _is_column(o)]
        self.row_outputs = [o for o in fused.outputs if o.size != self.size and not _is_column(o)]
        self.column = normal(0, [
            (1, self.length, 1), (self.size // self.runs, self.runs, self.length)])  # fmt: skip
        self.passes: dict[int, Pass] = {}
        self.reloaded: dict[Item, SSAValue] = {}
        self._collect()
        self._choose_kept()
        inner = self._inner_length()
        self.loops = (
            [(self.length // inner, inner), (inner, 1)]
            if inner < self.length
            else [(self.length, 1)]
        )

    @property
    def _typical_length(self) -> int:
        return self.fused.target.typical(self.length)

    def _pass(self, level: int) -> Pass:
        return self.passes.setdefault(level, Pass())

    def _collect(self) -> None:
        for o in self.full_outputs:
            self._pass(self.items.add(o.value, through(o.link, self.full)).level).outputs.append(o)
        for o in self.row_outputs:
            self.items.add(o.value, through(o.link, self.row))
        for o in self.columns:
            assert o.node is not None
            self._pass(self.items.fold(o.node).level).columns.append(o.node)
        for node, source in self.items.folds.items():
            if node.inner == 1:
                self._pass(source.level).folds.append(node)

    def _roots(self, level: int, work: Pass) -> Iterator[Item]:
        for node in (*work.folds, *work.columns):
            yield self.items.fold(node)
        for o in work.outputs:
            yield self.items.add(o.value, through(o.link, self.full))

    def _choose_kept(self) -> None:
        """Decides what later passes read back instead of computing it again."""
        stored: dict[Item, int] = {}
        for level, work in self.passes.items():
            for item in self._roots(level, work):
                item.phases.add(level)
            for o in work.outputs:
                stored[self.items.add(o.value, through(o.link, self.full))] = level
        room = self.fused.target.scratch_bytes
        for item in reversed(list(self.items.ordered)):
            phases = item.phases
            if not item.deep or item.node is None or not phases:
                continue
            first = min(phases)
            again = len(phases) > 1 and item.e == self.full and not item.node.is_reduction
            if again and item in stored and item.cost > _RELOAD and stored[item] <= first:
                phases = {stored[item]}
                self.reloaded[item] = stored[item]  # pyright: ignore
            elif again and item.cost > _SCRATCH:
                bytes_ = self._typical_length * wide(dtype_of(item.value)).itemsize
                if bytes_ <= room:
                    room -= bytes_
                    phases = {first}
                    self._pass(first).kept.append(item)
            for part in item.parts:
                part.phases |= phases

    def _inner_length(self) -> int:
        """The part of a row along which everything is read at one stride."""
        typical = self.fused.target.typical
        found = sorted(breaks(list(self.items.offsets), self.length), key=typical)
        if not found or typical(found[0]) < _LEAST_INNER or self.fused.target.tiles:
            return self.length
        inner = found[0]
        fits = self.length % inner == 0 and all(w % inner == 0 for w in found)
        return inner if fits else self.length

    def build(self) -> Kernel:
        chunked = bool(self.columns)
        per_unit = self.size // self.runs if chunked else self.length
        extent = self.runs if chunked else self.rows
        grain = self.fused.grain(self.items, per_unit, max(1, len(self.passes)))
        b, emission = self.fused.open(self.name, self.items, extent, grain=grain)
        scratch = {
            item: b.local(self.length, wide(dtype_of(item.value)))
            for work in self.passes.values() for item in work.kept
        }  # fmt: skip
        if not chunked:
            emission.space.axes.append(Axis(b.index, self.length, self.rows, 0))
            self._row(emission, scratch)
        else:
            emission.space.axes.append(Axis(b.index, per_unit, self.runs, 0))
            self._clear_columns(emission)
            with emission.loop(self.rows // self.runs, self.length):
                self._row(emission, scratch)
        return self.fused.close(b, emission)

    def _clear_columns(self, emission: Emission) -> None:
        with emission.loop(self.length, 1, vector=True):
            for o in self.columns:
                assert o.node is not None
                start = _identity(o.node.combiner, o.result)
                ssa = _emitted(emission.b, start, [])
                emission.store(o.result, ssa, self.column, ("out", o.number))

    def _row(self, emission: Emission, scratch: dict[Item, SSAValue]) -> None:
        depth = emission.depth
        for level in sorted(self.passes):
            work = self.passes[level]
            emission.phase = level
            if work.folds:
                results = self._folding(emission, work, scratch)
                for node, ssa in zip(work.folds, results, strict=True):
                    emission.keep(node.result, self.row, ssa, depth)
            else:
                with self._along(emission, work):
                    self._body(emission, work, scratch)
            self._offer(emission, level, work, scratch)
        emission.phase = float("inf")
        found = [emission.value(o.value, through(o.link, self.row)) for o in self.row_outputs]
        for o, (ssa, at) in zip(self.row_outputs, found, strict=True):
            assert at <= depth
            emission.store(o.result, ssa, self.row, ("out", o.number))

    @contextmanager
    def _along(self, emission: Emission, work: Pass) -> Generator[None]:
        cost = sum(i.cost for i in self._roots(0, work))
        unroll = unroll_for(cost, list(self.items.inputs))
        if len(self.loops) == 1:
            with emission.loop(self.length, 1, vector=True, unroll=unroll):
                yield
            return
        (outer, weight), (inner, _) = self.loops
        with emission.loop(outer, weight), emission.loop(inner, 1, vector=True, unroll=unroll):
            yield

    def _folding(self, emission: Emission, work: Pass, scratch: dict[Item, SSAValue]
                 ) -> tuple[SSAValue, ...]:  # fmt: skip
        kinds = [n.combiner for n in work.folds]
        if len(self.loops) == 1:
            with emission.reduce(kinds, self.length, 1, vector=True) as whole:
                whole.give(*self._body(emission, work, scratch))
            return whole.results
        (outer, weight), (inner, _) = self.loops
        with emission.reduce(kinds, outer, weight) as whole:
            with emission.reduce(kinds, inner, 1, vector=True) as part:
                part.give(*self._body(emission, work, scratch))
            whole.give(*part.results)
        return whole.results

    def _body(self, emission: Emission, work: Pass, scratch: dict[Item, SSAValue]
              ) -> list[SSAValue]:  # fmt: skip
        """One element of a pass; returns what the row reductions take in."""
        folded = [emission.element(n, self.full) for n in work.folds]
        columns = [emission.element(n, self.full) for n in work.columns]
        values = [emission.value(o.value, through(o.link, self.full))[0] for o in work.outputs]
        kept = [emission.value(i.value, i.e)[0] for i in work.kept]
        for o, ssa in zip(work.outputs, values, strict=True):
            emission.store(o.result, ssa, self.full, ("out", o.number))
        for item, ssa in zip(work.kept, kept, strict=True):
            emission.scratch(scratch[item], ssa, self._along_row())
        numbers = {o.node: o for o in self.columns}
        for node, ssa in zip(work.columns, columns, strict=True):
            self._add_to(emission, numbers[node], ssa)
        return folded

    def _along_row(self) -> Linear:
        return Linear(0, ((1, self.length, 1),))

    def _add_to(self, emission: Emission, o: Output, ssa: SSAValue) -> None:
        assert o.node is not None
        dtype = wide(dtype_of(o.result))
        before = emission.accumulate(("out", o.number), self.column, dtype_of(o.result))
        x, y = argument(0, dtype), argument(1, dtype)
        after = _emitted(emission.b, make(_STEPS[o.node.combiner], x, y), [before, ssa])
        emission.store(o.result, after, self.column, ("out", o.number))

    def _offer(self, emission: Emission, level: int, work: Pass,
               scratch: dict[Item, SSAValue]) -> None:  # fmt: skip
        """Makes what a pass stored available to later ones."""
        for o in work.outputs:
            item = self.items.add(o.value, through(o.link, self.full))
            if item in self.reloaded:
                emission.offer(item.value, item.e, ("out", o.number), self.full)
        for item in work.kept:
            emission.offer(item.value, item.e, scratch[item], self._along_row())


def _is_column(o: Output) -> bool:
    return o.node is not None and o.node.is_reduction and o.node.inner > 1


def _identity(combiner: str, value: SSAValue) -> Scalar:
    """What a reduction to `value` starts from."""
    dtype = wide(dtype_of(value))
    if dtype.is_floating_point:
        start = {"sum": 0.0, "prod": 1.0, "max": float("-inf"), "min": float("inf")}
        return constant(start[combiner], dtype)
    if combiner in ("any", "all"):
        return constant(combiner == "all", dtype)
    top = (1 << (dtype.bits - dtype.signed)) - 1
    low = -top - 1 if dtype.signed else 0
    whole = {"sum": 0, "prod": 1, "max": low, "min": top, "umax": 0, "umin": top}
    return constant(whole[combiner], dtype)


def _emitted(b: KernelBuilder, expression: Scalar, arguments: list[SSAValue]) -> SSAValue:
    return emit([expression], arguments, b.builder, b.location)[0]
