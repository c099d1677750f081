"""Views: the same elements under another shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import ShapeError
from ..lazy import np
from ..op import Ints, Sample, Sizes, Tensor, function, primitive
from ..samples import bools, floats, ints, sample, without_gradient
from ..shapes import (
    Expanded,
    Permuted,
    Reshaped,
    SameShape,
    Squeezed,
    Transposed,
    Unsqueezed,
    axis_of,
    reduced_axes,
    show,
)


def _reshapes() -> Iterator[Sample]:
    yield sample(floats(2, 3), shape=(3, 2))
    yield sample(floats(2, 3), shape=(-1,))
    yield sample(floats(2, 3, 4), shape=(2, -1, 2))
    yield sample(floats(1), shape=())
    yield sample(ints(0, 3), shape=(3, 0, 2))


@primitive(shape=Reshaped(), view=True)
def reshape(x: Tensor, shape: Sizes) -> Tensor:
    """The elements of x in row-major order under `shape`, one size of which may be -1; a view
    where the strides allow it, else a copy."""
    return x.reshape(shape)


@reshape.vjp
def _(g: Tensor, out: Tensor, x: Tensor, shape: Sizes) -> Any:
    return (reshape(g, shape=x.shape),)


reshape.sampled(_reshapes)


@primitive(shape=Reshaped(), view=True)
def view(x: Tensor, shape: Sizes) -> Tensor:
    """`reshape` that is never a copy; an error where the strides do not allow it."""
    return x.reshape(shape)


@view.vjp
def _(g: Tensor, out: Tensor, x: Tensor, shape: Sizes) -> Any:
    return (reshape(g, shape=x.shape),)


view.sampled(_reshapes)


@primitive(shape=Permuted(), view=True)
def permute(x: Tensor, dims: Ints) -> Tensor:
    """x with its axes in the order `dims`."""
    return x.transpose(dims)


@permute.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dims: Ints) -> Any:
    axes = [d % len(dims) for d in dims]
    return (permute(g, dims=tuple(axes.index(i) for i in range(len(axes)))),)


@permute.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3, 4), dims=(2, 0, 1))
    yield sample(floats(2, 3, 4), dims=(-1, 1, 0))
    yield sample(floats(), dims=())
    yield sample(ints(0, 3), dims=(1, 0))


@primitive(shape=Transposed(), view=True)
def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """x with two axes exchanged."""
    return np.swapaxes(x, dim0, dim1) if x.ndim else x


@transpose.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim0: int, dim1: int) -> Any:
    return (transpose(g, dim0=dim0, dim1=dim1),)


@transpose.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3, 4), dim0=0, dim1=2)
    yield sample(floats(2, 3, 4), dim0=-1, dim1=-2)
    yield sample(floats(), dim0=0, dim1=-1)
    yield sample(ints(2, 3), dim0=1, dim1=1)


@primitive(shape=Expanded(), view=True)
def expand(x: Tensor, size: Sizes) -> Tensor:
    """x with axes of size 1 repeated to `size`, and new axes in front; -1 keeps a size."""
    lead = len(size) - x.ndim
    shape = [x.shape[i - lead] if s == -1 else s for i, s in enumerate(size)]
    return np.broadcast_to(x, shape)


@expand.vjp
def _(g: Tensor, out: Tensor, x: Tensor, size: Sizes) -> Any:
    return (g,)


@expand.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 1), size=(2, 3))
    yield sample(floats(3), size=(2, -1))
    yield sample(floats(), size=(2, 2))
    yield sample(floats(1, 3), size=(4, 0, 3))
    yield sample(ints(2, 1, 3), size=(2, 2, 3))
    yield sample(floats(2, 3), size=(4, -1, -1))


@primitive(shape=Squeezed(), view=True)
def squeeze(x: Tensor, dim: Ints | None = None) -> Tensor:
    """x without the axes `dim` that have size 1 (None: without every axis of size 1)."""
    axes = reduced_axes("squeeze", dim, x.shape)
    return x.reshape([s for i, s in enumerate(x.shape) if i not in axes or s != 1])


@squeeze.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: Ints | None) -> Any:
    return (reshape(g, shape=x.shape),)


@squeeze.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(1, 3, 1))
    yield sample(floats(1, 3, 1), dim=(0,))
    yield sample(floats(1, 3, 1), dim=(-1, 1))
    yield sample(floats(1, 1))
    yield sample(floats(), dim=(0,))
    yield sample(ints(2, 3), dim=(0,))


@primitive(shape=Unsqueezed(), view=True)
def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """x with an axis of size 1 inserted at `dim`."""
    return np.expand_dims(x, dim)


@unsqueeze.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: int) -> Any:
    return (reshape(g, shape=x.shape),)


@unsqueeze.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), dim=0)
    yield sample(floats(2, 3), dim=-1)
    yield sample(floats(2, 3), dim=1)
    yield sample(floats(), dim=0)
    yield sample(bools(0), dim=-2)


@primitive(shape=SameShape(), view=True)
def detach(x: Tensor) -> Tensor:
    """x as a constant: no gradient flows through it."""
    return x


@detach.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (None,)


@detach.sampled
def _() -> Iterator[Sample]:
    yield without_gradient(floats(2, 3))
    yield without_gradient(ints())


@function()
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """x with its axes `start_dim` to `end_dim` made one."""
    first, last = (axis_of("flatten", d, x.ndim, x.shape) for d in (start_dim, end_dim))
    return reshape(x, shape=(*x.shape[:first], -1, *x.shape[last + 1 :]))


@flatten.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3, 4))
    yield sample(floats(2, 3, 4), start_dim=1)
    yield sample(floats(2, 3, 4), start_dim=0, end_dim=-2)
    yield sample(floats())
    yield sample(floats(0, 3))


@function()
def unflatten(x: Tensor, dim: int, sizes: Sizes) -> Tensor:
    """x with axis `dim` split into axes of `sizes`, one of which may be -1."""
    at = axis_of("unflatten", dim, x.ndim, x.shape)
    return reshape(x, shape=(*x.shape[:at], *sizes, *x.shape[at + 1 :]))


@unflatten.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(6, 2), dim=0, sizes=(2, 3))
    yield sample(floats(2, 6), dim=-1, sizes=(-1, 2))


@function()
def t(x: Tensor) -> Tensor:
    """A matrix transposed; vectors and 0-d tensors as they are. ShapeError for more axes."""
    if x.ndim > 2:
        raise ShapeError(
            f"t: shape {show(x.shape)} has {x.ndim} axes; give at most 2, or use transpose"
        )
    return transpose(x, dim0=0, dim1=1) if x.ndim > 1 else x


@t.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3))
    yield sample(floats(3))
    yield sample(floats())
