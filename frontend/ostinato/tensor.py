"""The Tensor type: native, with the slow-path methods written here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .ir.dtypes import BY_NAME, DType, bfloat16, bool_, float16, float32, float64, int32, int64
from .ir.errors import CaptureError
from .ir.op import OPS, Builder, Op, set_eager
from .ops import expanded, functions
from .runtime import _C

Tensor = _C.Tensor
_DLPACK = {"cpu": 1, "cuda": 2}


def _apply_op(self: Tensor | None, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """What lets the bodies and functions of the table run on native tensors."""
    order = iter(operands)
    values = iter(attrs.values())
    args = [next(order) if p.is_operand else next(values) for p in op.params]
    return _C.call(op.name, *args)


class _Eager(Builder):
    """Ops without operands, called from functions of the table: they run at once."""

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        return _apply_op(None, op, operands, attrs)


def numpy(self: Tensor) -> Any:
    """A NumPy array on the same memory. TypeError for bfloat16, RuntimeError with requires_grad."""
    if self.requires_grad:
        raise RuntimeError("numpy: the tensor requires grad; use .detach().numpy()")
    return _C.to_numpy(self, "`.numpy()`")


def tolist(self: Tensor) -> Any:
    """Nested Python lists of the elements, or a number for a 0-d tensor."""
    return _fetched(self, "`.tolist()`").tolist()


def _fetched(t: Any, what: str) -> Any:
    """The elements of a tensor on any device, bfloat16 as float32, in an array."""
    source = t.detach().cpu()
    return _C.to_numpy(source.to(float32) if t.dtype.name == "bfloat16" else source, what)


def backward(
    self: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradient of this tensor to the `.grad` of each leaf that it was computed from.

    `gradient` weights the elements; it may be left out for a single element. GradientError where
    nothing was recorded, where saved tensors are gone, or where one was changed in place.
    """
    _C.backward(self, gradient, bool(retain_graph), create_graph)


def requires_grad_(self: Tensor, requires_grad: bool = True) -> Any:
    """Set `requires_grad` and return the tensor."""
    self.requires_grad = requires_grad
    return self


