"""Elements in order of size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dtypes import Fixed, Only, Same, int64
from ..lazy import np
from ..op import Sample, Size, Tensor, primitive
from ..samples import floats, ints, sample, without_gradient
from ..shapes_index import Taken
from .create import full
from .index import scatter_add


@primitive(shape=Taken("k"), dtype=(Only(Same(), "if"), Fixed(int64)))
def topk(x: Tensor, k: Size, dim: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The `k` largest elements along `dim`, or the smallest, the first of them first; and where
    each is, as int64. NaN is larger than all numbers; of equal elements the first comes first.
    """
    order = np.argsort(x, axis=dim, kind="stable")
    if largest:
        backwards = np.argsort(np.flip(x, dim), axis=dim, kind="stable")
        order = x.shape[dim] - 1 - np.flip(backwards, dim)
    index = np.take(order, range(k), axis=dim)
    return np.take_along_axis(x, index, dim), index


@topk.vjp
def _(g: Any, out: Any, x: Tensor, k: Size, dim: int, largest: bool) -> Any:
    (values_g, _), (_, index) = g, out
    base = full(x.shape, 0, dtype=values_g.dtype)
    return (scatter_add(base, dim=dim, index=index, src=values_g),)


@topk.sampled
def _() -> Iterator[Sample]:
    for largest in (True, False):
        yield sample(floats(3, 7), k=3, largest=largest)
        yield sample(floats(4, 3, 2), k=2, dim=0, largest=largest)
        yield sample(floats(2, 5, 3, dtype="float64"), k=5, dim=-2, largest=largest)
        yield sample(floats(4, 300, dtype="float16")[:, ::7], k=4, dim=1, largest=largest)
        yield sample(np.array([[7, -3, 5], [1, 2, 0]], "int32"), k=2, largest=largest)
    yield sample(floats(3, 4), k=0)
    yield sample(floats(0, 4), k=2)
    yield sample(ints(6, low=0, high=100, dtype="uint8"), k=1, largest=False)
    yield without_gradient(np.array([2.0, np.inf, np.nan, -np.inf], "float32"), k=3)
