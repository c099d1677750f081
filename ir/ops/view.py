"""Views: the same elements under another shape."""

from __future__ import annotations

from typing import Any

from ..lazy import np
from ..op import Ints, Size, Sizes, Tensor, function, primitive
from ..shapes import (
    Expanded,
    Given,
    Permuted,
    Reshaped,
    SameShape,
    Squeezed,
    Transposed,
    Unsqueezed,
    axis_of,
    reduced_axes,
)
from ..shapes_index import Selected, Sliced, slice_bounds


@primitive(shape=Reshaped(), view=True)
def reshape(x: Tensor, shape: Sizes) -> Tensor:
    """The elements of x in row-major order under `shape`, one size of which may be -1; a view
    where the strides allow it, else a copy."""
    return x.reshape(shape)


@primitive(shape=Reshaped(), view=True)
def view(x: Tensor, shape: Sizes) -> Tensor:
    """`reshape` that is never a copy; an error where the strides do not allow it."""
    return x.reshape(shape)


@primitive(shape=Permuted(), view=True)
def permute(x: Tensor, dims: Ints) -> Tensor:
    """x with its axes in the order `dims`."""
    return x.transpose(dims)


@primitive(shape=Transposed(), view=True)
def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """x with two axes exchanged."""
    return np.swapaxes(x, dim0, dim1) if x.ndim else x


@primitive(shape=Expanded(), view=True)
def expand(x: Tensor, size: Sizes) -> Tensor:
    """x with axes of size 1 repeated to `size`, and new axes in front; -1 keeps a size."""
    lead = len(size) - x.ndim
    shape = [x.shape[i - lead] if s == -1 else s for i, s in enumerate(size)]
    return np.broadcast_to(x, shape)


@primitive(shape=Squeezed(), view=True)
def squeeze(x: Tensor, dim: Ints | None = None) -> Tensor:
    """x without the axes `dim` that have size 1 (None: without every axis of size 1)."""
    axes = reduced_axes("squeeze", dim, x.shape)
    return x.reshape([s for i, s in enumerate(x.shape) if i not in axes or s != 1])


@primitive(shape=Unsqueezed(), view=True)
def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """x with an axis of size 1 inserted at `dim`."""
    return np.expand_dims(x, dim)


@primitive(shape=Sliced(), view=True, method=False, namespace="internal")
def slice_(x: Tensor, dim: int, start: Size, stop: Size, step: int = 1) -> Tensor:
    """Elements start, start + step, ... below stop along `dim`; bounds are clamped, and negative
    ones count from the end."""
    start, stop = slice_bounds(x.shape[dim], start, stop)
    return x[(*[slice(None)] * (dim % x.ndim), slice(start, stop, step))]


@primitive(shape=Selected(), view=True)
def select(x: Tensor, dim: int, index: Size) -> Tensor:
    """Element `index` along `dim`, without that axis; a negative index counts from the end."""
    return x.take(index, axis=dim)


@primitive(shape=SameShape(), view=True)
def detach(x: Tensor) -> Tensor:
    """x as a constant: no gradient flows through it."""
    return x


@primitive(shape=Given("size"), view=True)
def as_strided(x: Tensor, size: Sizes, stride: Sizes, storage_offset: Size = 0) -> Tensor:
    """Element (i, j, ...) is element storage_offset + i stride[0] + j stride[1] + ... of the
    memory of x, taken as contiguous where x is a value; IndexError outside of it."""
    return x.reshape(-1)[element_offsets(size, stride, storage_offset)]


def element_offsets(size: Any, stride: Any, storage_offset: Any) -> Any:
    """The offset of each element, as an array of shape `size`."""
    offsets = np.asarray(storage_offset)
    for length, step in zip(size, stride, strict=True):
        offsets = offsets[..., None] + step * np.arange(length)
    return offsets.reshape(size)


@function()
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """x with its axes `start_dim` to `end_dim` made one."""
    first, last = (axis_of("flatten", d, x.ndim, x.shape) for d in (start_dim, end_dim))
    return reshape(x, shape=(*x.shape[:first], -1, *x.shape[last + 1 :]))


@function()
def unflatten(x: Tensor, dim: int, sizes: Sizes) -> Tensor:
    """x with axis `dim` split into axes of `sizes`, one of which may be -1."""
    at = axis_of("unflatten", dim, x.ndim, x.shape)
    return reshape(x, shape=(*x.shape[:at], *sizes, *x.shape[at + 1 :]))


@function()
def narrow(x: Tensor, dim: int, start: Size, length: Size) -> Tensor:
    """`length` elements along `dim` from `start`."""
    return slice_(x, dim=dim, start=start, stop=start + length)


@function()
def t(x: Tensor) -> Tensor:
    """A matrix transposed; vectors and 0-d tensors as they are."""
    return transpose(x, dim0=0, dim1=1) if x.ndim > 1 else x
