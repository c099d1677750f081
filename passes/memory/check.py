"""Checks a memory plan against the program that it plans, by following what memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from ...ir.dialects.kernel import FuncOp as KernelOp
from ...ir.dialects.kernel import Launchable
from ...ir.dialects.program import (
    ArenaOp,
    CallOp,
    ConstantOp,
    HostOp,
    InputOp,
    LaunchOp,
    OutputOp,
    ResultOp,
    UploadOp,
    ViewOp,
)
from ...ir.errors import IRError
from ...ir.graph import is_host_argument, main_of, writes_of
from ...ir.interpret.program import ARENA, HOST_BYTES, bytes_of, element_of, layout_of
from .place import ALIGNMENT

Step = LaunchOp | CallOp | UploadOp
_STEPS = (LaunchOp, CallOp, UploadOp)


@dataclass(frozen=True)
class Span:
    """Bytes [first, last) of one memory."""

    memory: str
    first: int
    last: int

    def meets(self, other: Span) -> bool:
        """True where both have a byte in common."""
        same = self.memory == other.memory
        return same and self.first < other.last and other.first < self.last


def span_of(memory: SSAValue) -> Span:
    """The bytes of a value of a planned module; none for a constant."""
    type_ = memory.type
    assert isinstance(type_, MemRefType)
    strides, offset = layout_of(type_)  # pyright: ignore[reportUnknownArgumentType]
    size = element_of(memory).itemsize
    shape = type_.get_shape()
    low = offset + sum(min(s, 0) * (n - 1) for s, n in zip(strides, shape, strict=True))
    high = offset + sum(max(s, 0) * (n - 1) for s, n in zip(strides, shape, strict=True)) + 1
    match memory.owner:
        case ArenaOp() | HostOp() as op:
            start = op.offset.value.data
            place = "arena" if isinstance(op, ArenaOp) else "host"
            return Span(place, start + low * size, start + high * size)
        case InputOp() as op:
            assert isinstance(op.argument, BlockArgument)
            return Span(f"input {op.argument.index}", low * size, high * size)
        case OutputOp() as op:
            return Span(f"output {op.index.value.data}", low * size, high * size)
        case _:
            return Span("constant", 0, 0)


def check_plan(before: ModuleOp, planned: ModuleOp) -> None:
    """IRError unless `planned` does what `before`, at stage `kernels`, does.

    Each operand must still lie whole where it was written, no kernel may have operands and results
    in one place but for buffers it names as `aliased`, offsets are aligned and in the arena, and
    launches touch no memory of the host.
    """
    _Check(before, planned).run()


class _Check:
    def __init__(self, before: ModuleOp, planned: ModuleOp) -> None:
        self.before, self.planned = main_of(before), main_of(planned)
        self.kernels = {k.sym_name.data: k for k in planned.ops if isinstance(k, KernelOp)}
        self.launchable = Launchable(planned)
        self.holds: dict[SSAValue, Span] = {}
        self.root: dict[SSAValue, SSAValue] = {}
        self.sizes = {
            "arena": bytes_of(self.planned, ARENA), "host": bytes_of(self.planned, HOST_BYTES),
        }  # fmt: skip

    def run(self) -> None:
        old = (op for op in self.before.body.block.ops if self._is_step(op))
        new = (op for op in self.planned.body.block.ops if isinstance(op, _STEPS))
        for a in self.before.args:
            self.holds[a] = Span(f"input {a.index}", 0, 1 << 62)
        for op in old:
            step = next(new, None)
            if step is None:
                raise IRError(f"plan: {op.name} is missing")
            self._step(op, step)
        self._end(list(new))

    def _is_step(self, op: Operation) -> bool:
        if isinstance(op, ViewOp):
            self.root[op.view] = self._base(op.source)
        return isinstance(op, _STEPS)

    def _base(self, value: SSAValue) -> SSAValue:
        return self.root.get(value, value)

    def _step(self, op: Operation, step: Step) -> None:
        assert isinstance(op, _STEPS)
        reads = [self._span(m) for m in step.arguments]
        if isinstance(step, LaunchOp):
            self._on_device(step)
        for value, span in zip(op.arguments, reads, strict=True):
            self._holds(value, span, step)
        writes = [self._span(m) for m in step.into]
        self._overlaps(step, reads, writes)
        for value, span in zip(op.outputs, writes, strict=True):
            self._write(value, span)

    def _holds(self, value: SSAValue, span: Span, step: Operation) -> None:
        base = self._base(value)
        if isinstance(base.owner, ConstantOp):
            return
        found = self.holds.get(base)
        inside = (
            found
            and found.memory == span.memory
            and (found.first <= span.first and span.last <= found.last)
        )
        if not inside:
            raise IRError(f"plan: {step} reads {span}, which no longer holds what it needs")

    def _write(self, value: SSAValue, span: Span) -> None:
        self.holds = {v: s for v, s in self.holds.items() if not s.meets(span)}
        self.holds[value] = span

    def _overlaps(self, step: Step, reads: list[Span], writes: list[Span]) -> None:
        spans = [*reads, *writes]
        for j in range(len(reads), len(spans)):
            for i in range(j):
                if spans[i].meets(spans[j]) and not self._may_be_one(step, len(spans), {i, j}):
                    raise IRError(f"plan: buffers {i} and {j} of {step} overlap")

    def _may_be_one(self, step: Step, count: int, buffers: set[int]) -> bool:
        """True where a kernel names `buffers` as aliased, and no other of its batch uses them."""
        if not isinstance(step, LaunchOp):
            return False
        members = self.launchable.members(step.kernel_name, count)
        users = [m for m in members if buffers & set(m.buffers)]
        if len(users) != 1:
            return False
        numbers = self.kernels[users[0].kernel].aliased_numbers
        return buffers <= {users[0].buffers[n] for n in numbers}

    def _on_device(self, step: LaunchOp) -> None:
        for memory in step.operands:
            owner = memory.owner
            given = owner.argument if isinstance(owner, InputOp) else None
            hosted = isinstance(given, BlockArgument) and is_host_argument(
                self.planned, given.index
            )
            if hosted or isinstance(owner, HostOp):
                raise IRError(f"plan: {step} touches memory of the host")

    def _span(self, memory: SSAValue) -> Span:
        found, op = span_of(memory), memory.owner
        if isinstance(op, ArenaOp | HostOp):
            start, size = op.offset.value.data, self.sizes[found.memory]
            if start % ALIGNMENT or found.last > size:
                raise IRError(f"plan: {op} is not aligned, or beyond {size} bytes")
        return found

    def _end(self, copies: list[Step]) -> None:
        """Copies into arguments come last; then every result lies where it should."""
        end = self.before.body.block.last_op
        assert isinstance(end, ReturnOp)
        targets = dict(writes_of(self.before))
        for copy in copies:
            source, target = self._span(copy.arguments[0]), self._span(copy.into[0])
            held = [v for v, s in self.holds.items() if s == source]
            if len(held) != 1:
                raise IRError(f"plan: {copy} copies what is not there")
            self._write(held[0], target)
        results = list(self._results())
        for r, value in enumerate(end.operands):
            base, span = self._base(value), results[r]
            if span is None:
                continue
            self._holds(value, span, self.planned)
            wanted = f"input {targets[r]}" if r in targets else f"output {r}"
            if span.memory != wanted:
                raise IRError(f"plan: result {r} lies in {span.memory}, not in {wanted}")
            assert base is not None

    def _results(self) -> Iterator[Span | None]:
        end = self.planned.body.block.last_op
        assert isinstance(end, ReturnOp)
        for v in end.operands:
            yield self._span(v.owner.memory) if isinstance(v.owner, ResultOp) else None
