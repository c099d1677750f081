"""A kernel's loop nest as a tree of values: axes of loops become axes of tiles, or stay loops."""

from __future__ import annotations

from collections.abc import Callable, Generator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass

from xdsl.ir import Block, Operation, SSAValue

from ....ir.dialects.kernel import ForOp, FuncOp, LoadOp, LocalOp, ReduceOp, StoreOp
from .access import LANES, ROWS, Memory, Shape
from .convert import held_type
from .integers import alike, as_held, fits
from .nodes import ATOM, PRODUCT, Carried, Frame, Loop, Node, Writer, literal
from .online import Online, online_of
from .reduce import across, combined, identity, summand
from .scalar import compare, scalar, signless
from .sizes import Length, Lengths, Range
from .streams import Accumulation, accumulations_of
from .tiles import Tile


@dataclass(frozen=True)
class Element:
    """What a pass over a loop hands to a combiner: an element of the result's type, as a tile along
    the axis that is reduced, and the shape of it.

    With `scale` the accumulator is scaled first. Where `inside` is given, it is the accumulator,
    and `value` what that becomes.
    """

    kind: str
    value: Node
    shape: str
    scale: Node | None = None
    inside: Node | None = None

    def following(self, w: Writer, inside: Node) -> Node:
        """What the accumulator `inside` becomes."""
        if self.inside is not None:
            return self.value
        if self.scale is not None:
            inside = w.infix("*", inside, self.scale, inside.held, PRODUCT, hint="scaled")
        return combined(w, self.kind, inside, self.value)


Given = list[Element]


@dataclass(frozen=True)
class Part:
    """A kernel as part of a launch of several: which of its programs runs, and the length of the
    parallel axis, where that is not that of the kernel."""

    program: Node
    extent: Node | None


