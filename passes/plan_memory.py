"""Memory: every tensor of a region gets a place, so that the peak is known before the region runs.

Intermediates lie at fixed offsets of one arena. Results lie in fresh memory, or where they are
written back in that of their argument, if nothing reads its old elements later. A kernel that reads
an element only where it stores one writes over an operand that dies with it. What the CPU computes
for a device has memory of its own there, and the device's copies lie in the arena side by side.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from xdsl.dialects.builtin import (
    DictionaryAttr,
    MemRefType,
    ModuleOp,
    StridedLayoutAttr,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from ..ir.dialects.elements import element_type
from ..ir.dialects.integers import integer_attribute, integers_attribute
from ..ir.dialects.kernel import FuncOp as KernelOp
from ..ir.dialects.kernel import Launchable
from ..ir.dialects.program import (
    SLOT_BYTES,
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
from ..ir.dtypes import DType
from ..ir.graph import HOST, main_of, writes_of
from ..ir.interpret_program import ARENA, HOST_BYTES
from .fusion.index import Linear, axes_of, identity, strides_for, strides_of, weighted
from .fusion.types import Shape, count, dtype_of, shape_of
from .trail import OFF, Trail

ALIGNMENT = 64


@dataclass(eq=False)
class Block:
    """Memory of one or more values, one after the other. `kind` and `number` say where: (`arena`,
    offset), (`host`, offset), (`output`, index) or (`input`, index); it is used from op number
    `start` to `end`."""

    size: int
    start: int
    end: int
    kind: str = "arena"
    number: int = -1
    values: list[SSAValue] = field(default_factory=list[SSAValue])


@dataclass(frozen=True)
class Tensor:
    """Where a value lies: its block, and the element of it that row-major number n is."""

    block: Block
    index: Linear


def plan_memory(module: ModuleOp, reuse: bool = True, trail: Trail = OFF) -> int:
    """Takes a module from stage `kernels` to stage `planned`; returns the bytes of the arena.

    Without `reuse` no byte serves two values, so that a checker of memory can tell them apart.
    Where it has to stop, what is not placed by then lies apart from all else.
    """
    func = main_of(module)
    plan = _Plan(module, func, trail)
    plan.run()
    if not reuse:
        for block in plan.blocks:
            block.start, block.end = 0, len(plan.ops)
    size = place([b for b in plan.blocks if b.kind == "arena"], plan.shares)
    on_host = place([b for b in plan.blocks if b.kind == "host"], plan.shares)
    _Emitting(func, plan).run()
    func.attributes[ARENA] = integer_attribute(size)
    if on_host:
        func.attributes[HOST_BYTES] = integer_attribute(on_host)
    return size


class _Plan:
    """Blocks for all values, and which results are copied into their arguments at the end."""

    def __init__(self, module: ModuleOp, func: FuncOp, trail: Trail) -> None:
        self.trail, self.arguments = trail, func.args
        self.ops = list(func.body.block.ops)
        self.kernels = {k.sym_name.data: k for k in module.ops if isinstance(k, KernelOp)}
        self.launchable = Launchable(module)
        self.tensors: dict[SSAValue, Tensor] = {}
        self.blocks: list[Block] = []
        self.copies: list[tuple[SSAValue, int]] = []
        self.aliased: dict[str, set[int]] = {}
        end = self.ops[-1]
        assert isinstance(end, ReturnOp)
        self.returned = list(end.operands)
        self.writes = dict(writes_of(func))

    def run(self) -> None:
        for i, a in enumerate(self.arguments):
            block = Block(count(shape_of(a)) * dtype_of(a).itemsize, -1, -1, "input", i, [a])
            self.tensors[a] = Tensor(block, identity(count(shape_of(a))))
        for i, op in enumerate(self.ops):
            self._define(i, op)
        for i, op in enumerate(self.ops):
            for v in _read(op):
                block = self.tensors[v].block
                block.end = max(block.end, i)
        self._place_results()
        for i, op in enumerate(self.ops):
            if isinstance(op, LaunchOp):
                self._reuse(i, op)
        for name, buffers in self.aliased.items():
            self.kernels[name].aliased = integers_attribute(sorted(buffers))

    def _define(self, i: int, op: Operation) -> None:
        match op:
            case LaunchOp():
                self._make(i, op.outputs, [None] * len(op.outputs))
            case CallOp():
                kind = "host" if HOST in op.attributes else "arena"
                self._make(i, op.outputs, op.strides or [None] * len(op.outputs), kind)
            case UploadOp():
                self._make_slots(i, op)
            case ConstantOp():
                block = Block(dtype_of(op.res).itemsize, i, i, "constant", i, [op.res])
                self.tensors[op.res] = Tensor(block, identity(1))
            case ViewOp():
                source = self.tensors[op.source]
                index = weighted(axes_of(shape_of(op.view)), op.steps, op.start.value.data)
                self.tensors[op.view] = Tensor(source.block, index)
                source.block.values.append(op.view)
            case _:
                pass

    def _make(self, i: int, values: Sequence[SSAValue],
              strides: Sequence[tuple[int, ...] | None], kind: str = "arena") -> None:  # fmt: skip
        for v, given in zip(values, strides, strict=True):
            shape = shape_of(v)
            index = weighted(axes_of(shape), given) if given else identity(count(shape))
            length = index.high + 1 if count(shape) else 0
            block = Block(length * dtype_of(v).itemsize, i, i, kind, values=[v])
            self.tensors[v] = Tensor(block, index)
            self.blocks.append(block)

    def _make_slots(self, i: int, op: UploadOp) -> None:
        block = Block(len(op.outputs) * SLOT_BYTES, i, i, values=list(op.outputs))
        for n, v in enumerate(op.outputs):
            first = n * SLOT_BYTES // dtype_of(v).itemsize
            self.tensors[v] = Tensor(
                block, weighted(axes_of(shape_of(v)), strides_of(shape_of(v)), first)
            )
        self.blocks.append(block)

    def _place_results(self) -> None:
        last = len(self.ops)
        for r, v in enumerate(self.returned):
            block = self.tensors[v].block
            argument = self.writes.get(r)
            if isinstance(v, BlockArgument) and (argument is None or argument == v.index):
                continue
            assert block.kind in ("arena", "host"), (
                f"result {r} shares memory; fusion gives it its own"
            )
            if argument is None:
                block.kind, block.number = "output", r
            elif not self.trail.done and self._may_overwrite(block, argument):
                block.kind, block.number = "input", argument
                self.trail.note("overwrite_argument", self.ops[block.start])
            else:
                block.end = last
                self.copies.append((v, argument))

    def _may_overwrite(self, block: Block, argument: int) -> bool:
        """True where nothing reads the argument once the op that makes `block` has run."""
        old = self.tensors[self.arguments[argument]].block
        if old.end != block.start:
            return old.end < block.start
        op = self.ops[block.start]
        if not isinstance(op, LaunchOp):
            return False
        arguments = list(op.arguments)
        buffers = [i for i, v in enumerate(arguments) if self.tensors[v].block is old]
        made = len(arguments) + list(op.outputs).index(block.values[0])  # pyright: ignore
        if len(buffers) != 1 or (buffers[0], made) not in op.reusable:
            return False
        self._alias(op, buffers[0], made)
        return True

    def _reuse(self, i: int, op: LaunchOp) -> None:
        """Lets results take the place of operands that die here."""
        taken: set[Block] = set()
        arguments = [self.tensors[v].block for v in op.arguments]
        outputs = list(op.outputs)
        for given, made in op.reusable:
            old = arguments[given]
            if old.kind != "arena" or old.end != i:
                continue
            new = self.tensors[outputs[made - len(arguments)]].block
            dies = new.kind == "arena" and new.start == i
            alone = sum(block is old for block in arguments) == 1
            if not dies or not alone or old in taken or new in taken or old.size != new.size:
                continue
            if self.trail.done:
                return
            taken |= {old, new}
            self._alias(op, given, made)
            old.end = new.end
            old.values += new.values
            for v in new.values:
                self.tensors[v] = Tensor(old, self.tensors[v].index)
            self.blocks.remove(new)
            self.trail.note("overwrite_operand", op)

    def shares(self, block: Block) -> bool:
        """Whether a block that gets its place now may lie where others did before."""
        if self.trail.done:
            return False
        self.trail.note("place", self.ops[block.start])
        return True

    def _alias(self, op: LaunchOp, *buffers: int) -> None:
        total = len(op.arguments) + len(op.outputs)
        for member in self.launchable.members(op.kernel_name, total):
            own = {i for i, b in enumerate(member.buffers) if b in buffers}
            if own and member.kernel not in self.aliased:
                self.aliased[member.kernel] = set(self.kernels[member.kernel].aliased_numbers)
            if own:
                self.aliased[member.kernel] |= own


def _read(op: Operation) -> Iterable[SSAValue]:
    return op.operands if isinstance(op, (LaunchOp, CallOp, UploadOp)) else ()


def _any(block: Block) -> bool:
    return True


def place(blocks: Iterable[Block], shares: Callable[[Block], bool] = _any) -> int:
    """Sets the offset of each block; returns the bytes that all take. One that not `shares` has
    memory of its own, and so have those after it.

    Greedy by size (Pisarchyk and Lee 2020): the largest first, each into the smallest gap that
    holds it among those placed that live at the same time.
    """
    done: list[tuple[int, int, int, int]] = []
    top = 0
    for block in sorted(blocks, key=lambda b: (-b.size, b.start)):
        start, end, size = block.start, block.end, _aligned(block.size)
        taken = [(first, last) for first, last, s, e in done if s <= end and start <= e]
        block.number = _best_gap(taken, size) if shares(block) else top
        top = max(top, block.number + size)
        insort(done, (block.number, block.number + size, start, end))
    return top


def _aligned(size: int) -> int:
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT


def _best_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    """The start of the smallest gap of at least `size` between intervals, else their end."""
    best: tuple[int, int] | None = None
    reached = 0
    for first, last in taken:
        gap = first - reached
        if gap >= size and (best is None or gap < best[0]):
            best = gap, reached
        reached = max(reached, last)
    return reached if best is None else best[1]


class _Emitting:
    """Rewrites the ops of a function to work on memory."""

    def __init__(self, func: FuncOp, plan: _Plan) -> None:
        self.func, self.plan = func, plan
        self.memory: dict[tuple[object, ...], SSAValue] = {}
        self.made: list[Operation] = []

    def run(self) -> None:
        old = self.plan.ops
        end = old[-1]
        for op in old:
            op.detach()
        for op in old[:-1]:
            if isinstance(op, (LaunchOp, CallOp, UploadOp)):
                self._step(op)
        for value, argument in self.plan.copies:
            self._copy(value, argument, end)
        results = [self._result(i, v, end) for i, v in enumerate(self.plan.returned)]
        final = ReturnOp.create(operands=results)
        final.location = end.location
        block = self.func.body.block
        for op in [*self.made, final]:
            block.add_op(op)
        for op in reversed(old):
            op.drop_all_references()

    def _add(self, op: Operation, location: Any) -> None:
        op.location = location
        self.made.append(op)

    def _ref(self, value: SSAValue, location: Any) -> SSAValue:
        """The memory of `value`; values of one type in one place share it."""
        tensor = self.plan.tensors[value]
        block, dtype, shape = tensor.block, dtype_of(value), shape_of(value)
        key = block.kind, block.number, dtype.name, shape, tensor.index
        known = self.memory.get(key)
        if known is not None:
            return known
        type_ = memory_type(dtype, shape, tensor.index)
        match block.kind:
            case "input":
                op = InputOp(self.plan.arguments[block.number], type_)
            case "output":
                op = OutputOp(block.number, type_)
            case "constant":
                source = self.plan.ops[block.number]
                assert isinstance(source, ConstantOp)
                op = ConstantOp(source.value, type_)
            case "host":
                op = HostOp(block.number, type_)
            case _:
                op = ArenaOp(block.number, type_)
        self._add(op, location)
        self.memory[key] = op.results[0]
        return op.results[0]

    def _step(self, op: LaunchOp | CallOp | UploadOp) -> None:
        arguments = [self._ref(v, op.location) for v in op.arguments]
        into = [self._ref(v, op.location) for v in op.outputs]
        match op:
            case LaunchOp():
                new = LaunchOp.of(op.kernel_name, arguments, [], into=into)
            case UploadOp():
                new = UploadOp.of(arguments, [], into)
            case CallOp():
                new = CallOp.of(op.callee.data, arguments, op.counts, op.given, [], into)
                new.attributes |= {k: v for k, v in op.attributes.items() if k == HOST}
        self._add(new, op.location)

    def _copy(self, value: SSAValue, argument: int, end: Operation) -> None:
        location = value.owner.location if isinstance(value.owner, Operation) else end.location
        source = self._ref(value, location)
        target = self._ref(self.plan.arguments[argument], location)
        copy = CallOp.of("clone", [source], [1], DictionaryAttr({}), [], [target])
        if self.plan.tensors[value].block.kind == "host":
            copy.attributes[HOST] = UnitAttr()
        self._add(copy, location)

    def _result(self, number: int, value: SSAValue, end: Operation) -> SSAValue:
        if isinstance(value, BlockArgument):
            return value
        target = next((a for v, a in self.plan.copies if v is value), None)
        place = value if target is None else self.plan.arguments[target]
        source = self._ref(place, end.location)
        op = ResultOp(source, value.type)
        self._add(op, end.location)
        return op.value


@lru_cache(1 << 12)
def memory_type(dtype: DType, shape: Shape, index: Linear) -> MemRefType[Any]:
    """The memref of a tensor whose row-major number n is element `index` of its memory."""
    strides = strides_for(index, shape)
    assert strides is not None, "a tensor in memory has strides"
    element = element_type(dtype)
    if index.const == 0 and (strides == strides_of(shape) or index == identity(count(shape))):
        return MemRefType(element, shape)
    return MemRefType(element, shape, StridedLayoutAttr(strides, index.const))
