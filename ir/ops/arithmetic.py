"""Arithmetic on elements, integers included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dtypes import Only, Promote, PromoteFloat, bool_, result_type
from ..lazy import np
from ..op import Sample, Tensor, composite, pointwise
from ..samples import binary, bools, floats, ints, sample, unary, without_gradient
from ..scalar import expression as s
from ..shapes import Broadcast
from .comparison import eq, ge, gt, le, logical_and, lt
from .rounding import sign
from .selection import as_dtype, to, where
from .transcendental import log

_NUMBERS = Only(Promote(), "if")
_FLOATS = Only(Promote(), "f")


@pointwise(keyword="alpha")
def add(x: Tensor, y: Tensor) -> Tensor:
    """x + y; of two bools, whether either holds."""
    return x | y if x.dtype is bool_ else x + y


@add.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    return g, g


add.sampled(binary())


@pointwise(dtype=_NUMBERS, keyword="alpha")
def sub(x: Tensor, y: Tensor) -> Tensor:
    """x - y; not for two bools."""
    return x - y


@sub.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    return g, -g


sub.sampled(binary(kinds="fi"))


@pointwise()
def mul(x: Tensor, y: Tensor) -> Tensor:
    """x * y; of two bools, whether both hold."""
    return x & y if x.dtype is bool_ else x * y


@mul.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    return g * y, g * x


mul.sampled(binary())


@pointwise(dtype=PromoteFloat())
def div(x: Tensor, y: Tensor) -> Tensor:
    """x / y, in floating point."""
    return x / y


@div.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    return g / y, -g * out / y


div.sampled(binary(low=0.4))


@pointwise(dtype=_NUMBERS)
def floor_divide(x: Tensor, y: Tensor) -> Tensor:
    """x / y rounded down, in the dtype of the operands; an integer divided by 0 is 0."""
    return x // y


@floor_divide.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    return g * 0.0, g * 0.0


floor_divide.sampled(binary(low=-2.0, high=-0.3, kinds="fi"))


@pointwise(dtype=_NUMBERS)
def remainder(x: Tensor, y: Tensor) -> Tensor:
    """x modulo y with the sign of y; an integer modulo 0 is 0."""
    return x % y


@remainder.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    # The quotient is a staircase: flat wherever it has a slope.
    return g, -g * floor_divide(x, y)


remainder.sampled(binary(low=-2.0, high=-0.3, kinds="fi"))


@pointwise(dtype=_NUMBERS, autocast="wide")
def pow_(x: Tensor, y: Tensor) -> Tensor:
    """x raised to the power y, in the dtype of the operands."""
    return x**y


@pow_.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    # What is computed of numbers alone would be float32.
    x, y = to(x, dtype=out.dtype), to(y, dtype=out.dtype)
    base_g = where(eq(y, 0.0), 0.0, g * y * pow_(x, y - 1.0))
    vanishes = logical_and(eq(x, 0.0), ge(y, 0.0))
    return base_g, where(vanishes, 0.0, g * out * log(x))


@pow_.sampled
def _() -> Iterator[Sample]:
    yield from binary(kinds="f", number=2.0)()
    yield from binary(kinds="i")()
    yield sample(ints(2, 3, low=1, high=5), floats(3, dtype="float16"))
    yield sample(floats(2, 3), 2)
    yield sample(floats(2, 3), 3.0)
    yield sample(2.5, floats(2, 3))
    yield without_gradient(floats(3) * 0, np.array([0, 1, 2], "float32"))
    yield sample(ints(5, low=-3, high=4), np.array([0, 1, 2, 3, 0]))


def _extremes() -> Iterator[Sample]:
    yield from binary()()
    yield without_gradient(ints(2, 3).astype("float32"), ints(3, seed=2).astype("float32"))
    nan = np.array([np.nan, 1, np.nan], "float32")
    yield without_gradient(nan, np.array([0, np.nan, np.nan], "float32"))


@pointwise()
def maximum(x: Tensor, y: Tensor) -> Tensor:
    """The larger of x and y; NaN if either is NaN."""
    return s.maximum(x, y)


@maximum.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    share = where(eq(x, y), g * 0.5, g)
    return where(lt(x, y), 0.0, share), where(gt(x, y), 0.0, share)


maximum.sampled(_extremes)


@pointwise()
def minimum(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of x and y; NaN if either is NaN."""
    return s.minimum(x, y)


@minimum.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    share = where(eq(x, y), g * 0.5, g)
    return where(gt(x, y), 0.0, share), where(lt(x, y), 0.0, share)


minimum.sampled(_extremes)


@pointwise(dtype=_NUMBERS)
def neg(x: Tensor) -> Tensor:
    """-x."""
    return -x


@neg.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (-g,)


neg.sampled(unary(kinds="fi"))


@pointwise(dtype=_NUMBERS)
def abs_(x: Tensor) -> Tensor:
    """The absolute value of x."""
    return abs(x)


@abs_.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * sign(x),)


abs_.sampled(unary(kinds="fi"))


@pointwise(dtype=_NUMBERS)
def square(x: Tensor) -> Tensor:
    """x * x."""
    return x * x