class Nest:
    """Writes one kernel; `values` holds what each IR value is in the part being written."""

    def __init__(self, func: FuncOp, tile: Tile, pointers: dict[SSAValue, Node],
                 lengths: Lengths, part: Part | None = None) -> None:  # fmt: skip
        self.func, self.tile, self.part, self.lengths = func, tile, part, lengths
        self.w = Writer()
        self.constants: dict[str, int] = {}
        self.shape = Shape(is_matrix=tile.rows > 1)
        self.memory = Memory(self.w, func, self.shape, pointers)
        self.values: dict[SSAValue, Node] = dict(lengths.nodes)
        self.sums = {op: accumulations_of(op) for op in tile.streamed if isinstance(op, ForOp)}
        self.added: dict[StoreOp, tuple[Accumulation, Given]] = {}
        self.skipped: set[LoadOp | StoreOp] = set()
        for a in (a for sums in self.sums.values() for a in sums):
            self.skipped |= {a.load} if a.cleared is None else {a.load, a.cleared}
        self.unloaded = {a.load.value for sums in self.sums.values() for a in sums}
        online = online_of(func).items()
        self.online = {
            op: p for op, p in online if tile.blocks[op.length] < lengths.most(op.length)
        }
        self.merged = {p.maximum for p in self.online.values()}

    def write(self) -> None:
        """Writes the whole kernel."""
        func, rows = self.func, self.tile.rows
        extent = func.length
        if func.vector is not None:
            self._flat(extent)
        elif rows > 1 and not self.tile.streamed:
            arange = self._arange(ROWS, "ROWS", rows)
            self._parallel(self._first("ROWS", rows, extent), arange, extent, rows, ROWS)
        else:
            self.values[func.index] = self._program(self.lengths.most(extent))
            self.ops(func.body.block)

    def _flat(self, extent: Length) -> None:
        """The parallel axis as lanes: one block of them a program, or a loop over some."""
        block, steps, name = self.tile.blocks[extent], self.tile.steps, self.lane_size(extent)
        with self.lanes(extent) as arange:
            if steps == 1:
                first = self._first(name, block, extent)
                self._parallel(first, arange, extent, block, LANES)
                return
            whole = f"{steps} * {name}"
            start = self._first(whole, steps * block, extent)

            def step(k: Node) -> Given:
                first = signless(self.w, "+", start, k, "int64")
                self._parallel(first, arange, extent, steps * block, LANES)
                return []

            self.loop(self.func, Range(f"range(0, {whole}, {name})", steps * block), step, "")

    def _program(self, count: int) -> Node:
        """Which of at most `count` programs this is."""
        if self.part is not None:
            return self.part.program
        if count <= 1:
            return literal(0, "int64")
        return self.w.pure("tl.program_id(0)", (), "int32", hint="program", named=True,
                           low=0, high=count - 1)  # fmt: skip

    def _first(self, name: str, size: int, extent: Length) -> Node:
        """The first index of the parallel axis that this program does, `size` of `extent`."""
        program = self._program(-(-self.lengths.most(extent) // size))
        if program.is_literal:
            return program
        most = program.high
        held = "int32" if most is not None and fits(0, most * size) else "int64"
        program = as_held(self.w, program, held)  # a `constexpr` takes the type of the other
        step = Node(name, (), held, rank=PRODUCT if "*" in name else ATOM, low=size, high=size)
        return signless(self.w, "*", program, step, "int64")

    def _parallel(self, first: Node, arange: Node, extent: Length, size: int, axis: str) -> None:
        """The kernel's body for the part of the parallel axis from `first` on; a program does
        `size` of `extent` iterations."""
        index = arange
        if not first.is_literal:
            index = signless(self.w, "+", first, arange, "int64")
        index.hint, index.named = ("i" if axis == ROWS else "at"), True
        limit = None if self.part is None else self.part.extent
        self.bound(axis, index, extent, size, limit)
        self.values[self.func.index] = index
        self.ops(self.func.body.block)

    def _arange(self, axis: str, name: str, size: int) -> Node:
        """0, 1, ... along an axis of the tile."""
        if size == 1:
            return literal(0, "int64")
        self.constants[name] = size
        self.shape.sizes[axis] = name
        slot = "" if not self.shape.is_matrix else "[:, None]" if axis == ROWS else "[None, :]"
        return self.w.pure(f"tl.arange(0, {name}){slot}", (), "int32", axes=frozenset({axis}),
                           hint="j" if axis == LANES else "i", low=0, high=size - 1)  # fmt: skip

    def bound(self, axis: str, index: Node, count: Length, size: int,
               limit: Node | None = None) -> None:  # fmt: skip
        """Notes which elements along an axis exist, where not all do: those below `limit`, or
        below `count`."""
        self.shape.bounds.pop(axis, None)
        if size > 1 and (self.lengths.divisor(count) % size or limit is not None):
            if limit is None:
                index, limit = alike(self.w, index, self.lengths.node(count))
            mask = compare(self.w, "<", index, limit)
            mask.hint, mask.named = ("exists" if axis == LANES else "is_row"), True
            self.shape.bounds[axis] = mask

    def lane_size(self, count: Length) -> str:
        """The name of the number of lanes for a vector axis of `count`."""
        order = sorted(self.tile.blocks, key=self.lengths.most, reverse=True)
        return f"BLOCK_{order.index(count)}" if order.index(count) else "BLOCK"

    @contextmanager
    def lanes(self, count: Length) -> Generator[Node]:
        """The part in which the tile has lanes for a vector axis of `count`."""
        yield self._arange(LANES, self.lane_size(count), self.tile.blocks[count])
        self.shape.bounds.pop(LANES, None)
        self.shape.sizes.pop(LANES, None)

    def ops(self, block: Block, without: AbstractSet[Operation] = frozenset()) -> None:
        for op in block.ops:
            if op in without:
                continue
            match op:
                case LoadOp() | StoreOp() if op in self.skipped:
                    pass
                case LoadOp():
                    mask = None if op.mask is None else self.values[op.mask]
                    other = None if op.other is None else self.values[op.other]
                    indices = [self.values[v] for v in op.indices]
                    self.values[op.value] = self.memory.load(op, indices, mask, other)
                case StoreOp():
                    self._store(op)
                case ForOp():
                    self._for(op)
                case ReduceOp() if op in self.online:
                    self._both(self.online[op])
                case ReduceOp():
                    if op not in self.merged:
                        self._reduce(op)
                case LocalOp():
                    pass
                case _ if op.results and self.unloaded.isdisjoint(op.operands):
                    operands = [self.values[v] for v in op.operands]
                    self.values[op.results[0]] = scalar(self.w, op, operands)
                case _:
                    pass

    def _store(self, op: StoreOp) -> None:
        if op in self.added:
            accumulation, given = self.added[op]
            reduced = ROWS if self.tile.rows > 1 else ""
            given.append(self.element(accumulation.kind, accumulation.element, reduced))
            return
        mask = None if op.mask is None else self.values[op.mask]
        indices = [self.values[v] for v in op.indices]
        self.memory.store(op, self.values[op.value], indices, mask)

    def _for(self, op: ForOp) -> None:
        def body() -> Given:
            self.ops(op.body.block)
            return []

        if op.vector is not None:
            self._along_lanes(op, body)
        elif op in self.tile.streamed:
            self._stream(op)
        else:
            self._serial(op, body)

    def _reduce(self, op: ReduceOp) -> None:
        streams = op in self.tile.streamed and self.tile.rows > 1
        lanes = op.vector is not None and self.tile.blocks[op.length] > 1
        reduced = LANES if lanes else ROWS if streams else ""

        def body() -> Given:
            self.ops(op.body.block)
            end = op.body.block.last_op
            assert end is not None
            return [
                self.element(kind, v, reduced)
                for kind, v in zip(op.kinds, end.operands, strict=True)
            ]

        if op.length == 0:
            results = [
                identity(kind, held_type(r.type))
                for kind, r in zip(op.kinds, op.results, strict=True)
            ]
        elif op.vector is not None:
            results = self._along_lanes(op, body, reduced)
        elif streams:
            results = self._in_rows(op, body)
        else:
            results = self._serial(op, body)
        self.values.update(zip(op.results, results, strict=True))

    def element(self, kind: str, value: SSAValue, reduced: str) -> Element:
        """`value` as a combiner takes it."""
        held = held_type(value.type)
        x = self.values[value]
        if x.is_integer and x.held != held:
            x = as_held(self.w, x, held)
        if reduced:
            x = summand(self.w, self.shape, kind, x, reduced)
        return Element(kind, x, self.shape.text(x.axes))

    def _along_lanes(self, op: ForOp | ReduceOp, body: Callable[[], Given],
                     reduced: str = "") -> list[Node]:  # fmt: skip
        """A vector loop: one block of lanes, or a loop over blocks."""
        count = op.length
        if count == 0:
            return []
        with self.lanes(count) as arange:
            return self._blocks(op, body, arange, self.lane_size(count), self.tile.blocks[count],
                                LANES, reduced)  # fmt: skip

    def _in_rows(self, op: ForOp | ReduceOp, body: Callable[[], Given]) -> list[Node]:
        """A serial loop whose iterations are rows of the tile."""
        rows = self.tile.rows
        arange = self._arange(ROWS, "ROWS", rows)
        results = self._blocks(op, body, arange, "ROWS", rows, ROWS, ROWS if rows > 1 else "")
        self.shape.bounds.pop(ROWS, None)
        return results

    def _blocks(self, op: ForOp | ReduceOp, body: Callable[[], Given], arange: Node, name: str,
                size: int, axis: str, reduced: str) -> list[Node]:  # fmt: skip
        """A loop of which `size` iterations are one axis of the tile, the part that `arange` is."""
        count = op.length
        if self.lengths.most(count) <= size:
            self.values[op.index] = arange
            self.bound(axis, arange, count, size)
            return [self._folded(x, reduced) for x in body()]

        def step(first: Node) -> Given:
            index = first if size == 1 else signless(self.w, "+", first, arange, "int64")
            index.hint, index.named = ("j" if axis == LANES else "row"), True
            self.values[op.index] = index
            self.bound(axis, index, count, size)
            return body()

        return self.loop(op, self.lengths.range(count, name, size), step, reduced)

    def _serial(self, op: ForOp | ReduceOp, body: Callable[[], Given]) -> list[Node]:
        """A loop that stays one."""
        count = op.length
        if isinstance(count, int) and count < 2:
            self.values[op.index] = literal(0, "int64")
            return [x.value for x in body()] if count else []

        def step(index: Node) -> Given:
            self.values[op.index] = index
            return body()

        return self.loop(op, self.lengths.range(count), step, "")

    def loop(self, op: FuncOp | ForOp | ReduceOp, through: Range,
              step: Callable[[Node], Given], reduced: str) -> list[Node]:  # fmt: skip
        """A loop in the text. What `step` gives is combined: over iterations, and then over the
        axis `reduced` of the tile."""
        w = self.w
        hazard = self.memory.settle(op, op.index, self.skipped | set(self.added))
        self.memory.enter(op)
        w.frames.append(Frame())
        hint = "k" if not reduced else "first"
        most = through.most - 1
        index = Node("", (), through.held, hint=hint, depth=w.depth, low=0, high=most)
        given = step(index)
        loop = Loop(index, through.text, w.frames[-1])
        results = [self._carried(loop, x) for x in given]
        if hazard:
            self.memory.barrier()
        w.frames.pop()
        self.memory.enter(op)
        w.frames[-1].items.append(loop)
        folded = [Element(x.kind, r, x.shape) for x, r in zip(given, results, strict=True)]
        return [self._folded(x, reduced) for x in folded]

    def _carried(self, loop: Loop, given: Element) -> Node:
        """An accumulator of `loop`; what it is after the loop."""
        depth, axes, held = self.w.depth, given.value.axes, given.value.held
        inside = given.inside or Node("", (), held, axes, hint=given.kind, depth=depth)
        after = Node("", (), held, axes, hint=given.kind, depth=depth - 1)
        start = identity(given.kind, held)
        if axes:
            template = f"tl.full({given.shape}, {{0:p}}, tl.{held})"
            start = Node(template, (start,), held, axes, depth=depth - 1)
        following = given.following(self.w, inside)
        loop.carried.append(Carried(inside, after, start, following))
        return after

    def _folded(self, given: Element, reduced: str) -> Node:
        """What is given combined along the axis `reduced` of the tile; itself for none."""
        if not reduced:
            return given.value
        return across(self.w, self.shape, given.kind, given.value.held, given.value, reduced)

    def _both(self, pair: Online) -> None:
        from .relative import write_online

        write_online(self, pair)

    def _stream(self, op: ForOp) -> None:
        """A loop over rows that adds up columns: in registers, stored once after it."""
        sums = self.sums[op]
        given: Given = []
        self.added = {a.store: (a, given) for a in sums}

        def body() -> Given:
            self.ops(op.body.block)
            return given

        totals = self._in_rows(op, body)
        self.added = {}
        for accumulation, total in zip(sums, totals, strict=True):
            self._put(accumulation, total)

    def _put(self, a: Accumulation, total: Node) -> None:
        """Stores a column sum, which adds to what was there unless that was cleared."""
        loop = a.store.parent_op()
        assert isinstance(loop, (ForOp, ReduceOp))
        with self.lanes(loop.length) as arange:
            self.bound(LANES, arange, loop.length, self.tile.blocks[loop.length])
            self.values[loop.index] = arange
            indices = [self.values[v] for v in a.store.indices]
            if a.cleared is None:
                before = self.memory.load(a.load, indices, None, None)
                total = combined(self.w, a.kind, before, total)
            self.memory.store(a.store, total, indices, None)
