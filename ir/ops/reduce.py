"""Reductions over axes, and running sums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..dims import product
from ..dtypes import Fixed, Only, Same, Summed, bool_, int64
from ..lazy import np
from ..op import Ints, Sample, Tensor, primitive
from ..samples import bools, floats, ints, reduction, sample, without_gradient
from ..shapes import Reduced, SameShape, reduced_axes
from .comparison import eq
from .create import full, number
from .join import flip
from .selection import to, where
from .view import expand, reshape, unsqueeze


def restored(y: Any, dim: Any, keepdim: bool, shape: Any) -> Any:
    """`y`, reduced from `shape` along `dim`, with its reduced axes back as axes of size 1."""
    if not keepdim:
        for axis in sorted(reduced_axes("reduce", dim, shape)):
            y = unsqueeze(y, dim=axis)
    return y


def without_axes(y: Any, dim: Any) -> Any:
    """`y`, which has size 1 along `dim`, without those axes."""
    gone = reduced_axes("reduce", dim, y.shape)
    return reshape(y, shape=tuple(s for i, s in enumerate(y.shape) if i not in gone))


def reduced_count(x: Any, dim: Any) -> Any:
    """How many elements of x fall into one result along `dim`: an int, or of run-time sizes a
    0-d tensor of the dtype of x."""
    n = product(x.shape[axis] for axis in reduced_axes("reduce", dim, x.shape))
    return n if isinstance(n, int) else to(number(n), dtype=x.dtype)


def _axes(dim: Any, x: Any) -> Any:
    """The axes for NumPy, for which a 0-d array has none."""
    return reduced_axes("reduce", dim, x.shape) if x.ndim else None


@primitive(shape=Reduced(), dtype=Summed(), autocast="wide", keyword="dtype")
def sum_(x: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """The sum of the elements along `dim` (all axes for None); integers add up in int64."""
    dtype = np.int64 if x.dtype.kind in "bui" else x.dtype
    return x.sum(axis=_axes(dim, x), keepdims=keepdim, dtype=dtype)


@sum_.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: Ints | None, keepdim: bool) -> Any:
    return (expand(restored(g, dim, keepdim, x.shape), size=x.shape),)


sum_.sampled(reduction())


@primitive(shape=Reduced(), dtype=Summed(), autocast="wide", keyword="dtype")
def prod(x: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """The product of the elements along `dim` (all axes for None); integers multiply in int64."""
    dtype = np.int64 if x.dtype.kind in "bui" else x.dtype
    return x.prod(axis=_axes(dim, x), keepdims=keepdim, dtype=dtype)


@prod.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: Ints | None, keepdim: bool) -> Any:
    # Where one factor is 0, only its own gradient is not: the product of the others.
    zero = eq(x, 0.0)
    others = prod(where(zero, 1.0, x), dim=dim, keepdim=True)
    zeros = sum_(zero, dim=dim, keepdim=True)
    g = restored(g, dim, keepdim, x.shape) * others
    return (where(zero, where(eq(zeros, 1), g, 0.0), where(eq(zeros, 0), g / x, 0.0)),)


@prod.sampled
def _() -> Iterator[Sample]:
    yield from reduction()()
    yield sample(np.array([[2, 0, 3], [0, 0, 1], [1, 2, 3]], "float32"), dim=(1,))


@primitive(shape=Reduced(), dtype=Same())
def amax(x: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """The largest element along `dim` (all axes for None); NaN if there is one."""
    return x.max(axis=_axes(dim, x), keepdims=keepdim)


@primitive(shape=Reduced(), dtype=Same())
def amin(x: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """The smallest element along `dim` (all axes for None); NaN if there is one."""
    return x.min(axis=_axes(dim, x), keepdims=keepdim)


@amax.vjp
@amin.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: Ints | None, keepdim: bool) -> Any:
    # Equal extremes share the gradient.
    hit = eq(x, restored(out, dim, keepdim, x.shape))
    share = restored(g, dim, keepdim, x.shape) / sum_(hit, dim=dim, keepdim=True)
    return (where(hit, share, 0.0),)


def _with_equals() -> Iterator[Sample]:
    yield from reduction(empty=False)()
    yield without_gradient(np.array([[1, 2, 2], [3, 3, 3], [-1, -1, 0]], "float32"), dim=(1,))


def largest(x: Any, dim: int) -> Any:
    """`amax` along `dim`, which is kept; of no elements -inf."""
    if x.ndim and x.shape[dim] == 0:
        rest = list(x.shape)
        rest[dim] = 1
        return full(rest, -math.inf, dtype=x.dtype)
    return amax(x, dim=(dim,), keepdim=True)


amax.sampled(_with_equals)
amin.sampled(_with_equals)


def _places() -> Iterator[Sample]:
    for dim in (None, 1, -1):
        for keepdim in (False, True):
            yield sample(floats(2, 3, 4), dim=dim, keepdim=keepdim)
    yield sample(floats(), dim=0)
    yield sample(ints(3, 6, low=0, high=3), dim=1)
    yield sample(np.array([1, np.nan, 3, np.nan], "float32"))
    yield sample(floats(3, 0), dim=0)
    yield sample(floats(4, 3, dtype="float16").T, dim=1)


@primitive(shape=Reduced(), dtype=Only(Fixed(int64), "if", of=Same()))
def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the first largest element along `dim` is, as int64; in the flattened x for None."""
    return x.argmax(axis=dim if x.ndim else None, keepdims=keepdim)


argmax.sampled(_places)


@primitive(shape=Reduced(), dtype=Only(Fixed(int64), "if", of=Same()))
def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the first smallest element along `dim` is, as int64; in the flattened x for None."""
    return x.argmin(axis=dim if x.ndim else None, keepdims=keepdim)


argmin.sampled(_places)


@primitive(shape=Reduced(), dtype=Fixed(bool_))
def any_(x: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """Whether some element along `dim` (all axes for None) is not zero, as bool."""
    return x.any(axis=_axes(dim, x), keepdims=keepdim)


any_.sampled(reduction())


@primitive(shape=Reduced(), dtype=Fixed(bool_))
def all_(x: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """Whether no element along `dim` (all axes for None) is zero, as bool."""
    return x.all(axis=_axes(dim, x), keepdims=keepdim)


all_.sampled(reduction())


@primitive(shape=SameShape(dim="dim"), dtype=Summed(), autocast="wide", keyword="dtype")
def cumsum(x: Tensor, dim: int) -> Tensor:
    """The sums of the elements along `dim` up to and with each; integers add up in int64."""
    dtype = np.int64 if x.dtype.kind in "bui" else x.dtype
    return np.cumsum(x, axis=dim, dtype=dtype).reshape(x.shape)


@cumsum.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: int) -> Any:
    return (flip(cumsum(flip(g, dims=(dim,)), dim=dim), dims=(dim,)),)


@cumsum.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3, 4), dim=1)
    yield sample(floats(2, 3), dim=-1)
    yield sample(floats(), dim=0)
    yield sample(floats(0, 3), dim=0)
    yield sample(ints(2, 3, dtype="int8"), dim=0)
    yield sample(bools(5), dim=0)
    yield sample(floats(8, dtype="float16"), dim=0)
    yield sample(floats(3, 2).T, dim=1)
