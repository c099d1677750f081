"""Means, variances, norms and stable sums of exponentials over axes, in floating point."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import Only, PromoteFloat, Same, float32
from ..op import Ints, Tensor, composite
from ..shapes import Reduced
from .arithmetic import abs_, maximum, pow_, square
from .comparison import isinf, ne
from .reduce import amax, amin, reduced_count, sum_, without_axes
from .selection import as_dtype, where, widened
from .transcendental import exp, log, sqrt

_FLOAT = Only(Same(), "f")


@composite(shape=Reduced(), dtype=_FLOAT, native=True)
def mean(x: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """The mean of the elements along `dim` (all axes for None)."""
    wide = widened(x)
    total = sum_(wide, dim=dim, keepdim=keepdim)
    return as_dtype(total / reduced_count(wide, dim), x.dtype)


def _spread_divisor(x: Any, dim: Any, correction: float) -> Any:
    n = reduced_count(x, dim)
    return max(n - correction, 0.0) if isinstance(n, int) else maximum(n - correction, 0.0)


@composite(shape=Reduced(), dtype=_FLOAT, native=True)
def var(
    x: Tensor, dim: Ints | None = None, correction: float = 1.0, keepdim: bool = False
) -> Tensor:
    """The mean squared distance from the mean along `dim` (all axes for None), with a divisor
    `correction` less than the number of elements."""
    wide = widened(x)
    away = wide - mean(wide, dim=dim, keepdim=True)
    total = sum_(square(away), dim=dim, keepdim=keepdim)
    return as_dtype(total / _spread_divisor(wide, dim, correction), x.dtype)


@composite(shape=Reduced(), dtype=_FLOAT, native=True)
def std(
    x: Tensor, dim: Ints | None = None, correction: float = 1.0, keepdim: bool = False
) -> Tensor:
    """The square root of the variance along `dim` (all axes for None)."""
    wide = var(widened(x), dim=dim, correction=correction, keepdim=keepdim)
    return as_dtype(sqrt(wide), x.dtype)


@composite(shape=Reduced(), dtype=PromoteFloat())
def logsumexp(x: Tensor, dim: Ints, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, without overflow."""
    wide = widened(x if x.dtype.is_floating_point else as_dtype(x, float32))
    top = amax(wide, dim=dim, keepdim=True)
    top = where(isinf(top), 0.0, top)
    total = log(sum_(exp(wide - top), dim=dim, keepdim=True)) + top
    kept = total if keepdim else without_axes(total, dim)
    return as_dtype(kept, x.dtype if x.dtype.is_floating_point else float32)


@composite(shape=Reduced(), dtype=_FLOAT)
def norm(x: Tensor, p: float = 2.0, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """The p-norm of the elements along `dim` (all axes for None): sum(|x|^p)^(1/p); the number
    of nonzero ones for p = 0, the largest or smallest |x| for p = inf or -inf."""
    wide = widened(x)
    if math.isinf(p):
        y = (amax if p > 0 else amin)(abs_(wide), dim=dim, keepdim=keepdim)
    elif p == 0:
        y = sum_(as_dtype(ne(wide, 0.0), wide.dtype), dim=dim, keepdim=keepdim)
    elif p == 1:
        y = sum_(abs_(wide), dim=dim, keepdim=keepdim)
    elif p == 2:
        y = sqrt(sum_(square(wide), dim=dim, keepdim=keepdim))
    else:
        y = pow_(sum_(pow_(abs_(wide), p), dim=dim, keepdim=keepdim), 1.0 / p)
    return as_dtype(y, x.dtype)
