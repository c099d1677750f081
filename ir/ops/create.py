"""Tensors from nothing: constants, ranges, the identity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..dtypes import DType, Fixed, FromAttr, Promote, bool_, float16, float32, float64, int64
from ..lazy import np
from ..op import Sample, Size, Sizes, Tensor, function, primitive
from ..samples import bools, floats, ints, sample
from ..shapes import Constant, Counted, Given
from .comparison import eq
from .selection import to
from .view import unsqueeze


@primitive(shape=Given("size"), dtype=FromAttr("dtype", Promote()), method=False)
def full(size: Sizes, fill_value: Tensor, dtype: DType | None = None) -> Tensor:
    """A tensor of shape `size`, every element `fill_value` (0-d or a number), of its dtype for
    None: float32 for a Python float."""
    return np.broadcast_to(fill_value, size)


@full.vjp
def _(g: Tensor, out: Tensor, fill_value: Tensor, size: Sizes, dtype: DType | None) -> Any:
    return (g,)


@full.sampled
def _() -> Iterator[Sample]:
    yield sample(1.5, size=(2, 3))
    yield sample(2, size=())
    yield sample(True, size=(3,))
    yield sample(1.5, size=(2, 0), dtype=int64)
    yield sample(floats(), size=(2, 3))
    yield sample(3, size=(2,), dtype=float16)


@primitive(shape=Counted("length"), dtype=FromAttr("dtype", Promote()), method=False,
           namespace="internal")  # fmt: skip
def iota(length: Size, start: Tensor, step: Tensor, dtype: DType | None = None) -> Tensor:
    """start + step * i for i from 0 to length - 1, computed in float64 or int64."""
    wide = np.float64 if "f" in start.dtype.kind + step.dtype.kind else np.int64
    return start.astype(wide) + step.astype(wide) * np.arange(length)


@iota.vjp
def _(
    g: Tensor, out: Tensor, start: Tensor, step: Tensor, length: Size, dtype: DType | None
) -> Any:
    return g, g * iota(length, 0, 1)


@iota.sampled
def _() -> Iterator[Sample]:
    yield sample(0, 1, length=4)
    yield sample(2, -3, length=4)
    yield sample(0.5, 0.25, length=4)
    yield sample(1, 2, length=3, dtype=float64)
    yield sample(0, 1, length=0)
    yield sample(floats(), floats(seed=1), length=3)


@primitive(shape=Constant(()), dtype=Fixed(int64), method=False, namespace="internal")
def size_tensor(size: Size) -> Tensor:
    """A run-time size as a 0-d int64 tensor, so that a rule may compute with it."""
    return np.asarray(size)


@size_tensor.sampled
def _() -> Iterator[Sample]:
    yield sample(size=7)


def number(size: Any) -> Any:
    """`size` as an operand: itself if it is an int, else a 0-d tensor."""
    return size if isinstance(size, int) else size_tensor(size)


@function(method=False)
def zeros(size: Sizes, dtype: DType | None = None) -> Tensor:
    """A tensor of zeros, float32 for None."""
    return full(size, 0, dtype=dtype or float32)


@zeros.sampled
def _() -> Iterator[Sample]:
    yield sample(size=(2, 3))
    yield sample(size=(), dtype=int64)


@function(method=False)
def ones(size: Sizes, dtype: DType | None = None) -> Tensor:
    """A tensor of ones, float32 for None."""
    return full(size, 1, dtype=dtype or float32)


@ones.sampled
def _() -> Iterator[Sample]:
    yield sample(size=(2, 3))
    yield sample(size=(0,), dtype=bool_)


@function(method=False)
def full_like(x: Tensor, fill_value: Tensor, dtype: DType | None = None) -> Tensor:
    """A tensor of the shape and (for None) the dtype of x, every element `fill_value`."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype)


@full_like.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), 1.5)
    yield sample(ints(2), 2)
    yield sample(ints(2), 2.5, dtype=float32)


@function(method=False)
def zeros_like(x: Tensor, dtype: DType | None = None) -> Tensor:
    """A tensor of zeros of the shape and (for None) the dtype of x."""
    return full(x.shape, 0, dtype=dtype or x.dtype)


@zeros_like.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3, dtype="float16"))
    yield sample(ints(2), dtype=float32)


@function(method=False)
def ones_like(x: Tensor, dtype: DType | None = None) -> Tensor:
    """A tensor of ones of the shape and (for None) the dtype of x."""
    return full(x.shape, 1, dtype=dtype or x.dtype)


@ones_like.sampled
def _() -> Iterator[Sample]:
    yield sample(bools(2, 3))
    yield sample(ints(2), dtype=float32)


@function(method=False)
def arange(
    start: float = 0, end: float | None = None, step: float = 1, dtype: DType | None = None
) -> Tensor:
    """start, start + step, ... below `end` (from 0 to `start` where only that is given).

    The dtype for None is int64 if all three are ints, else float32. ValueError where `step` leads
    away from `end`.
    """
    whole = all(isinstance(v, int) for v in (start, end or 0, step))
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise ValueError(
            f"arange: step {step} does not lead from {start} to {end}; "
            "give a step of the sign of end - start"
        )
    length = math.ceil((end - start) / step)
    return iota(length, start, step, dtype=dtype or (int64 if whole else float32))


@arange.sampled
def _() -> Iterator[Sample]:
    yield sample(start=5)
    yield sample(start=2, end=9, step=3)
    yield sample(start=3, end=-3, step=-2)
    yield sample(start=0, end=1, step=0.3)
    yield sample(start=1.5)
    yield sample(start=2, end=2)
    yield sample(start=4, dtype=float64)
    yield sample(start=0, end=1, step=0.1, dtype=float64)


@function(method=False)
def eye(n: int, m: int | None = None, dtype: DType | None = None) -> Tensor:
    """The n by m matrix (n by n for None) with ones on the diagonal, float32 for dtype None."""
    rows = unsqueeze(iota(n, 0, 1), dim=1)
    return to(eq(rows, iota(n if m is None else m, 0, 1)), dtype=dtype or float32)


@eye.sampled
def _() -> Iterator[Sample]:
    yield sample(n=3)
    yield sample(n=2, m=4)
    yield sample(n=3, dtype=int64)
    yield sample(n=0)
