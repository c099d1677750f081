"""Runs modules at stages `kernels` and `planned` on NumPy arrays: launches, calls, memory.

Ops of the graph may stand among those over tensors, as a pass that ends half-way leaves them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import IntegerAttr, MemRefType, ModuleOp, StridedLayoutAttr
from xdsl.dialects.func import FuncOp as FunctionOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from ..dialects.elements import dtype_of
from ..dialects.kernel import FuncOp, Launchable
from ..dialects.ot.types import from_property, number_value
from ..dialects.program import (
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
from ..dtypes import DType
from ..errors import IRError
from ..graph import main_of, type_of
from ..op import OPS, Op
from ..scalar.numpy import numpy_dtype
from .arrays import ArrayTensor, apply, tensor
from .kernel import run_kernel

Array = NDArray[Any]

ARENA, HOST_BYTES = "program.arena_bytes", "program.host_bytes"
"""The function attributes with the size of the arena, and of the memory on the host."""

_POISON = 0xFF
"""Bytes of memory that nothing wrote to: NaN in every float."""


def run_program(
    module: ModuleOp,
    inputs: Sequence[Any],
    seen: Callable[[Operation, Sequence[Array]], object] | None = None,
) -> list[Array]:
    """The results of `@main`; see `interpret.run`. Memory that nothing wrote to holds junk."""
    return _Run(module, inputs).results(seen)


class _Run:
    def __init__(self, module: ModuleOp, inputs: Sequence[Any]) -> None:
        self.main = main_of(module)
        self.kernels = {op.sym_name.data: op for op in module.ops if isinstance(op, FuncOp)}
        self.launchable = Launchable(module)
        self.values: dict[SSAValue, Array] = {}
        self.arena = np.full(bytes_of(self.main, ARENA), _POISON, np.uint8)
        self.host = np.full(bytes_of(self.main, HOST_BYTES), _POISON, np.uint8)
        self.outputs: dict[int, Array] = {}
        for value, argument in zip(inputs, self.main.args, strict=True):
            self.values[argument] = _stored(np.asarray(value), type_of(argument).dtype)

    def results(self, seen: Callable[[Operation, Sequence[Array]], object] | None) -> list[Array]:
        for op in self.main.body.block.ops:
            if isinstance(op, ReturnOp):
                return [_loaded(self.values[v], type_of(v).dtype) for v in op.operands]
            self._run(op)
            if seen is not None and isinstance(op, (LaunchOp, CallOp)):
                seen(op, [_loaded(self.values[v], element_of(v)) for v in (*op.into, *op.outputs)])
        raise IRError("run: @main has no func.return")

    def _run(self, op: Operation) -> None:
        match op:
            case LaunchOp():
                self._launch(op)
            case CallOp():
                self._call(op)
            case ViewOp():
                source = _flat(self.values[op.source])
                shape = type_of(op.view).shape
                self.values[op.view] = _strided(source, shape, op.steps, op.start.value.data)
            case ConstantOp():
                self._constant(op)
            case InputOp():
                memory = self.values[op.argument].reshape(-1)
                self.values[op.memory] = _placed(memory, op.memory.type)
            case ArenaOp():
                self.values[op.memory] = _at(self.arena, op)
            case HostOp():
                self.values[op.memory] = _at(self.host, op)
            case UploadOp():
                self._upload(op)
            case OutputOp():
                self._output(op)
            case ResultOp():
                self.values[op.value] = self.values[op.memory]
            case _:
                self._graph_op(op)

    def _graph_op(self, op: Operation) -> None:
        from .module import run_op

        for value, made in zip(op.results, run_op(op, self._operand), strict=True):
            self.values[value] = _stored(made.array, made.dtype)

    def _launch(self, op: LaunchOp) -> None:
        made = [_fresh(type_of(r)) for r in op.outputs]
        buffers = [*(self.values[v] for v in (*op.arguments, *op.into)), *made]
        flat = [_flat(b) for b in buffers]
        for member in self.launchable.members(op.kernel_name, len(flat)):
            run_kernel(self.kernels[member.kernel], [flat[b] for b in member.buffers])
        self.values.update(zip(op.outputs, made, strict=True))

    def _call(self, op: CallOp) -> None:
        schema = OPS[op.callee.data]
        operands = [self._operand(o) for o in op.grouped]
        results = apply(schema, operands, call_attributes(schema, op))
        strides = op.strides or [()] * len(results)
        for i, result in enumerate(results):
            array = _stored(result.array, result.dtype)
            if op.into:
                self.values[op.into[i]][...] = array
                continue
            place = _laid_out(array, strides[i])
            place[...] = array
            self.values[op.outputs[i]] = place

    def _operand(self, operand: Any) -> Any:
        if operand is None:
            return None
        if isinstance(operand, list):
            return [self._operand(v) for v in operand]  # pyright: ignore
        dtype = element_of(operand)
        array = _loaded(self.values[operand], dtype)
        if not isinstance(operand.type, MemRefType) and type_of(operand).wrapped:
            return tensor(array.item())
        return ArrayTensor(array, dtype)

    def _constant(self, op: ConstantOp) -> None:
        number = tensor(number_value(op.value))
        self.values[op.res] = number.array

    def _upload(self, op: UploadOp) -> None:
        for i, source in enumerate(op.arguments):
            if op.into:
                self.values[op.into[i]][...] = self.values[source]
            else:
                self.values[op.outputs[i]] = self.values[source].copy()

    def _output(self, op: OutputOp) -> None:
        index = op.index.value.data
        if index not in self.outputs:
            end = self.main.body.block.last_op
            assert end is not None
            self.outputs[index] = _fresh(type_of(end.operands[index]))
        self.values[op.memory] = _placed(self.outputs[index].reshape(-1), op.memory.type)


def bytes_of(func: FunctionOp, attribute: str) -> int:
    """The size that a planned function names; 0 where it does not."""
    size = func.attributes.get(attribute)
    return size.value.data if isinstance(size, IntegerAttr) else 0


def _at(memory: Array, op: ArenaOp | HostOp) -> Array:
    type_ = op.memory.type
    assert isinstance(type_, MemRefType)
    memory = memory[op.offset.value.data :]
    dtype = _memory_dtype(dtype_of(type_.element_type))
    whole = len(memory) // dtype.itemsize
    return _placed(memory[: whole * dtype.itemsize].view(dtype), type_)


def element_of(value: SSAValue) -> DType:
    """The dtype of a tensor, number or memref."""
    if isinstance(value.type, MemRefType):
        return dtype_of(value.type.element_type)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    return type_of(value).dtype


def call_attributes(schema: Op, op: CallOp) -> dict[str, Any]:
    """Every attribute of the op's signature as a Python value; one that is left out is None."""
    found = op.given.data
    return {
        p.name: from_property(p.kind, p.name, found[p.name]) if p.name in found else None
        for p in schema.attrs
    }


