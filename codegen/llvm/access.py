"""Loads and stores: a vector, splat, gather or scatter access by the offset of its lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...ir.dtypes import DType
from .offsets import Offset, lane_steps
from .writer import Value, Writer, integer, lanes_type, mangled

_MEMORY = {"i1": "i8", "ui8": "i8", "f16": "i16", "bf16": "i16", "f32": "float", "f64": "double"}


def memory_type(dtype: DType) -> str:
    """The LLVM type of an element of `dtype` in memory."""
    return _MEMORY.get(dtype.ir, dtype.ir)


@dataclass(frozen=True)
class Buffer:
    """A buffer in LLVM: its pointer, how its elements lie in memory, and what it may overlap.

    `metadata` names its alias scopes; `written` says whether the kernel stores to memory that it
    may overlap.
    """

    pointer: Value
    dtype: DType
    metadata: str
    written: bool

    @property
    def memory_type(self) -> str:
        """The LLVM type of an element in memory."""
        return memory_type(self.dtype)


def load(
    w: Writer,
    buffer: Buffer,
    offset: Offset,
    width: int,
    lanes: Value | None,
    mask: Value | None,
    other: Value | None,
) -> Value:
    """The element at `offset` in each of `width` lanes (one value where all are the same).

    `lanes` tells the lanes that exist from those beyond the axis' end; at least one exists.
    `mask` and `other` are the op's own.
    """
    if mask is None and offset.is_uniform:
        return _loaded(w, buffer, _scalar_load(w, buffer, offset.base))
    if mask is not None and mask.width == 1 and offset.is_uniform:
        assert other is not None
        return _guarded_load(w, buffer, offset.base, mask, other)
    wanted = _wanted(w, width, lanes, mask)
    default = _stored(w, buffer, w.widened(other, width)) if other is not None else None
    if offset.is_dense:
        return _loaded(w, buffer, _vector_load(w, buffer, offset.base, width, wanted, default))
    pointers = _pointers(w, buffer, offset, width)
    return _loaded(w, buffer, _gather(w, buffer, pointers, width, wanted, default))


def store(
    w: Writer,
    value: Value,
    buffer: Buffer,
    offset: Offset,
    width: int,
    lanes: Value | None,
    mask: Value | None,
) -> None:
    """Writes `value` to `offset` in each of `width` lanes that exist and are not masked off."""
    if width == 1:
        _scalar_store(w, _stored(w, buffer, value), buffer, offset.base, mask)
        return
    value = _stored(w, buffer, w.widened(value, width))
    wanted = _wanted(w, width, lanes, mask)
    align = buffer.dtype.itemsize
    name, pointer = "llvm.masked.store", "p0"
    if offset.is_dense:
        to = str(_pointer(w, buffer, offset.base))
        if wanted is None:
            w.line(f"store {value}, {to}, align {align}{buffer.metadata}")
            return
    else:
        name, pointer = "llvm.masked.scatter", f"v{width}p0"
        to = str(_pointers(w, buffer, offset, width))
    wanted = wanted or w.widened(integer(1, "i1"), width)
    full = f"@{name}.{mangled(value.type, width)}.{pointer}"
    kind = "ptr" if pointer == "p0" else f"<{width} x ptr>"
    w.declared.add(
        f"declare void {full}({value.lanes_type}, {kind}, i32 immarg, {wanted.lanes_type})"
    )
    w.line(f"call void {full}({value}, {to}, i32 {align}, {wanted}){buffer.metadata}")


def _wanted(w: Writer, width: int, lanes: Value | None, mask: Value | None) -> Value | None:
    """The lanes that exist and are not masked off; None for all."""
    if mask is None:
        return lanes
    mask = w.widened(mask, width)
    return mask if lanes is None else w.binary("and", lanes, mask)


def _pointer(w: Writer, buffer: Buffer, offset: Value) -> Value:
    if offset.name == "0":
        return buffer.pointer
    return w.pure(
        f"getelementptr {buffer.memory_type}, {buffer.pointer}, {offset}",
        "ptr",
        1,
        [buffer.pointer, offset],
    )


def _pointers(w: Writer, buffer: Buffer, offset: Offset, width: int) -> Value:
    """A pointer for each lane; lane steps that are constant stay a constant vector."""
    base, steps = buffer.pointer, offset.base
    if offset.stride is not None:
        base = _pointer(w, buffer, offset.base)
        steps = lane_steps(w, offset.stride, width)
    return w.pure(
        f"getelementptr {buffer.memory_type}, {base}, {steps}", "ptr", width, [base, steps]
    )


def _get(w: Writer, buffer: Buffer, text: str, width: int, operands: Sequence[Value]) -> Value:
    text += buffer.metadata
    if buffer.written:
        return w.here(text, buffer.memory_type, width)
    return w.read(text, buffer.memory_type, width, operands)


def _scalar_load(w: Writer, buffer: Buffer, offset: Value) -> Value:
    pointer = _pointer(w, buffer, offset)
    text = f"load {buffer.memory_type}, {pointer}, align {buffer.dtype.itemsize}"
    return _get(w, buffer, text, 1, [pointer])


def _guarded_load(w: Writer, buffer: Buffer, offset: Value, mask: Value, other: Value) -> Value:
    """A scalar load that reads a slot holding `other` where the mask is false."""
    slot, kept = _slot(w, buffer), _stored(w, buffer, other)
    w.line(f"store {kept}, {slot}")
    pointer = w.select(mask, _pointer(w, buffer, offset), slot)
    text = f"load {buffer.memory_type}, {pointer}, align {buffer.dtype.itemsize}"
    return _loaded(w, buffer, w.here(text, buffer.memory_type, 1))


def _slot(w: Writer, buffer: Buffer) -> Value:
    """Stack memory for one element, allocated at the function's start."""
    return w.stack(f"alloca {buffer.memory_type}")


