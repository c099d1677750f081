"""A kernel's loop nest as one LLVM function: the vector axis in lanes, with a masked remainder."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from xdsl.ir import Block, Operation, SSAValue

from ...ir.dialects.kernel import (
    LANES,
    BufferType,
    ForOp,
    FuncOp,
    LoadOp,
    LocalOp,
    ReduceOp,
    StoreOp,
)
from .access import Buffer, load, memory_type, store
from .combine import across_lanes, combined, identity
from .functions import written_out
from .offsets import lane_values, offset_of
from .scalar_ops import NATIVE, llvm_type, lower
from .writer import LaneIndex, Value, Writer, integer

_UNROLLED_OPS = 12
"""A lane reduction's body is repeated while it has no more ops than this: a short loop would spend
much of its time on the loop itself."""


class NestWriter:
    """Writes one kernel; `values` holds what each IR value is in the part being written."""

    def __init__(
        self, func: FuncOp, writer: Writer, buffers: dict[SSAValue, Buffer],
        sizes: Mapping[SSAValue, Value],
    ) -> None:  # fmt: skip
        self.func = func
        self.w = writer
        self.buffers = buffers
        self.values: dict[SSAValue, Value | LaneIndex] = dict(sizes)
        self.width = 1
        self.lanes: Value | None = None

    def write(self, begin: Value, end: Value) -> None:
        """Writes the parallel axis from `begin` to `end`."""
        if self.func.vector is None:
            with (
                self.w.when(self.w.compare("icmp slt", begin, end)),
                self.w.loop(begin, end, 1) as loop,
            ):
                self.values[self.func.index] = loop.index
                self._ops(self.func.body.block)
        else:
            self._parallel_lanes(begin, end)

    def _parallel_lanes(self, begin: Value, end: Value) -> None:
        w, block = self.w, self.func.body.block
        step = LANES * _power_of_two(self.func.unroll.value.data if self.func.unroll else 1)
        whole = w.binary("and", w.binary("sub", end, begin), integer(-step))
        middle = w.binary("add", begin, whole)
        if not isinstance(self.func.length, int) or self.func.length >= step:
            self._whole_lanes(self.func.index, begin, middle, step, block)
        self._last_lanes(self.func.index, middle, end, block)

    def _whole_lanes(
        self, index: SSAValue, begin: Value, end: Value, step: int, block: Block
    ) -> None:
        """Writes `block` for `begin` to `end`, which are some steps apart, or none."""
        w = self.w
        with (
            w.when(w.compare("icmp slt", begin, end)),
            w.loop(begin, end, step) as loop,
            self._in_lanes(index, loop.index, step),
        ):
            self._ops(block)

    def _last_lanes(self, index: SSAValue, begin: Value, end: Value, block: Block) -> None:
        """Writes `block` for `begin` to `end`, with lanes beyond it masked off."""
        w = self.w
        with (
            w.when(w.compare("icmp slt", begin, end)),
            w.loop(begin, end, LANES) as loop,
            self._in_lanes(index, loop.index, LANES, self._lanes_before(loop.index, end)),
        ):
            self._ops(block)

    def _lanes_before(self, index: Value, end: Value) -> Value:
        """Which of the lanes from `index` on are before `end`."""
        lanes = lane_values(self.w, LaneIndex(integer(0), LANES))
        return self.w.compare("icmp slt", lanes, self.w.binary("sub", end, index))

    @contextmanager
    def _in_lanes(
        self, index: SSAValue, base: Value, width: int, lanes: Value | None = None
    ) -> Generator[None]:
        """The part in which `index` is `base` and on in `width` lanes, `lanes` of which exist."""
        self.values[index] = LaneIndex(base, width)
        outer = self.width, self.lanes
        self.width, self.lanes = width, lanes
        yield
        self.width, self.lanes = outer

    def _ops(self, block: Block) -> None:
        for op in block.ops:
            row = _ROWS.get(op.name)
            if row is not None:
                row(self, op)
            elif op.name not in ("kernel.yield", "kernel.return"):
                self._scalar(op)

    def _data(self, value: SSAValue) -> Value:
        """What `value` is as data; a lane index becomes a vector."""
        known = self.values[value]
        return lane_values(self.w, known) if isinstance(known, LaneIndex) else known

    def _scalar(self, op: Operation) -> None:
        operands = [self._data(v) for v in op.operands]
        if op.name in NATIVE:
            self.values[op.results[0]] = lower(self.w, op, operands)
            return
        function = written_out(op)
        self.values.update(zip(function.block.args, operands, strict=True))
        for inner in function.block.ops:
            self._scalar(inner)
        self.values[op.results[0]] = self._data(function.result)

    def load(self, op: LoadOp) -> None:
        """Writes a `kernel.load`."""
        offset = offset_of(self.w, op.map.data, [self.values[v] for v in op.indices])
        mask = None if op.mask is None else self._data(op.mask)
        other = None if op.other is None else self._data(op.other)
        self.values[op.value] = load(
            self.w, self.buffers[op.buffer], offset, self.width, self.lanes, mask, other
        )

    def store(self, op: StoreOp) -> None:
        """Writes a `kernel.store`."""
        offset = offset_of(self.w, op.map.data, [self.values[v] for v in op.indices])
        mask = None if op.mask is None else self._data(op.mask)
        store(
            self.w,
            self._data(op.value),
            self.buffers[op.buffer],
            offset,
            self.width,
            self.lanes,
            mask,
        )

    def local(self, op: LocalOp) -> None:
        """Writes a `kernel.local` as memory on the stack."""
        type_ = op.buffer.type
        assert isinstance(type_, BufferType)
        memory = memory_type(type_.dtype)
        pointer = self.w.stack(f"alloca [{op.count.value.data} x {memory}], align 64", op)
        self.buffers[op.buffer] = Buffer(pointer, type_.dtype, "", written=True)

    def loop(self, op: ForOp) -> None:
        """Writes a `kernel.for`."""
        if op.size is not None and op.vector is not None:
            self._sized_lanes(op, self._data(op.size))
            return
        if op.vector is None:

            def once(index: Value, _: list[Value]) -> list[Value]:
                self.values[op.index] = index
                self._ops(op.body.block)
                return []

            self._repeat(self._length(op), 1, [], once)
            return
        whole, rest = divmod(op.trip_count, LANES)
        unroll = _fitting(op.unroll.value.data if op.unroll else 1, whole)

        def lanes(base: Value, _: list[Value]) -> list[Value]:
            with self._in_lanes(op.index, base, LANES * unroll):
                self._ops(op.body.block)
            return []

        self._repeat(whole * LANES, LANES * unroll, [], lanes)
        if rest:
            base = integer(whole * LANES)
            with self._in_lanes(op.index, base, LANES, _first_lanes(rest)):
                self._ops(op.body.block)

    def _length(self, op: ForOp | ReduceOp) -> int | Value:
        return op.trip_count if op.size is None else self._data(op.size)

    def _sized_lanes(self, op: ForOp, size: Value) -> None:
        step = LANES * _power_of_two(op.unroll.value.data if op.unroll else 1)
        middle = self.w.binary("and", size, integer(-step))
        self._whole_lanes(op.index, integer(0), middle, step, op.body.block)
        self._last_lanes(op.index, middle, size, op.body.block)

    def reduce(self, op: ReduceOp) -> None:
        """Writes a `kernel.reduce`."""
        width = self.width if op.vector is None else LANES
        start = [
            self.w.widened(identity(kind, llvm_type(result.type)), width)
            for kind, result in zip(op.kinds, op.results, strict=True)
        ]
        if op.vector is not None and op.size is not None:
            final = self._reduced_sized(op, self._data(op.size), start)
        elif op.vector is not None:
            final = self._reduced_lanes(op, start)
        else:

            def once(index: Value, so_far: list[Value]) -> list[Value]:
                self.values[op.index] = index
                return self._step(op, so_far)

            final = self._repeat(self._length(op), 1, start, once)
        self.values.update(zip(op.results, final, strict=True))

    def _reduced_lanes(self, op: ReduceOp, start: list[Value]) -> list[Value]:
        whole, rest = divmod(op.trip_count, LANES)
        steps = _fitting(_UNROLLED_OPS // len(op.body.block.ops) or 1, whole)

        def several(base: Value, so_far: list[Value]) -> list[Value]:
            return self._several(op, base, so_far, steps)

        lanes = self._repeat(whole * LANES, steps * LANES, start, several)
        if rest:
            existing = _first_lanes(rest)
            with self._in_lanes(op.index, integer(whole * LANES), LANES, existing):
                stepped = self._step(op, lanes)
            lanes = [
                self.w.select(existing, new, old) for new, old in zip(stepped, lanes, strict=True)
            ]
        return [across_lanes(self.w, kind, v) for kind, v in zip(op.kinds, lanes, strict=True)]

    def _several(self, op: ReduceOp, base: Value, so_far: list[Value], steps: int) -> list[Value]:
        """Writes `steps` vectors of a reduction, from `base` on."""
        for k in range(steps):
            with self._in_lanes(op.index, self.w.sum(base, integer(k * LANES)), LANES):
                so_far = self._step(op, so_far)
        return so_far

    def _reduced_sized(self, op: ReduceOp, size: Value, start: list[Value]) -> list[Value]:
        """The same where the number of iterations is a value."""
        w = self.w
        steps = _power_of_two(_UNROLLED_OPS // len(op.body.block.ops) or 1)
        middle = w.binary("and", size, integer(-steps * LANES))
        with w.when(w.compare("icmp slt", integer(0), middle), start) as whole:
            with w.loop(integer(0), middle, steps * LANES, start) as loop:
                loop.given = self._several(op, loop.index, loop.carried, steps)
            whole.given = loop.given
        with w.when(w.compare("icmp slt", middle, size), whole.given) as last:
            with w.loop(middle, size, LANES, whole.given) as loop:
                existing = self._lanes_before(loop.index, size)
                with self._in_lanes(op.index, loop.index, LANES, existing):
                    stepped = self._step(op, loop.carried)
                pairs = zip(stepped, loop.carried, strict=True)
                loop.given = [w.select(existing, new, old) for new, old in pairs]
            last.given = loop.given
        return [across_lanes(w, kind, v) for kind, v in zip(op.kinds, last.given, strict=True)]

    def _step(self, op: ReduceOp, so_far: Sequence[Value]) -> list[Value]:
        """Writes the body and combines what it yields."""
        self._ops(op.body.block)
        end = op.body.block.last_op
        assert end is not None
        elements = [self.w.widened(self._data(v), self.width) for v in end.operands]
        return [
            combined(self.w, kind, old, new)
            for kind, old, new in zip(op.kinds, so_far, elements, strict=True)
        ]

    def _repeat(
        self,
        count: int | Value,
        step: int,
        start: list[Value],
        body: Callable[[Value, list[Value]], list[Value]],
    ) -> list[Value]:
        """Writes `body` for indices 0, step, ... below `count`; it maps carried values. A size is
        never 0."""
        if isinstance(count, int) and count <= step:
            return body(integer(0), start) if count else start
        end = integer(count) if isinstance(count, int) else count
        with self.w.loop(integer(0), end, step, start) as loop:
            loop.given = body(loop.index, loop.carried)
        return loop.given


def _power_of_two(number: int) -> int:
    """The largest power of two that is at most `number`."""
    return 1 << (number.bit_length() - 1)


def _fitting(unroll: int, whole: int) -> int:
    """The largest power of two, at most `unroll`, that divides `whole` vectors."""
    unroll = _power_of_two(unroll)
    while whole % unroll:
        unroll //= 2
    return unroll


def _first_lanes(count: int) -> Value:
    """The mask of the first `count` of 16 lanes."""
    bits = ", ".join(f"i1 {int(k < count)}" for k in range(LANES))
    return Value(f"<{bits}>", "i1", LANES, literal=True)


_ROWS: dict[str, Callable[[NestWriter, Any], None]] = {
    "kernel.load": NestWriter.load,
    "kernel.store": NestWriter.store,
    "kernel.local": NestWriter.local,
    "kernel.for": NestWriter.loop,
    "kernel.reduce": NestWriter.reduce,
}
