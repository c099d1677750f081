"""Reading and writing elements at indices, and functional writes to slices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dims import product
from ..dtypes import Agreed, Fixed, Only, Same, int64
from ..lazy import np
from ..op import Sample, Size, Sizes, Tensor, composite, function, primitive
from ..samples import floats, ints, sample
from ..shapes import Given, SameShape
from ..shapes_index import Appended, Gathered, IndexSelected, Scattered
from .comparison import eq
from .create import full, iota, number
from .selection import clone, to
from .slicing import pad
from .view import reshape, unsqueeze

_INDEX = "index"


@primitive(shape=Gathered(), dtype=Only(Same(), "i", of=Same(1), what=_INDEX))
def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Element (i, j, ...) is that of x with the index along `dim` replaced by index[i, j, ...].

    `index` (integers) has the rank of x and is no longer along the other axes. IndexError out of
    range.
    """
    cut = tuple(slice(None) if a == dim % x.ndim else slice(n) for a, n in enumerate(index.shape))
    return np.take_along_axis(x[cut], index, dim)


@gather.vjp
def _(g: Tensor, out: Tensor, x: Tensor, index: Tensor, dim: int) -> Any:
    base = full(x.shape, 0, dtype=g.dtype)
    return scatter_add(base, dim=dim, index=index, src=g), None


@gather.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(3, 4), ints(2, 4, low=0, high=3), dim=0)
    yield sample(floats(3, 4), ints(3, 2, low=0, high=4), dim=-1)
    yield sample(floats(2, 3, 2), ints(1, 5, 2, low=0, high=3, dtype="int32"), dim=1)
    yield sample(ints(5), ints(0, low=0, high=1), dim=0)
    yield sample(floats(4, dtype="float16"), ints(6, low=0, high=4), dim=0)


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


@scatter_add.vjp
def _(g: Tensor, out: Tensor, x: Tensor, index: Tensor, src: Tensor, dim: int) -> Any:
    pairs = zip(src.shape[::-1], index.shape[::-1], strict=True)
    amounts = tuple(amount for n, m in pairs for amount in (0, n - m))
    return g, None, pad(gather(g, dim=dim, index=index), pad=amounts)


@scatter_add.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(3, 4), ints(2, 4, low=0, high=3), floats(2, 4, seed=1), dim=0)
    yield sample(floats(3, 4), ints(3, 6, low=0, high=4), floats(3, 6, seed=1), dim=-1)
    yield sample(floats(3, 4), ints(2, 3, low=0, high=3), floats(3, 4, seed=1), dim=0)
    yield sample(ints(5), ints(3, low=0, high=5, dtype="int32"), ints(3, seed=1), dim=0)


def _selections() -> Iterator[Sample]:
    yield sample(floats(4, 3), ints(6, low=0, high=4), dim=0)
    yield sample(floats(2, 4, 3), ints(2, low=0, high=4, dtype="int32"), dim=-2)
    yield sample(floats(4, 3), ints(2, 3, low=0, high=4), dim=0)
    yield sample(floats(4, 3), ints(0, low=0, high=4), dim=0)
    yield sample(floats(4, dtype="float16"), ints(3, low=0, high=4, dtype="uint8"), dim=0)