def _scalar_store(
    w: Writer, value: Value, buffer: Buffer, offset: Value, mask: Value | None
) -> None:
    pointer, metadata = _pointer(w, buffer, offset), buffer.metadata
    if mask is not None:
        pointer, metadata = w.select(mask, pointer, _slot(w, buffer)), ""
    w.line(f"store {value}, {pointer}, align {buffer.dtype.itemsize}{metadata}")


def _vector_load(
    w: Writer,
    buffer: Buffer,
    offset: Value,
    width: int,
    wanted: Value | None,
    default: Value | None,
) -> Value:
    pointer = _pointer(w, buffer, offset)
    type_, align = lanes_type(buffer.memory_type, width), buffer.dtype.itemsize
    if wanted is None:
        return _get(w, buffer, f"load {type_}, {pointer}, align {align}", width, [pointer])
    return _masked_get(w, buffer, "llvm.masked.load", "p0", pointer, width, wanted, default)


def _gather(
    w: Writer,
    buffer: Buffer,
    pointers: Value,
    width: int,
    wanted: Value | None,
    default: Value | None,
) -> Value:
    wanted = wanted or w.widened(integer(1, "i1"), width)
    return _masked_get(
        w, buffer, "llvm.masked.gather", f"v{width}p0", pointers, width, wanted, default
    )


def _masked_get(
    w: Writer,
    buffer: Buffer,
    name: str,
    pointer_name: str,
    pointer: Value,
    width: int,
    wanted: Value,
    default: Value | None,
) -> Value:
    type_ = lanes_type(buffer.memory_type, width)
    default = default or Value("zeroinitializer", buffer.memory_type, width, literal=True)
    full = f"@{name}.{mangled(buffer.memory_type, width)}.{pointer_name}"
    w.declared.add(
        f"declare {type_} {full}({pointer.lanes_type}, i32 immarg, {wanted.lanes_type}, {type_})"
    )
    text = f"call {type_} {full}({pointer}, i32 {buffer.dtype.itemsize}, {wanted}, {default})"
    return _get(w, buffer, text, width, [pointer, wanted, default])


def _loaded(w: Writer, buffer: Buffer, value: Value) -> Value:
    """What a loaded element is as a value: a bool's byte becomes an i1."""
    if buffer.dtype.ir != "i1":
        return value
    return w.compare("icmp ne", value, integer(0, "i8"))


def _stored(w: Writer, buffer: Buffer, value: Value) -> Value:
    return w.convert("zext", value, "i8") if buffer.dtype.ir == "i1" else value
