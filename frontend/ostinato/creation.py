"""Tensors from Python data, NumPy arrays and DLPack."""

from __future__ import annotations

from typing import Any, cast

from .ir.dtypes import BY_NAME, DType, float32
from .ir.errors import DTypeError
from .ops import functions
from .runtime import _C
from .tensor import Tensor

_CUDA = 2  # kDLCUDA


def from_numpy(array: Any) -> Tensor:
    """A tensor on the memory of a NumPy array: writing to one changes the other.

    TypeError for anything else, DTypeError for elements that no dtype has, ValueError for memory
    that cannot be written to or is laid out as no tensor can be.
    """
    import numpy as np

    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"from_numpy: a {type(array).__name__} came; give a NumPy array, or use tensor()"
        )
    given = cast("Any", array)
    if not _has_dtype(given):
        raise DTypeError(
            f"from_numpy: dtype {given.dtype} has no ostinato dtype; convert it with .astype(...)"
        )
    if problem := _unfit(given):
        raise ValueError(f"from_numpy: the array {problem}; give its .copy()")
    return _C.from_array(given)


def _has_dtype(array: Any) -> bool:
    kind = array.dtype
    return kind.kind in "biuf" and kind.name in BY_NAME and kind.isnative


def _unfit(array: Any) -> str:
    """Why no tensor can be on the memory of `array`, if so."""
    if not array.flags.aligned or any(s % array.itemsize for s in array.strides):
        return "has elements between the places of such elements in memory"
    return "" if array.flags.writeable else "is read-only"


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the memory of any object with `__dlpack__`, of the CPU or a CUDA device."""
    if not hasattr(source, "__dlpack_device__"):
        raise TypeError(
            f"from_dlpack: a {type(source).__name__} came; give an object with __dlpack__"
        )
    if hasattr(source, "__array_interface__"):
        return from_numpy(source)
    kind, index = source.__dlpack_device__()
    if kind != _CUDA:
        return _C.from_array(source)
    # The producer makes this stream wait for its own work.
    stream = _C.cuda_current_stream(index)
    return _C.from_array(source.__dlpack__(stream=stream.handle))


def tensor(
    data: Any,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A new tensor with the values of nested sequences, numbers, an array or a tensor.

    Python floats give float32, integers int64, as in PyTorch; a tensor is copied where it lies
    unless `device` says else. TypeError for anything else.
    """
    if isinstance(data, Tensor):
        source = data.detach()
        made = source.to(device, dtype)
    else:
        source, there = _shared(data, dtype), _C.device_of(device)
        if _C.is_capturing() and there.type != "cpu":
            # Memory of the CPU would end the region; this is an input on its device.
            source = _C.at_once(source.to, there, dtype)
        made = source.to(there, dtype)
    if made is source:
        made = functions.clone(source)
    if requires_grad:
        made.requires_grad = True
    return made


def as_tensor(data: Any, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """`data` itself where it is such a tensor already, the memory of an array, else a copy."""
    if isinstance(data, Tensor):
        return data.to(device, dtype)
    if hasattr(data, "__array_interface__"):
        import numpy as np

        array = np.asarray(data)
        if _has_dtype(array) and not _unfit(array):
            return from_numpy(array).to(_C.device_of(device), dtype)
    return tensor(data, dtype=dtype, device=device)


def _shared(data: Any, dtype: DType | None) -> Tensor:
    """A tensor on the memory of the array that holds `data`."""
    import numpy as np

    if _C.is_capturing() and isinstance(data, (list, tuple)):
        data = _settled(data)
    array = np.asarray(data)
    if array.dtype == np.float64 and not hasattr(data, "dtype"):
        array = array.astype(np.float32) if dtype is not BY_NAME["float64"] else array
    if array.dtype.name not in BY_NAME:
        raise TypeError(
            f"tensor: data of {array.dtype} came; give numbers, bools or nested lists of them"
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    flat: Any = np.ascontiguousarray(native).reshape(array.shape)
    return from_numpy(flat.copy() if _unfit(flat) else flat)


def _settled(data: Any) -> Any:
    """Nested numbers as they are in this call; where others may come the capture is given up."""
    from .compiler.live import LiveNumber, give_up

    if isinstance(data, (list, tuple)):
        return [_settled(part) for part in cast("list[Any]", data)]
    if type(data) is not LiveNumber:
        return data
    give_up("a tensor made of a list with a number that may be another in the next call")
    return data.value


def empty(
    *size: Any, dtype: DType = float32, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor whose elements are whatever the memory held."""
    sizes = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    made = _C.empty(tuple(sizes), dtype, device)
    made.requires_grad = requires_grad
    return made


def empty_like(source: Tensor, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """An uninitialised tensor of the shape and dtype of `source`, beside it for device None."""
    there = source.device if device is None else device
    return empty(source.shape, dtype=dtype or source.dtype, device=there)
