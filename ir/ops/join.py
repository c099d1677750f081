"""Joining, splitting, reversing and padding along axes, and triangles of matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dtypes import Promote, Same
from ..lazy import np
from ..op import Ints, Sample, Tensor, composite, function, primitive
from ..samples import bools, floats, ints, sample
from ..shapes import SameShape
from ..shapes_index import Catted
from .comparison import ge, le
from .create import iota
from .selection import where
from .slicing import slice_
from .view import unsqueeze


@primitive(shape=Catted(), dtype=Promote(), method=False)
def cat(tensors: tuple[Tensor, ...], dim: int = 0) -> Tensor:
    """The tensors end to end along `dim`, in their promoted dtype."""
    return np.concatenate(tensors, axis=dim)


@cat.vjp
def _(g: Tensor, out: Tensor, tensors: tuple[Tensor, ...], dim: int) -> Any:
    parts: list[Any] = []
    start: Any = 0
    for x in tensors:
        stop = start + x.shape[dim]
        parts.append(slice_(g, dim=dim, start=start, stop=stop))
        start = stop
    return (tuple(parts),)


@cat.sampled
def _() -> Iterator[Sample]:
    yield sample((floats(2, 3), floats(1, 3, seed=1)))
    yield sample((floats(2, 3), floats(2, 2, seed=1), floats(2, 0)), dim=-1)
    yield sample((floats(2), ints(3), bools(1)))
    yield sample((floats(2, 2, dtype="float16"), floats(2, 2, dtype="float64")), dim=1)
    yield sample((ints(2, dtype="uint8"), ints(2, dtype="int8")))
    yield sample((floats(3),))


@function(method=False)
def stack(tensors: tuple[Tensor, ...], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis `dim`."""
    return cat(tuple(unsqueeze(x, dim=dim) for x in tensors), dim=dim)


@stack.sampled
def _() -> Iterator[Sample]:
    yield sample((floats(2, 3), floats(2, 3, seed=1)))
    yield sample((floats(2), floats(2, seed=1), ints(2)), dim=-1)
    yield sample((floats(),))


@primitive(shape=SameShape(dim="dims"), dtype=Same())
def flip(x: Tensor, dims: Ints) -> Tensor:
    """A copy of x with the order of elements along `dims` reversed."""
    return np.flip(x, dims) if x.ndim else x


@flip.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dims: Ints) -> Any:
    return (flip(g, dims=dims),)


@flip.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3, 4), dims=(0,))
    yield sample(floats(2, 3, 4), dims=(-1, 1))
    yield sample(floats(2, 3), dims=())
    yield sample(floats(), dims=(0,))
    yield sample(ints(0, 3), dims=(0,))


def _column_minus_row(x: Any) -> tuple[Any, Any]:
    return iota(x.shape[-1], 0, 1), unsqueeze(iota(x.shape[-2], 0, 1), dim=1)


def _triangles() -> Iterator[Sample]:
    for diagonal in (0, 1, -2, 9):
        yield sample(floats(3, 4), diagonal=diagonal)
    yield sample(floats(2, 3, 3, dtype="float16"))
    yield sample(bools(3, 3))
    yield sample(ints(0, 2))


@composite(shape=SameShape(least=2), dtype=Same(), native=True, inplace=True)
def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The elements of each matrix (the last two axes) on and below a diagonal, else 0."""
    column, row = _column_minus_row(x)
    return where(le(column, row + diagonal), x, False)


@tril.vjp
def _(g: Tensor, out: Tensor, x: Tensor, diagonal: int) -> Any:
    return (tril(g, diagonal=diagonal),)


tril.sampled(_triangles)


@composite(shape=SameShape(least=2), dtype=Same(), native=True, inplace=True)
def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The elements of each matrix (the last two axes) on and above a diagonal, else 0."""
    column, row = _column_minus_row(x)
    return where(ge(column, row + diagonal), x, False)


@triu.vjp
def _(g: Tensor, out: Tensor, x: Tensor, diagonal: int) -> Any:
    return (triu(g, diagonal=diagonal),)


triu.sampled(_triangles)