def layout_of(type_: MemRefType[Any]) -> tuple[tuple[int, ...], int]:
    """Strides and offset of a memref, in elements."""
    shape = type_.get_shape()
    if isinstance(type_.layout, StridedLayoutAttr):
        strides = tuple(int(s.data) for s in type_.layout.strides)  # pyright: ignore
        offset = type_.layout.offset
        return strides, getattr(offset, "data", 0)
    strides, step = [1] * len(shape), 1
    for i in reversed(range(len(shape))):
        strides[i], step = step, step * shape[i]
    return tuple(strides), 0


def _placed(memory: Array, type_: Any) -> Array:
    assert isinstance(type_, MemRefType)
    strides, offset = layout_of(type_)  # pyright: ignore[reportUnknownArgumentType]
    return _strided(memory, tuple(type_.get_shape()), strides, offset)


def _strided(memory: Array, shape: Any, strides: Sequence[int], start: int) -> Array:
    size = memory.itemsize
    low = start + sum(min(s, 0) * (n - 1) for s, n in zip(strides, shape, strict=True))
    high = start + sum(max(s, 0) * (n - 1) for s, n in zip(strides, shape, strict=True))
    if 0 not in shape and not (0 <= low and high < len(memory)):
        raise IndexError(f"a view of elements {low} to {high} of {len(memory)}")
    return np.lib.stride_tricks.as_strided(memory[start:], shape, [s * size for s in strides])


def _flat(array: Array) -> Array:
    """The memory of a tensor from its first element on."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    length = (
        sum(
            abs(s) // array.itemsize * (n - 1)
            for s, n in zip(array.strides, array.shape, strict=True)
        )
        + 1
    )
    return np.lib.stride_tricks.as_strided(array, (length,), (array.itemsize,))


def _laid_out(array: Array, strides: Sequence[int]) -> Array:
    if not strides:
        return _junk(array.shape, array.dtype)
    length = sum(s * (n - 1) for s, n in zip(strides, array.shape, strict=True)) + 1
    return _strided(_junk((length,), array.dtype), array.shape, strides, 0)


def _memory_dtype(dtype: DType) -> np.dtype[Any]:
    return np.dtype("uint16") if dtype.name == "bfloat16" else numpy_dtype(dtype)


def _fresh(type_: Any) -> Array:
    return _junk(type_.shape, _memory_dtype(type_.dtype))


def _junk(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return np.full(count, _POISON, np.uint8).view(dtype).reshape(shape)


def _stored(array: Array, dtype: DType) -> Array:
    """An array as memory holds it, in memory of its own; bfloat16 as its bits."""
    if dtype.name == "bfloat16":
        bits = np.ascontiguousarray(array, np.float32).view(np.uint32) >> np.uint32(16)
        return bits.astype(np.uint16).reshape(array.shape)
    return np.array(array, numpy_dtype(dtype), order="C")


def _loaded(array: Array, dtype: DType) -> Array:
    """A copy of a tensor in memory; bfloat16 as float32 numbers."""
    if dtype.name == "bfloat16":
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.array(array)
