"""Whether launches and calls of a program stay in the memory that they are given.

Passes emit what does; of text that was written by hand it is not known before it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from .dialects.kernel import ForOp, FuncOp, Launchable, LoadOp, LocalOp, ReduceOp, StoreOp
from .dialects.kernel.types import BufferType
from .dialects.ot.types import NumberType
from .dialects.program import (
    ArenaOp,
    CallOp,
    ConstantOp,
    HostOp,
    InputOp,
    LaunchOp,
    OutputOp,
    ViewOp,
)
from .errors import DTypeError, IRError, ShapeError
from .graph import main_of, type_of
from .interpret.program import ARENA, HOST_BYTES, bytes_of, call_attributes, element_of, layout_of
from .op import OPS, Type
from .text import Where

_MOST_POINTS = 1 << 21
"""So many iterations are looked at one by one; of more the first and the last along each axis."""


def check_bounds(module: ModuleOp, where: Where) -> None:
    """IRError at the first launch, call or place in memory of `@main` that leaves what it is given,
    or is of other types than its kernel or op."""
    for op, problem in _Bounds(module).problems():
        raise IRError(f"{where(op)}{problem}")


class _Bounds:
    def __init__(self, module: ModuleOp) -> None:
        self.main = main_of(module)
        self.kernels = {k.sym_name.data: k for k in module.ops if isinstance(k, FuncOp)}
        self.launchable = Launchable(module)

    def problems(self) -> Iterator[tuple[Operation, str]]:
        for op in self.main.body.block.ops:
            match op:
                case LaunchOp():
                    yield from self._launch(op)
                case CallOp():
                    yield from _call(op)
                case InputOp() | OutputOp() | ArenaOp() | HostOp():
                    yield from self._place(op)
                case _:
                    pass

    def _launch(self, op: LaunchOp) -> Iterator[tuple[Operation, str]]:
        given = [*op.arguments, *op.into, *op.outputs]
        for member in self.launchable.members(op.kernel_name, len(given)):
            kernel = self.kernels.get(member.kernel)
            if kernel is None:
                yield op, f"no kernel is called {member.kernel}"
                return
            buffers = [a for a in kernel.body.block.args if isinstance(a.type, BufferType)]
            if len(member.buffers) != len(buffers) or max(member.buffers) >= len(given):
                yield op, f"{member.kernel} takes {len(buffers)} buffers; give as many"
                return
            values = [given[b] for b in member.buffers]
            for buffer, value in zip(buffers, values, strict=True):
                assert isinstance(buffer.type, BufferType)
                if buffer.type.dtype != element_of(value):
                    yield (
                        op,
                        (
                            f"buffer {buffer.index} of {member.kernel} has elements of "
                            f"{buffer.type.dtype.name}; {element_of(value).name} comes"
                        ),
                    )
                    return
            yield from _accesses(kernel, dict(zip(buffers, map(_elements, values), strict=True)))

    def _place(self, op: InputOp | OutputOp | ArenaOp | HostOp) -> Iterator[tuple[Operation, str]]:
        first, last = _span(op.memory)
        size = element_of(op.memory).itemsize
        match op:
            case InputOp():
                whole, start = _elements(op.argument) * type_of(op.argument).dtype.itemsize, 0
            case OutputOp():
                end = self.main.body.block.last_op
                assert end is not None
                index = op.index.value.data
                if not 0 <= index < len(end.operands):
                    yield op, f"there is no result {index}"
                    return
                of = type_of(end.operands[index])
                whole, start = prod(map(int, of.shape)) * of.dtype.itemsize, 0  # pyright: ignore
            case _:
                attribute = ARENA if isinstance(op, ArenaOp) else HOST_BYTES
                whole, start = bytes_of(self.main, attribute), op.offset.value.data
        low, high = start + first * size, start + last * size
        if last > first and (low < 0 or high > whole):
            yield op, f"bytes {low} to {high} of memory that has {whole}"


def _call(op: CallOp) -> Iterator[tuple[Operation, str]]:
    schema = OPS[op.callee.data]
    operands = [
        [_type(v) for v in o] if isinstance(o, list) else None if o is None else _type(o)
        for o in op.grouped
    ]
    try:
        wanted = schema.infer(operands, call_attributes(schema, op))
    except (ShapeError, DTypeError) as error:
        yield op, str(error)
        return
    made = [_type(v) for v in (*op.into, *op.outputs)]
    for i, (found, right) in enumerate(zip(made, wanted, strict=False)):
        if (found.shape, found.dtype) != (tuple(right.shape), right.dtype):
            yield (
                op,
                (
                    f"result {i} of {schema.name} is {right.dtype.name}{list(right.shape)}; "
                    f"{found.dtype.name}{list(found.shape)} is there"
                ),
            )


def _type(value: SSAValue) -> Type:
    """Of a tensor, a number, or memory that holds one."""
    if not isinstance(value.type, MemRefType):
        return type_of(value)
    owner = value.owner
    given = owner.argument.type if isinstance(owner, InputOp) else None
    wrapped = isinstance(owner, ConstantOp) or isinstance(given, NumberType)
    return Type(tuple(value.type.get_shape()), element_of(value), wrapped)  # pyright: ignore


def _span(memory: SSAValue) -> tuple[int, int]:
    """The elements [first, last) that memory of some layout reaches, from where it lies."""
    assert isinstance(memory.type, MemRefType)
    strides, start = layout_of(memory.type)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    return _reach(tuple(memory.type.get_shape()), strides, start)  # pyright: ignore


def _reach(shape: Sequence[int], strides: Sequence[int], start: int) -> tuple[int, int]:
    if 0 in shape:
        return start, start
    steps = [s * (n - 1) for s, n in zip(strides, shape, strict=True)]
    return start + sum(min(s, 0) for s in steps), start + sum(max(s, 0) for s in steps) + 1


def _elements(value: SSAValue) -> int:
    """How many elements lie in a value's memory from its first one on."""
    owner = value.owner
    if isinstance(value.type, MemRefType):
        _, start = layout_of(value.type)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        return _span(value)[1] - start
    shape = tuple(int(n) for n in type_of(value).shape)  # pyright: ignore
    if isinstance(owner, ViewOp):
        return _reach(shape, owner.steps, 0)[1]
    if isinstance(owner, CallOp) and owner.strides and owner.strides[value.index]:  # pyright: ignore
        return _reach(shape, owner.strides[value.index], 0)[1]  # pyright: ignore
    return prod(shape)


