"""Means, variances, norms and stable sums of exponentials over axes, in floating point."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..dtypes import Only, PromoteFloat, Same, float32
from ..lazy import np
from ..op import Ints, Sample, Tensor, composite
from ..samples import floats, reduction, sample, without_gradient
from ..shapes import Reduced
from .arithmetic import abs_, maximum, pow_, sign, square
from .comparison import eq, isinf, ne
from .reduce import amax, amin, reduced_count, restored, sum_, without_axes
from .selection import as_dtype, where, widened
from .transcendental import exp, log, sqrt
from .view import expand

_FLOAT = Only(Same(), "f")


@composite(shape=Reduced(), dtype=_FLOAT, native=True, keyword="dtype")
def mean(x: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """The mean of the elements along `dim` (all axes for None)."""
    wide = widened(x)
    total = sum_(wide, dim=dim, keepdim=keepdim)
    return as_dtype(total / reduced_count(wide, dim), x.dtype)


@mean.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: Ints | None, keepdim: bool) -> Any:
    each = restored(g, dim, keepdim, x.shape) / reduced_count(widened(x), dim)
    return (expand(each, size=x.shape),)


mean.sampled(reduction(kinds="f", empty=False))


def _spread_divisor(x: Any, dim: Any, correction: float) -> Any:
    n = reduced_count(x, dim)
    return max(n - correction, 0.0) if isinstance(n, int) else maximum(n - correction, 0.0)


def _spreads() -> Iterator[Sample]:
    yield from reduction(kinds="f", empty=False)()
    yield sample(floats(3, 4), dim=(1,), correction=0.0)
    yield sample(floats(3, 4) + 1000.0, dim=(0,), correction=2.0)


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


@var.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: Ints | None, correction: float, keepdim: bool) -> Any:
    wide = widened(x)
    away = wide - mean(wide, dim=dim, keepdim=True)
    each = restored(widened(g), dim, keepdim, x.shape) * 2.0
    return (away * (each / _spread_divisor(wide, dim, correction)),)


@var.sampled
def _() -> Iterator[Sample]:
    yield from _spreads()


@composite(shape=Reduced(), dtype=_FLOAT, native=True)
def std(
    x: Tensor, dim: Ints | None = None, correction: float = 1.0, keepdim: bool = False
) -> Tensor:
    """The square root of the variance along `dim` (all axes for None)."""
    wide = var(widened(x), dim=dim, correction=correction, keepdim=keepdim)
    return as_dtype(sqrt(wide), x.dtype)


@std.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: Ints | None, correction: float, keepdim: bool) -> Any:
    wide, spread = widened(x), restored(widened(out), dim, keepdim, x.shape)
    away = wide - mean(wide, dim=dim, keepdim=True)
    each = restored(widened(g), dim, keepdim, x.shape) / spread
    each = where(eq(spread, 0.0), 0.0, each)
    return (away * (each / _spread_divisor(wide, dim, correction)),)


@std.sampled
def _() -> Iterator[Sample]:
    yield from _spreads()


@composite(shape=Reduced(), dtype=PromoteFloat(), autocast="wide")
def logsumexp(x: Tensor, dim: Ints, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, without overflow."""
    wide = widened(x if x.dtype.is_floating_point else as_dtype(x, float32))
    top = amax(wide, dim=dim, keepdim=True)
    top = where(isinf(top), 0.0, top)
    total = log(sum_(exp(wide - top), dim=dim, keepdim=True)) + top
    kept = total if keepdim else without_axes(total, dim)
    return as_dtype(kept, x.dtype if x.dtype.is_floating_point else float32)


@logsumexp.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: Ints, keepdim: bool) -> Any:
    total = restored(widened(out), dim, keepdim, x.shape)
    total = where(eq(total, -math.inf), 0.0, total)
    return (restored(widened(g), dim, keepdim, x.shape) * exp(widened(x) - total),)


@logsumexp.sampled
def _() -> Iterator[Sample]:
    for operands, attrs in reduction(kinds="fi", empty=False)():
        if attrs.get("dim") is not None:
            yield operands, attrs
    yield without_gradient(np.array([[1000, 1000], [np.inf, 1]], "float32"), dim=(1,))
    yield without_gradient(np.array([[-np.inf, -np.inf], [-np.inf, 1]], "float32"), dim=(1,))


@composite(shape=Reduced(), dtype=_FLOAT, autocast="wide")
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


@norm.vjp
def _(g: Tensor, out: Tensor, x: Tensor, p: float, dim: Ints | None, keepdim: bool) -> Any:
    if p == 0:
        return (None,)
    x, y, g = widened(x), widened(out), widened(g)
    y, g = (restored(v, dim, keepdim, x.shape) for v in (y, g))
    if p == 2:
        return (where(eq(y, 0.0), 0.0, g / y) * x,)
    if p == 1:
        return (g * sign(x),)
    if math.isinf(p):
        hit = eq(abs_(x), y)
        return (where(hit, g / sum_(hit, dim=dim, keepdim=True), 0.0) * sign(x),)
    slope = where(eq(x, 0.0), 0.0, pow_(abs_(x), p - 1.0)) * sign(x)
    return (slope * where(eq(y, 0.0), 0.0, g / pow_(y, p - 1.0)),)


@norm.sampled
def _() -> Iterator[Sample]:
    for p in (0.0, 1.0, 1.5, 2.0, 3.0, math.inf, -math.inf):
        yield sample(floats(2, 3, 4), p=p)
        yield sample(floats(2, 3, 4), p=p, dim=(0, -1), keepdim=True)
    yield from reduction(kinds="f", empty=False)()
    yield sample(floats(0, 3), dim=(0,))
    yield without_gradient(floats(3) * 0)
    for p in (math.inf, -math.inf):
        equals = np.array([[1, -2, 2], [3, 3, -3], [-1, -1, 0.5]], "float32")
        yield without_gradient(equals, p=p, dim=(1,))