@primitive(shape=IndexSelected(), dtype=Only(Same(), "i", of=Same(1), what=_INDEX))
def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements along `dim` at `index` (integers of any shape, which takes the axis's place).
    IndexError out of range."""
    return np.take(x, index, axis=dim)


@index_select.vjp
def _(g: Tensor, out: Tensor, x: Tensor, index: Tensor, dim: int) -> Any:
    return index_select_backward(g, index, dim=dim, size=x.shape), None


index_select.sampled(_selections)


@primitive(shape=SameShape(dim="dim"), dtype=Only(Agreed((0, 2)), "i", of=Same(1), what=_INDEX),
           inplace=True)  # fmt: skip
def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """x with the elements of `source` along `dim` added at `index` (integers; shaped as
    `index_select` gives them). IndexError out of range."""
    y = x.copy()
    np.add.at(y, (*[slice(None)] * (dim % x.ndim), index), source)
    return y


@index_add.vjp
def _(g: Tensor, out: Tensor, x: Tensor, index: Tensor, source: Tensor, dim: int) -> Any:
    return g, None, index_select(g, dim=dim, index=index)


@index_add.sampled
def _() -> Iterator[Sample]:
    for (x, index), attrs in _selections():
        source = np.take(x, index, axis=attrs["dim"])
        yield (x, index, source * 2), attrs


@composite(shape=Given("size"), dtype=Same(), native=True, method=False, namespace="internal")
def index_select_backward(g: Tensor, index: Tensor, dim: int, size: Sizes) -> Tensor:
    """Zeros of shape `size` with the elements of g along `dim` added at `index`."""
    return index_add(full(size, 0, dtype=g.dtype), dim=dim, index=index, source=g)


@index_select_backward.sampled
def _() -> Iterator[Sample]:
    for (x, index), attrs in _selections():
        g = np.take(x, index, axis=attrs["dim"])
        yield (g, index), {**attrs, "size": x.shape}


@function(method=False, namespace="nn.functional")
def embedding(input: Tensor, weight: Tensor) -> Tensor:
    """The rows of `weight` (n, d) at `input` (integers): (*input.shape, d)."""
    return index_select(weight, dim=0, index=input)


@embedding.sampled
def _() -> Iterator[Sample]:
    yield sample(ints(2, 3, low=0, high=5), floats(5, 4))
    yield sample(ints(low=0, high=5), floats(5, 4))
    yield sample(ints(0, low=0, high=5, dtype="int32"), floats(5, 4))


@composite(shape=Appended("num_classes"), dtype=Only(Fixed(int64), "i", of=Same()),
           native=True, method=False, namespace="nn.functional")  # fmt: skip
def one_hot(input: Tensor, num_classes: Size) -> Tensor:
    """1 at the place along a new last axis that the integer names, else 0, as int64; all 0 for an
    integer that is not from 0 to num_classes - 1."""
    return to(eq(unsqueeze(input, dim=-1), iota(num_classes, 0, 1)), dtype=int64)


@one_hot.sampled
def _() -> Iterator[Sample]:
    yield sample(ints(0), num_classes=0)
    yield sample(ints(2, 3, low=0, high=4), num_classes=4)
    yield sample(ints(low=0, high=4), num_classes=5)
    yield sample(ints(3, low=0, high=2, dtype="uint8"), num_classes=2)
    yield sample(ints(0, low=0, high=2), num_classes=3)


@primitive(shape=Given("size"), view=True)
def as_strided(x: Tensor, size: Sizes, stride: Sizes, storage_offset: Size = 0) -> Tensor:
    """Element (i, j, ...) is element storage_offset + i stride[0] + j stride[1] + ... of the
    memory of x, taken as contiguous where x is a value; IndexError outside of it."""
    return x.reshape(-1)[element_offsets(size, stride, storage_offset)]


@as_strided.vjp
def _(g: Tensor, out: Tensor, x: Tensor, size: Sizes, stride: Sizes, storage_offset: Size) -> Any:
    # Elements may lie on one place, where their gradients add up.
    offsets: Any = full((), number(storage_offset))
    for length, step in zip(size, stride, strict=True):
        offsets = unsqueeze(offsets, dim=-1) + iota(length, 0, number(step))
    flat = (product(size),)
    source = reshape(g, shape=flat), reshape(offsets, shape=flat)
    added = index_select_backward(*source, dim=0, size=(product(x.shape),))
    return (reshape(added, shape=x.shape),)


@as_strided.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(4, 3), size=(2, 2), stride=(3, 1), storage_offset=1)
    yield sample(floats(6), size=(3, 2), stride=(1, 1))
    yield sample(floats(6), size=(2, 3), stride=(0, 2))
    yield sample(floats(2, 2), size=(), stride=(), storage_offset=3)
    yield sample(ints(6), size=(0, 2), stride=(2, 1))


def element_offsets(size: Any, stride: Any, storage_offset: Any) -> Any:
    """The offset of each element, as an array of shape `size`."""
    offsets = np.asarray(storage_offset)
    for length, step in zip(size, stride, strict=True):
        offsets = offsets[..., None] + step * np.arange(length)
    return offsets.reshape(size)


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


@as_strided_scatter.vjp
def _(
    g: Tensor, out: Tensor, x: Tensor, src: Tensor, size: Sizes, stride: Sizes,
    storage_offset: Size,
) -> Any:  # fmt: skip
    place = {"size": size, "stride": stride, "storage_offset": storage_offset}
    x_g = as_strided_scatter(clone(g), full(size, 0, dtype=g.dtype), **place)
    return x_g, as_strided(clone(g), **place)


@as_strided_scatter.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(4, 3), floats(2, 2, seed=1), size=(2, 2), stride=(3, 1), storage_offset=1)
    yield sample(floats(6), floats(2, seed=1), size=(2, 2), stride=(1, 3))
    yield sample(floats(2, 2), floats(seed=1), size=(), stride=(), storage_offset=3)
    yield sample(ints(6), floats(3), size=(3,), stride=(2,))
