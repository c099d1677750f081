"""Reading and writing elements at indices, and functional writes to slices."""

from __future__ import annotations

from ..dtypes import Agreed, Fixed, Only, Same, int64
from ..lazy import np
from ..op import Size, Sizes, Tensor, composite, function, primitive
from ..shapes import Given, SameShape
from ..shapes_index import Appended, Gathered, IndexSelected, Scattered, slice_bounds
from .comparison import eq
from .create import full, iota
from .selection import to
from .view import element_offsets, unsqueeze

_INDEX = "index"


@primitive(shape=Gathered(), dtype=Only(Same(), "i", of=Same(1), what=_INDEX))
def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Element (i, j, ...) is that of x with the index along `dim` replaced by index[i, j, ...].

    `index` (integers) has the rank of x and is no longer along the other axes. IndexError out of
    range.
    """
    cut = tuple(slice(None) if a == dim % x.ndim else slice(n) for a, n in enumerate(index.shape))
    return np.take_along_axis(x[cut], index, dim)


@primitive(shape=Scattered(), dtype=Only(Agreed((0, 2)), "i", of=Same(1), what=_INDEX),
           inplace=True)  # fmt: skip
def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """x with each src[i, j, ...] added at (i, j, ...), the index along `dim` replaced by
    index[i, j, ...].

    `index` (integers) has the rank of x and of src and is no longer than either. IndexError out of
    range.
    """
    y, at = x.copy(), list(np.indices(index.shape))
    at[dim] = index
    np.add.at(y, tuple(at), src[tuple(slice(n) for n in index.shape)])
    return y


@primitive(shape=IndexSelected(), dtype=Only(Same(), "i", of=Same(1), what=_INDEX))
def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements along `dim` at `index` (integers of any shape, which takes the axis's place).
    IndexError out of range."""
    return np.take(x, index, axis=dim)


@primitive(shape=SameShape(dim="dim"), dtype=Only(Agreed((0, 2)), "i", of=Same(1), what=_INDEX),
           inplace=True)  # fmt: skip
def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """x with the elements of `source` along `dim` added at `index` (integers; shaped as
    `index_select` gives them). IndexError out of range."""
    y = x.copy()
    np.add.at(y, (*[slice(None)] * (dim % x.ndim), index), source)
    return y


@composite(shape=Given("size"), dtype=Same(), native=True, method=False, namespace="internal")
def index_select_backward(g: Tensor, index: Tensor, dim: int, size: Sizes) -> Tensor:
    """Zeros of shape `size` with the elements of g along `dim` added at `index`."""
    return index_add(full(size, 0, dtype=g.dtype), dim=dim, index=index, source=g)


@function(method=False, namespace="nn.functional")
def embedding(input: Tensor, weight: Tensor) -> Tensor:
    """The rows of `weight` (n, d) at `input` (integers): (*input.shape, d)."""
    return index_select(weight, dim=0, index=input)


@composite(shape=Appended("num_classes"), dtype=Only(Fixed(int64), "i", of=Same()),
           native=True, method=False, namespace="nn.functional")  # fmt: skip
def one_hot(input: Tensor, num_classes: Size) -> Tensor:
    """1 at the place along a new last axis that the integer names, else 0, as int64."""
    return to(eq(unsqueeze(input, dim=-1), iota(num_classes, 0, 1)), dtype=int64)


@primitive(shape=SameShape(dim="dim"), dtype=Same())
def slice_scatter(
    x: Tensor, src: Tensor, dim: int, start: Size, stop: Size, step: int = 1
) -> Tensor:
    """x with the elements that `slice` would give replaced by `src`, broadcast and converted."""
    y = x.copy()
    start, stop = slice_bounds(x.shape[dim], start, stop)
    y[(*[slice(None)] * (dim % x.ndim), slice(start, stop, step))] = src
    return y


@primitive(shape=SameShape(dim="dim"), dtype=Same())
def select_scatter(x: Tensor, src: Tensor, dim: int, index: Size) -> Tensor:
    """x with the elements that `select` would give replaced by `src`, broadcast and converted."""
    y = x.copy()
    y[(*[slice(None)] * (dim % x.ndim), index)] = src
    return y


@primitive(shape=SameShape(), dtype=Same())
def as_strided_scatter(
    x: Tensor, src: Tensor, size: Sizes, stride: Sizes, storage_offset: Size = 0
) -> Tensor:
    """x with the elements that `as_strided` would give replaced by `src`, broadcast and
    converted; where several lie on one place, the last wins."""
    y = x.copy()
    offsets = element_offsets(size, stride, storage_offset)
    y.reshape(-1)[offsets] = np.broadcast_to(src, offsets.shape)
    return y
