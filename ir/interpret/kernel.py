"""The reference meaning of fused kernels: runs `kernel.func` on flat NumPy arrays, bit for bit.

The parallel axis, vector loops and reductions become array axes; other loops run in Python. Sums
combine in the dialect's fixed order, functions run as their expansions, so results equal those of
compiled kernels exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Attribute, Block, BlockArgument, SSAValue

from ..dialects.kernel import LANES, BufferType, ForOp, FuncOp, LoadOp, LocalOp, ReduceOp, StoreOp
from .arith import evaluate_op, numpy_type

Array = NDArray[Any]


def run_kernel(
    func: FuncOp, buffers: Sequence[Array], begin: int = 0, end: int | None = None,
    sizes: Sequence[int] = (),
) -> None:  # fmt: skip
    """Runs iterations `begin` to `end` (all by default), writing into `buffers`.

    A buffer is a 1-d array: bool, uint8, ..., float64 as its type says; a bf16 buffer is uint16
    (bits) or float32 (numbers that bfloat16 has). Raises IndexError for an access outside a buffer.
    """
    given = dict(zip(func.sizes, sizes, strict=True))
    if end is None:
        end = func.length if isinstance(func.length, int) else given[func.length]
    if begin < end:
        _Run(func, buffers, begin, end, given).block(func.body.block)


class _Run:
    """One run; a value has one array axis for each array axis that was open where it was made."""

    def __init__(
        self, func: FuncOp, buffers: Sequence[Array], begin: int, end: int,
        sizes: Mapping[BlockArgument, int],
    ) -> None:  # fmt: skip
        self.memory: dict[SSAValue, Array] = dict(zip(func.buffers, buffers, strict=True))
        self.values: dict[SSAValue, Array] = {func.index: np.arange(begin, end, dtype=np.int64)}
        self.values |= {v: np.asarray(n, np.int64) for v, n in sizes.items()}
        self.begin, self.parallel = begin, end - begin
        self.axes = 1

    def value(self, value: SSAValue) -> Array:
        """`value` with an axis for each open one."""
        known = self.values[value]
        if known.ndim == 0:
            return known
        return known.reshape(known.shape + (1,) * (self.axes - known.ndim))

    def block(self, block: Block) -> None:
        for op in block.ops:
            match op:
                case LoadOp():
                    self.values[op.value] = self.load(op)
                case StoreOp():
                    self.store(op)
                case LocalOp():
                    self.local(op)
                case ForOp():
                    self.loop(op)
                case ReduceOp():
                    self.reduce(op)
                case _ if op.results:
                    operands = [self.value(v) for v in op.operands]
                    self.values[op.results[0]] = evaluate_op(op, operands)
                case _:
                    pass

    def place(self, op: LoadOp | StoreOp) -> tuple[Array, Array, Array | None]:
        """The memory, the offsets in it (0 where masked off) and the mask of an access."""
        indices = [self.value(v) for v in op.indices]
        dims = op.map.data.num_dims
        offset = np.asarray(op.map.data.results[0].eval(indices[:dims], indices[dims:]))  # pyright: ignore[reportArgumentType]
        mask = None if op.mask is None else self.value(op.mask)
        if mask is not None:
            offset = np.where(mask, offset, 0)
        memory = self.memory[op.buffer]
        limit = memory.shape[-1]
        wrong = ((offset < 0) | (offset >= limit)) & (True if mask is None else mask)
        if np.any(wrong):
            raise IndexError(f"{op.name}: element {offset[wrong].flat[0]} of a buffer of {limit}")
        if memory.ndim == 2:  # scratch: a row for each parallel iteration
            offset = offset + self._iterations() * limit
            memory = memory.reshape(-1)
        return memory, offset, mask

    def _iterations(self) -> Array:
        return np.arange(self.parallel).reshape((-1,) + (1,) * (self.axes - 1))

    def load(self, op: LoadOp) -> Array:
        memory, offset, mask = self.place(op)
        if mask is None:
            return _as_value(memory[offset], op.buffer.type)
        assert op.other is not None
        other = self.value(op.other)
        if not np.any(mask):
            return np.broadcast_to(other, np.broadcast_shapes(mask.shape, other.shape))
        return np.where(mask, _as_value(memory[offset], op.buffer.type), other)

    def store(self, op: StoreOp) -> None:
        memory, offset, mask = self.place(op)
        value = _as_memory(self.value(op.value), memory)
        if mask is None:
            # A kernel of one parallel iteration may store at a constant offset.
            offset, value = np.broadcast_arrays(offset, value)
            memory[offset] = value
            return
        offset, value, mask = np.broadcast_arrays(offset, value, mask)
        memory[offset[mask]] = value[mask]

    def local(self, op: LocalOp) -> None:
        type_ = op.buffer.type
        assert isinstance(type_, BufferType)
        dtype = np.dtype(numpy_type(type_.value_type))
        # All bits set, which is NaN in floats: scratch holds nothing until it is stored to.
        junk = np.full((self.parallel, op.count.value.data * dtype.itemsize), 0xFF, np.uint8)
        self.memory[op.buffer] = junk.view(dtype)

    def length(self, op: ForOp | ReduceOp) -> int:
        return op.trip_count if op.size is None else int(self.values[op.size])

    def loop(self, op: ForOp) -> None:
        if op.vector is not None:
            self._along(op.index, self.length(op), op.body.block)
            return
        for j in range(self.length(op)):
            self.values[op.index] = np.asarray(j, np.int64)
            self.block(op.body.block)

    def _along(self, index: SSAValue, count: int, block: Block) -> None:
        """Runs a body for all of 0 to `count` at once, as a new last axis."""
        if count:
            self.axes += 1
            self.values[index] = np.arange(count).reshape((1,) * (self.axes - 1) + (count,))
            self.block(block)
            self.axes -= 1

    def reduce(self, op: ReduceOp) -> None:
        count = self.length(op)
        if op.vector is not None:
            self._along(op.index, count, op.body.block)
            end = op.body.block.last_op
            assert end is not None
            for result, kind, given in zip(op.results, op.kinds, end.operands, strict=True):
                elements = self._elements(given, count) if count else None
                self.values[result] = _in_lanes(kind, result.type, elements, self.axes)
            return
        so_far = [identity(kind, r.type) for kind, r in zip(op.kinds, op.results, strict=True)]
        for j in range(count):
            self.values[op.index] = np.asarray(j, np.int64)
            self.block(op.body.block)
            end = op.body.block.last_op
            assert end is not None
            so_far = [
                combine(kind, old, self.value(given))
                for kind, old, given in zip(op.kinds, so_far, end.operands, strict=True)
            ]
        self.values.update(zip(op.results, so_far, strict=True))

    def _elements(self, given: SSAValue, count: int) -> Array:
        """What a reduction's body yields, the reduced axis last and `count` long."""
        self.axes += 1
        value = self.value(given)
        self.axes -= 1
        if value.ndim == 0:
            return np.broadcast_to(value, (count,))
        return np.broadcast_to(value, (*value.shape[:-1], count))


