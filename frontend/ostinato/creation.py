"""Tensors from Python data, NumPy arrays and DLPack."""

from __future__ import annotations

from typing import Any

from .ir.dtypes import BY_NAME, DType, float32
from .ops import functions
from .runtime import _C
from .tensor import Tensor


def from_numpy(array: Any) -> Tensor:
    """A tensor on the memory of a NumPy array: writing to one changes the other."""
    return _C.from_array(array)


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the memory of any CPU object with `__dlpack__`."""
    return _C.from_array(source)


def tensor(data: Any, *, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with the values of nested sequences, numbers, an array or a tensor.

    Python floats give float32, integers int64, as in PyTorch. TypeError for anything else.
    """
    made = _copied(data, dtype)
    if requires_grad:
        made.requires_grad = True
    return made


def as_tensor(data: Any, *, dtype: DType | None = None) -> Tensor:
    """`data` itself where it is a tensor of that dtype, the memory of an array, else a copy."""
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype is dtype else functions.to(data, dtype)
    if hasattr(data, "__array_interface__"):
        shared = from_numpy(data)
        return shared if dtype is None else as_tensor(shared, dtype=dtype)
    return tensor(data, dtype=dtype)


def _copied(data: Any, dtype: DType | None) -> Tensor:
    import numpy as np

    if isinstance(data, Tensor):
        source = data.detach()
    else:
        array = np.asarray(data)
        if array.dtype == np.float64 and not hasattr(data, "dtype"):
            array = array.astype(np.float32) if dtype is not BY_NAME["float64"] else array
        if array.dtype.name not in BY_NAME:
            raise TypeError(
                f"tensor: data of {array.dtype} came; give numbers, bools or nested lists of them"
            )
        source = from_numpy(np.ascontiguousarray(array).reshape(array.shape))
    if dtype is None or source.dtype is dtype:
        return functions.clone(source)
    return functions.to(source, dtype)


def empty(*size: Any, dtype: DType = float32, requires_grad: bool = False) -> Tensor:
    """A tensor whose elements are whatever the memory held."""
    sizes = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    made = _C.empty(tuple(sizes), dtype)
    made.requires_grad = requires_grad
    return made


def empty_like(source: Tensor, *, dtype: DType | None = None) -> Tensor:
    """An uninitialised tensor of the shape and dtype of `source`."""
    return empty(source.shape, dtype=dtype or source.dtype)
