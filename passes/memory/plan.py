"""Blocks of memory for the values of a region, and which of them may be one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from ...ir.dialects.integers import integers_attribute
from ...ir.dialects.kernel import FuncOp as KernelOp
from ...ir.dialects.kernel import Launchable
from ...ir.dialects.program import SLOT_BYTES, CallOp, ConstantOp, LaunchOp, UploadOp, ViewOp
from ...ir.graph import HOST, writes_of
from ..fusion.index import Linear, axes_of, identity, strides_of, weighted
from ..fusion.types import count, dtype_of, shape_of
from ..trail import Trail
from .place import Block


@dataclass(frozen=True)
class Tensor:
    """Where a value lies: its block, and the element of it that row-major number n is."""

    block: Block
    index: Linear


class Plan:
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