def identity(kind: str, type_: Attribute) -> Array:
    """What a reduction starts from."""
    dtype = numpy_type(type_)
    if dtype.kind in "fb":
        start = {"sum": 0.0, "prod": 1.0, "max": -np.inf, "min": np.inf, "any": False, "all": True}
        return np.asarray(start[kind], dtype)
    assert isinstance(type_, IntegerType)
    limits = np.iinfo(dtype)
    whole = {"sum": 0, "prod": 1, "max": limits.min, "min": limits.max, "umax": 0, "umin": -1}
    return np.asarray(whole[kind], dtype)


def combine(kind: str, so_far: Array, element: Array) -> Array:
    """One step of a reduction; of equal extremes the earlier one stays."""
    with np.errstate(all="ignore"):
        match kind:
            case "sum":
                return so_far + element
            case "prod":
                return so_far * element
            case "max":
                return np.where((element > so_far) | (element != element), element, so_far)
            case "min":
                return np.where((element < so_far) | (element != element), element, so_far)
            case "any":
                return so_far | element
            case "all":
                return so_far & element
            case _:
                unsigned = f"u{so_far.dtype.itemsize}"
                pick = np.maximum if kind == "umax" else np.minimum
                return pick(so_far.view(unsigned), element.view(unsigned)).view(so_far.dtype)


def _in_lanes(kind: str, type_: Attribute, elements: Array | None, axes: int) -> Array:
    """The reduction of the last axis in the order of 16 lanes and the tree over them."""
    start = identity(kind, type_)
    if elements is None:
        return start
    lanes = np.broadcast_to(start, (*elements.shape[:-1], LANES)).copy()
    for first in range(0, elements.shape[-1], LANES):
        part = elements[..., first : first + LANES]
        width = part.shape[-1]
        lanes[..., :width] = combine(kind, lanes[..., :width], part)
    half = LANES // 2
    while half:
        lanes = combine(kind, lanes[..., :half], np.ascontiguousarray(lanes[..., half : 2 * half]))
        half //= 2
    result = lanes[..., 0]
    return result.reshape(result.shape + (1,) * (axes - result.ndim)) if result.ndim else result


def _as_value(elements: Array, type_: Attribute) -> Array:
    """Elements of memory as values: signless integers, bf16 as float32 numbers."""
    assert isinstance(type_, BufferType)
    name = type_.dtype.ir
    if name == "ui8":
        return elements.view(np.int8)
    if name == "i1":
        return elements != 0
    if name == "bf16" and elements.dtype == np.uint16:
        return (elements.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return elements


def _as_memory(value: Array, memory: Array) -> Array:
    if memory.dtype == np.uint16:
        return (value.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return value.view(np.uint8) if memory.dtype == np.uint8 else value