def _accesses(
    kernel: FuncOp, elements: dict[BlockArgument, int]
) -> Iterator[tuple[Operation, str]]:
    """Loads and stores beyond buffers of so many elements; masked ones and those at places that are
    loaded are not looked at."""
    for op in kernel.walk():
        if not isinstance(op, LoadOp | StoreOp) or op.mask is not None:
            continue
        buffer = op.buffer
        if isinstance(buffer.owner, LocalOp):
            count = buffer.owner.count.value.data
        else:
            assert isinstance(buffer, BlockArgument)
            count = elements[buffer]
        reached = _offsets(op)
        if reached is not None and (reached[0] < 0 or reached[1] >= count):
            verb = "loads" if isinstance(op, LoadOp) else "stores"
            places = f"elements {reached[0]} to {reached[1]} of a buffer that has {count}"
            yield op, f"{kernel.sym_name.data} {verb} {places}"


def _offsets(op: LoadOp | StoreOp) -> tuple[int, int] | None:
    """The least and the largest offset of an access; None where it is never made, or not known."""
    map_ = op.map.data
    if map_.num_symbols:
        return None
    lengths = [_length(i) for i in op.indices]
    known = [n for n in lengths if n]
    if len(known) < len(lengths):
        return None
    is_small = prod(known) <= _MOST_POINTS
    points = [np.arange(n) if is_small else np.array([0, n - 1]) for n in known]
    grid: list[Any] = list(np.ix_(*points))
    found = np.asarray(map_.results[0].eval(grid, []))
    return int(found.min()), int(found.max())


def _length(index: SSAValue) -> int | None:
    """Iterations of the loop whose index this is; None where a size says it."""
    assert isinstance(index, BlockArgument)
    loop = index.owner.parent_op()
    if isinstance(loop, FuncOp):
        return None if loop.extent is None else loop.extent.value.data
    assert isinstance(loop, ForOp | ReduceOp)
    return None if loop.count is None else loop.count.value.data
