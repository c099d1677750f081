"""Tensors from nothing: constants, ranges, the identity."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import DType, Fixed, FromAttr, Promote, float32, int64
from ..lazy import np
from ..op import Size, Sizes, Tensor, function, primitive
from ..shapes import Constant, Counted, Given
from .comparison import eq
from .selection import to
from .view import unsqueeze


@primitive(shape=Given("size"), dtype=FromAttr("dtype", Promote()), method=False)
def full(size: Sizes, fill_value: Tensor, dtype: DType | None = None) -> Tensor:
    """A tensor of shape `size`, every element `fill_value` (0-d or a number), of its dtype for
    None: float32 for a Python float."""
    return np.broadcast_to(fill_value, size)


@primitive(shape=Counted("length"), dtype=FromAttr("dtype", Promote()), method=False,
           namespace="internal")  # fmt: skip
def iota(length: Size, start: Tensor, step: Tensor, dtype: DType | None = None) -> Tensor:
    """start + step * i for i from 0 to length - 1, computed in float64 or int64."""
    wide = np.float64 if "f" in start.dtype.kind + step.dtype.kind else np.int64
    return start.astype(wide) + step.astype(wide) * np.arange(length)


@primitive(shape=Constant(()), dtype=Fixed(int64), method=False, namespace="internal")
def size_tensor(size: Size) -> Tensor:
    """A run-time size as a 0-d int64 tensor, so that a rule may compute with it."""
    return np.asarray(size)


def number(size: Any) -> Any:
    """`size` as an operand: itself if it is an int, else a 0-d tensor."""
    return size if isinstance(size, int) else size_tensor(size)


@function(method=False)
def zeros(size: Sizes, dtype: DType | None = None) -> Tensor:
    """A tensor of zeros, float32 for None."""
    return full(size, 0, dtype=dtype or float32)


@function(method=False)
def ones(size: Sizes, dtype: DType | None = None) -> Tensor:
    """A tensor of ones, float32 for None."""
    return full(size, 1, dtype=dtype or float32)


@function(method=False)
def full_like(x: Tensor, fill_value: Tensor, dtype: DType | None = None) -> Tensor:
    """A tensor of the shape and (for None) the dtype of x, every element `fill_value`."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype)


@function(method=False)
def zeros_like(x: Tensor, dtype: DType | None = None) -> Tensor:
    """A tensor of zeros of the shape and (for None) the dtype of x."""
    return full(x.shape, 0, dtype=dtype or x.dtype)


@function(method=False)
def ones_like(x: Tensor, dtype: DType | None = None) -> Tensor:
    """A tensor of ones of the shape and (for None) the dtype of x."""
    return full(x.shape, 1, dtype=dtype or x.dtype)


@function(method=False)
def arange(
    start: float, end: float | None = None, step: float = 1, dtype: DType | None = None
) -> Tensor:
    """start, start + step, ... below `end` (from 0 to `start` where only that is given).

    The dtype for None is int64 if all three are ints, else float32. ValueError where `step` leads
    away from `end`.
    """
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise ValueError(
            f"arange: step {step} does not lead from {start} to {end}; "
            "give a step of the sign of end - start"
        )
    return iota(math.ceil((end - start) / step), start, step, dtype=dtype)


@function(method=False)
def eye(n: int, m: int | None = None, dtype: DType | None = None) -> Tensor:
    """The n by m matrix (n by n for None) with ones on the diagonal, float32 for dtype None."""
    rows = unsqueeze(iota(n, 0, 1), dim=1)
    return to(eq(rows, iota(n if m is None else m, 0, 1)), dtype=dtype or float32)