def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of axis `dim`."""
    return self.shape if dim is None else self.shape[dim]


def numel(self: Tensor) -> int:
    """The number of elements."""
    total = 1
    for s in self.shape:
        total *= s
    return total


_TEXT = "the text of a tensor, as print() asks for it,"


def _repr(self: Tensor) -> str:
    if _C.is_traced(self) and not _C.leave_region(f"{_TEXT} needs a value now"):
        return f"tensor(<captured>, shape={self.shape}, dtype={self.dtype})"
    import numpy as np

    body = np.array2string(_fetched(self, _TEXT), separator=", ", prefix="tensor(")
    parts = [body]
    if self.dtype not in (float32, int64, bool_):
        parts.append(f"dtype={self.dtype}")
    if self.is_cuda:
        parts.append(f"device='{self.device}'")
    if self.requires_grad:
        parts.append("requires_grad=True")
    return f"tensor({', '.join(parts)})"


def _iter(self: Tensor) -> Iterator[Any]:
    if self.ndim == 0:
        raise TypeError("iteration: a 0-d tensor has no elements to iterate over; use .item()")
    return (self[i] for i in range(len(self)))


def _item_as(kind: type) -> Any:
    def convert(self: Tensor) -> Any:
        return kind(_C.value_for(self, f"`{kind.__name__}()` of a tensor"))

    return convert


def _index(self: Tensor) -> int:
    value = _C.value_for(self, "a tensor as an index or a size")
    if isinstance(value, float):
        raise TypeError("index: a floating-point tensor came; give an integer tensor")
    return int(value)


def _array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    array = _C.to_numpy(self.detach(), "a function of NumPy")
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


_CHOOSE = "choose by where(), or decide outside the compiled function"


def _bool(self: Tensor) -> bool:
    return bool(_C.value_for(self, "the truth of a tensor (`if`, `while`, `bool()`)", _CHOOSE))


def to(
    self: Tensor,
    *args: Any,
    dtype: DType | None = None,
    device: Any = None,
    non_blocking: bool = False,
) -> Any:
    """The tensor in another dtype and on another device, or those of a tensor that is given.

    With `non_blocking`, a copy between pinned memory and a CUDA device is only queued.
    """
    for a in args:
        if a is None:
            continue
        if isinstance(a, DType):
            dtype = a
        elif isinstance(a, Tensor):
            dtype, device = a.dtype, a.device
        elif isinstance(a, bool):
            non_blocking = a
        else:
            device = a
    wanted = self.dtype if dtype is None else dtype
    changes = wanted is not self.dtype
    if device is None or (there := _C.device_of(device)) is self.device:
        return functions.to(self, wanted) if changes else self
    # The smaller of the two forms travels.
    first = changes and wanted.itemsize <= self.dtype.itemsize
    source = functions.to(self, wanted) if first else self
    moved = functions.to_device(source, there, self.device, non_blocking)
    return functions.to(moved, wanted) if changes and not first else moved


def cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Any:
    """The tensor on a CUDA device: the current one, or number or device `device`."""
    named = "cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device
    return to(self, device=named, non_blocking=non_blocking)


_copy = Tensor.copy_


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Any:
    """This tensor with the values of `src`, which may lie on another device, converted.

    With `non_blocking`, a copy between pinned memory and a CUDA device is only queued.
    """
    return (
        _C.copy_non_blocking(self, src)
        if non_blocking and isinstance(src, Tensor)
        else _copy(self, src)
    )


def pin_memory(self: Tensor) -> Any:
    """A copy in pinned memory of the host, or the tensor itself where it lies there."""
    return self if _C.is_pinned(self) else _C.pin_memory(self.detach().cpu())


def record_stream(self: Tensor, stream: Any) -> None:
    """Say that work queued on `stream` uses the tensor: its memory is reused only after that."""
    native = getattr(stream, "_native", None)
    if not isinstance(native, _C.CudaStream):
        raise TypeError(f"record_stream: a {type(stream).__name__} came; give an ot.cuda.Stream")
    _C.cuda_record_stream(self, native)


def _dlpack(
    self: Tensor, *, stream: Any = None, dl_device: Any = None, copy: bool | None = None, **_: Any
) -> Any:
    """A DLPack capsule on the same memory, or on new memory where `copy` or the CPU is asked for,
    in order of `stream` (a number as DLPack says). BufferError for another device."""
    source, own = self.detach(), _dlpack_device(self)
    there = own if dl_device is None else tuple(dl_device)
    if there != own and (there[0] != _DLPACK["cpu"] or copy is False):
        raise BufferError(
            f"__dlpack__: device {there} came, the tensor lies on {self.device}; move it with .to()"
        )
    if there != own:
        return _C.to_dlpack(source.cpu())
    source = functions.clone(source) if copy else source
    if source.is_cuda:
        _C.cuda_export(source, stream)
    return _C.to_dlpack(source)


def _cast(dtype: DType) -> Any:
    def cast(self: Tensor) -> Tensor:
        return to(self, dtype)

    return cast


def _attach() -> None:
    plain = (numpy, tolist, backward, requires_grad_, size, numel, to, cuda, copy_,
             pin_memory, record_stream, where)  # fmt: skip
    for fn in plain:
        setattr(Tensor, fn.__name__, fn)
    for name, op in OPS.items():
        if op.kind == "function" and op.method:
            setattr(Tensor, name, expanded(op))
    more: dict[str, Any] = {
        "apply_op": _apply_op, "__repr__": _repr, "__iter__": _iter, "__array__": _array,
        "__bool__": _bool, "__float__": _item_as(float), "__int__": _item_as(int),
        "__index__": _index, "item": _C.item, "__dlpack__": _dlpack, "dim": _dim,
        "__dlpack_device__": _dlpack_device, "stride": stride,
        "is_contiguous": _C.is_contiguous, "data_ptr": _C.data_ptr, "cpu": _cpu,
        "is_pinned": _C.is_pinned,
        "storage_offset": _C.storage_offset, "element_size": _element_size,
        "float": _cast(float32), "double": _cast(float64), "half": _cast(float16),
        "bfloat16": _cast(bfloat16), "contiguous": _contiguous,
        "long": _cast(int64), "int": _cast(int32), "bool": _cast(bool_),
        "T": property(Tensor.t), "data": property(_data, _set_data),
        "type_as": _type_as, "zero_": _zero_, "is_floating_point": _is_floating_point,
        "__copy__": _copy_of, "__deepcopy__": _deepcopy, "__reduce_ex__": _reduce,
    }  # fmt: skip
    for name, value in more.items():
        setattr(Tensor, name, _method(value))


def _method(value: Any) -> Any:
    """Native functions have no binding to `self`; wrap them in ones that do."""
    if isinstance(value, property) or hasattr(value, "__get__"):
        return value

    def method(self: Tensor, *args: Any) -> Any:
        return value(self, *args)

    return method


def _dim(self: Tensor) -> int:
    return self.ndim


def _cpu(self: Tensor) -> Tensor:
    return to(self, device="cpu")


def _dlpack_device(self: Tensor) -> tuple[int, int]:
    return (_DLPACK[self.device.type], self.device.index or 0)


def _element_size(self: Tensor) -> int:
    return self.dtype.itemsize


def _type_as(self: Tensor, other: Tensor) -> Tensor:
    return to(self, other)


def where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """The elements of this tensor where the bool `condition` holds, else those of `other`."""
    return functions.where(condition, self, other)


def _zero_(self: Tensor) -> Tensor:
    return self.fill_(0)


def _data(self: Tensor) -> Tensor:
    return self.detach()


def _set_data(self: Tensor, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"data: a {type(value).__name__} came; give a Tensor")
    if _C.is_capturing() and not _C.leave_region("a tensor that changes its memory"):
        raise CaptureError("data: a tensor changed its memory in a capture; use copy_")
    _C.give_value(self, value)


def _contiguous(self: Tensor) -> Tensor:
    return self if _C.is_contiguous(self) else functions.clone(self)


def _is_floating_point(self: Tensor) -> bool:
    return self.dtype.is_floating_point


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Any:
    made = type(self)(functions.clone(self.detach()))
    made.requires_grad = self.requires_grad
    memo[id(self)] = made
    return made


def _copy_of(self: Tensor) -> Any:
    made = type(self)(self.detach())
    made.requires_grad = self.requires_grad
    return made


def _reduce(self: Tensor, protocol: int) -> Any:
    """What pickle keeps: the elements, and the device that they go back to."""
    kept = _fetched(self, "pickle")
    place = self.dtype.name, str(self.device), self.requires_grad
    return _unpickled, (type(self), kept, *place)


def _unpickled(cls: Any, kept: Any, dtype: str, device: str, requires_grad: bool) -> Any:
    from .creation import tensor

    made = cls(tensor(kept, dtype=BY_NAME[dtype], device=device))
    made.requires_grad = requires_grad
    return made


def stride(self: Tensor, dim: int | None = None) -> Any:
    """The strides in elements, or that of axis `dim`."""
    strides = _C.strides(self)
    return strides if dim is None else strides[dim]


_attach()
set_eager(_Eager())
