"""Joining, splitting, reversing and padding along axes, and triangles of matrices."""

from __future__ import annotations

from typing import Any

from ..dtypes import Promote, Same
from ..lazy import np
from ..op import Ints, Sizes, Tensor, composite, function, primitive
from ..shapes import SameShape, axis_of
from ..shapes_index import Catted, Padded
from .comparison import ge, le
from .create import iota
from .selection import where
from .view import select, slice_, unsqueeze


@primitive(shape=Catted(), dtype=Promote(), method=False)
def cat(tensors: tuple[Tensor, ...], dim: int = 0) -> Tensor:
    """The tensors end to end along `dim`, in their promoted dtype."""
    return np.concatenate(tensors, axis=dim)


@function(method=False)
def stack(tensors: tuple[Tensor, ...], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis `dim`."""
    return cat(tuple(unsqueeze(x, dim=dim) for x in tensors), dim=dim)


@function()
def split(x: Tensor, split_size_or_sections: Sizes, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of x cut along `dim`, of one size (the last may be smaller) or of the given sizes."""
    total = x.shape[axis_of("split", dim, x.ndim, x.shape)]
    sizes: Any = split_size_or_sections
    if isinstance(sizes, int):
        if sizes < 1:
            raise ValueError(f"split: size {sizes} is not positive; give a size from 1")
        sizes = [min(sizes, total - i) for i in range(0, total, sizes)] or [0]
    if sum(sizes) != total:
        raise ValueError(
            f"split: sizes {tuple(sizes)} do not add up to {total}, the size along dim {dim}; "
            "give sizes that do"
        )
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(
        slice_(x, dim=dim, start=a, stop=a + n) for a, n in zip(starts, sizes, strict=True)
    )


@function()
def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of x of equal size along `dim`, the last of which may be smaller."""
    if chunks < 1:
        raise ValueError(f"chunk: chunks {chunks} is not positive; give a number from 1")
    total = x.shape[axis_of("chunk", dim, x.ndim, x.shape)]
    return split(x, max(-(-total // chunks), 1), dim=dim)


@function()
def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of x at each index along `dim`, without that axis."""
    total = x.shape[axis_of("unbind", dim, x.ndim, x.shape)]
    return tuple(select(x, dim=dim, index=i) for i in range(total))


@primitive(shape=SameShape(dim="dims"), dtype=Same())
def flip(x: Tensor, dims: Ints) -> Tensor:
    """A copy of x with the order of elements along `dims` reversed."""
    return np.flip(x, dims) if x.ndim else x


@primitive(shape=Padded(), dtype=Same(), method=False, namespace="nn.functional",
           variants={"mode": ("constant",)})  # fmt: skip
def pad(input: Tensor, pad: Sizes, mode: str = "constant", value: float = 0.0) -> Tensor:
    """input grown by `pad`, (before, after) pairs from the last axis to the front, with `value`;
    negative amounts cut."""
    given = [(pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)]
    amounts = [(0, 0)] * (input.ndim - len(given)) + given[::-1]
    grown = np.pad(input, [(max(a, 0), max(b, 0)) for a, b in amounts], constant_values=value)
    pairs = zip(amounts, grown.shape, strict=True)
    return grown[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in pairs)]


def _column_minus_row(x: Any) -> tuple[Any, Any]:
    return iota(x.shape[-1], 0, 1), unsqueeze(iota(x.shape[-2], 0, 1), dim=1)


@composite(shape=SameShape(least=2), dtype=Same(), native=True, inplace=True)
def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The elements of each matrix (the last two axes) on and below a diagonal, else 0."""
    column, row = _column_minus_row(x)
    return where(le(column, row + diagonal), x, False)


@composite(shape=SameShape(least=2), dtype=Same(), native=True, inplace=True)
def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The elements of each matrix (the last two axes) on and above a diagonal, else 0."""
    column, row = _column_minus_row(x)
    return where(ge(column, row + diagonal), x, False)