@square.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g * (x * 2.0),)


square.sampled(unary(kinds="fi"))


@pointwise(dtype=PromoteFloat(), autocast="wide")
def reciprocal(x: Tensor) -> Tensor:
    """1 / x, in floating point."""
    return 1.0 / x


@reciprocal.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (-g * out * out,)


reciprocal.sampled(unary(low=0.3))


@pointwise(dtype=_FLOATS)
def lerp(x: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """x + weight * (end - x), written from the nearer end."""
    low = x + weight * (end - x)
    return s.select(abs(weight) < 0.5, low, end - (end - x) * (1.0 - weight))


@lerp.vjp
def _(g: Tensor, out: Tensor, x: Tensor, end: Tensor, weight: Tensor) -> Any:
    bools = x.dtype is bool_ and end.dtype is bool_
    return g - g * weight, g * weight, g * end - g * x if bools else g * (end - x)


@lerp.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), floats(2, 3, seed=1), 0.1)
    yield sample(floats(2, 3), floats(3, seed=1), 0.9)
    yield sample(floats(2, 3), floats(2, 3, seed=1), floats(2, 1, low=0.0, high=1.0, seed=2))
    yield sample(floats(3, dtype="float16"), floats(3, dtype="float16", seed=1), 0.25)
    yield sample(bools(2, 3), bools(2, 3, seed=3), floats(2, 3, low=0.0, high=1.0, seed=2))


@pointwise(dtype=_NUMBERS)
def addcmul(x: Tensor, tensor1: Tensor, tensor2: Tensor, value: Tensor = 1) -> Tensor:
    """x + value * tensor1 * tensor2."""
    return x + value * tensor1 * tensor2


@addcmul.vjp
def _(g: Tensor, out: Tensor, x: Tensor, tensor1: Tensor, tensor2: Tensor, value: Tensor) -> Any:
    scaled = g * value
    return g, scaled * tensor2, scaled * tensor1, g * tensor1 * tensor2


@addcmul.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), floats(3, seed=1), floats(2, 1, seed=2), 0.5)
    yield sample(floats(2, 3), floats(2, 3, seed=1), floats(2, 3, seed=1), 1)
    yield sample(ints(2, 3), ints(3, seed=1), ints(3, seed=2), 2)
    yield sample(floats(2, 3), floats(3, seed=1), floats(2, 1, seed=2), floats(seed=3))


@pointwise(dtype=_FLOATS)
def addcdiv(x: Tensor, tensor1: Tensor, tensor2: Tensor, value: Tensor = 1) -> Tensor:
    """x + value * tensor1 / tensor2, in floating point."""
    return x + value * tensor1 / tensor2


@addcdiv.vjp
def _(g: Tensor, out: Tensor, x: Tensor, tensor1: Tensor, tensor2: Tensor, value: Tensor) -> Any:
    scaled = g * value / tensor2
    return g, scaled, -scaled * tensor1 / tensor2, g * tensor1 / tensor2


@addcdiv.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), floats(3, seed=1), floats(2, 1, low=0.5, seed=2), -0.5)
    yield sample(floats(2, 3), floats(2, 3, seed=1), floats(2, 3, low=0.5), 1)
    yield sample(floats(2, 3), floats(3, seed=1), floats(2, 1, low=0.5, seed=2), floats(seed=3))


@composite(dtype=Promote(), shape=Broadcast(), inplace=True)
def clamp(x: Tensor, min: Tensor | None = None, max: Tensor | None = None) -> Tensor:
    """x limited to at least `min` and at most `max`; `max` wins where they cross, NaN stays."""
    if min is None and max is None:
        raise TypeError("clamp: neither min nor max was given; give at least one")
    dtype = result_type([t for t in (x, min, max) if t is not None])
    y = x if min is None else maximum(x, min)
    y = y if max is None else minimum(y, max)
    return as_dtype(y, dtype)


@clamp.vjp
def _(g: Tensor, out: Tensor, x: Tensor, min: Tensor | None, max: Tensor | None) -> Any:
    x_g, min_g, max_g = g, None, None
    if min is not None:
        x_g, min_g = where(ge(x, min), x_g, 0.0), where(lt(x, min), g, 0.0)
    if max is not None:
        x_g, max_g = where(le(x, max), x_g, 0.0), where(gt(x, max), g, 0.0)
    if min is not None and max is not None:
        crossed = gt(min, max)
        min_g, max_g = where(crossed, 0.0, min_g), where(crossed, g, max_g)
    return x_g, min_g, max_g


@clamp.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), -0.5, 0.5)
    yield sample(floats(2, 3), None, 0.5)
    yield sample(floats(2, 3), -0.5, None)
    yield sample(floats(2, 3), floats(3, seed=2), floats(2, 1, seed=4))
    yield sample(ints(2, 3), -1, 2)
    yield sample(ints(2, 3), 0.5, None)
    yield without_gradient(np.array([0.0, 1.0, np.nan], "float32"), 0.0, 1.0)
    yield sample(bools(3), 0, 1)
