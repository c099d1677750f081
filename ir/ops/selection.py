"""Choosing between elements, clamping, casts and copies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..dtypes import DTYPES, DType, FromAttr, Only, Promote, Same, float32, float64, int64
from ..op import Device, Sample, Tensor, pointwise, primitive
from ..samples import bools, floats, ints, sample, unary, without_gradient
from ..scalar import expression as s


@pointwise(
    dtype=Only(Promote((1, 2)), "b", of=Same(0), what="condition"),
    compute=Promote((1, 2)), uncast=(0,), inplace=False, method=False,
)  # fmt: skip
def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """x where the bool `condition` holds, else y."""
    return s.select(condition, x, y)


@where.vjp
def _(g: Tensor, out: Tensor, condition: Tensor, x: Tensor, y: Tensor) -> Any:
    return None, where(condition, g, 0.0), where(condition, 0.0, g)


@where.sampled
def _() -> Iterator[Sample]:
    yield sample(bools(2, 3), floats(2, 3), floats(2, 3, seed=1))
    yield sample(bools(2, 1), floats(3), 1.5)
    yield sample(bools(3), 2, floats(2, 3))
    yield sample(bools(2, 3), ints(3), floats(2, 3, dtype="float16"))
    yield sample(bools(), ints(2, 3), False)
    yield sample(bools(0, 3), floats(3), floats(1, 3))
    yield sample(bools(2, 3), bools(3, seed=1), bools(3, seed=2))


@pointwise(dtype=Only(Same(), "b", of=Same(1), what="mask"), compute=Same(), uncast=(1,))
def masked_fill(x: Tensor, mask: Tensor, value: Tensor) -> Tensor:
    """`value`, converted to the dtype of x, where the bool `mask` holds, else x."""
    return s.select(mask, value, x)


@masked_fill.vjp
def _(g: Tensor, out: Tensor, x: Tensor, mask: Tensor, value: Tensor) -> Any:
    return where(mask, 0.0, g), None, where(mask, g, 0.0)


@masked_fill.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), bools(2, 3), -1.5)
    yield sample(floats(2, 3), bools(3), floats())
    yield sample(floats(3), bools(2, 3), 0)
    yield sample(ints(2, 3, dtype="int16"), bools(2, 1), 7)
    yield without_gradient(floats(2, 3, dtype="float16"), bools(2, 3), -math.inf)
    yield sample(bools(2, 3), bools(2, 3, seed=1), True)


@pointwise(dtype=FromAttr("dtype", Same()), inplace=False)
def to(x: Tensor, dtype: DType) -> Tensor:
    """x converted to `dtype`: floats to integers are truncated, anything to bool tested for 0."""
    return x


@to.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dtype: DType) -> Any:
    return (g,)


@to.sampled
def _() -> Iterator[Sample]:
    for dtype in DTYPES:
        x = floats(2, 3, low=0.0, high=9.0)
        yield sample(x, dtype=dtype)
        yield sample(x.astype("int32"), dtype=dtype)
        yield sample(bools(3), dtype=dtype)
    yield sample(floats(2, 3, dtype="float64"), dtype=float32)
    yield sample(floats(2, 3, dtype="float16"), dtype=float64)
    yield sample(floats(2, 3), dtype=int64)


@primitive(method=False, namespace="internal")
def to_device(x: Tensor, device: Device, source: Device, non_blocking: bool = False) -> Tensor:
    """x, which lies on `source`, copied to `device`."""
    return x


@to_device.vjp
def _(g: Tensor, out: Tensor, x: Tensor, device: Device, source: Device, non_blocking: bool) -> Any:
    return (to_device(g, device=source, source=device),)


@to_device.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), device="cpu", source="cpu")
    yield sample(ints(2), device="cpu", source="cpu")


@pointwise(dtype=Same(), inplace=False)
def clone(x: Tensor) -> Tensor:
    """A copy of x in memory of its own."""
    return x


@clone.vjp
def _(g: Tensor, out: Tensor, x: Tensor) -> Any:
    return (g,)


clone.sampled(unary())


@pointwise(dtype=Same())
def copy(x: Tensor, src: Tensor) -> Tensor:
    """`src` converted to the dtype of x; in place, x takes the values of `src`."""
    return src


@copy.vjp
def _(g: Tensor, out: Tensor, x: Tensor, src: Tensor) -> Any:
    return None, g


@copy.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), floats(2, 3, seed=1))
    yield sample(floats(2, 3), floats(3, dtype="float64", seed=1))
    yield sample(floats(2, 3), 1.5)
    yield sample(ints(2, 3), floats(2, 1))
    yield sample(bools(3), floats(3))


@pointwise(dtype=Same(), method=False, inplace=False, namespace="internal")
def changed(x: Tensor, value: Tensor) -> Tensor:
    """`value`, converted to the dtype of x: what x is after a change in place that no gradient is
    recorded of. The gradient goes to x."""
    return value


@changed.vjp
def _(g: Tensor, out: Tensor, x: Tensor, value: Tensor) -> Any:
    return g, None


@changed.sampled
def _() -> Iterator[Sample]:
    yield without_gradient(floats(2, 3), floats(2, 3, seed=1))
    yield without_gradient(ints(3), floats(3))


@pointwise(dtype=Same())
def fill(x: Tensor, value: Tensor) -> Tensor:
    """A tensor like x, every element the 0-d `value`."""
    return value


@fill.vjp
def _(g: Tensor, out: Tensor, x: Tensor, value: Tensor) -> Any:
    return None, g


@fill.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), 1.5)
    yield sample(floats(2, 3), floats())
    yield sample(ints(2, 3), 2)
    yield sample(bools(3), True)
    yield sample(floats(0, 3, dtype="float16"), 0)


def widened(x: Any) -> Any:
    """x, of a half type in float32: what sums and products of it are computed in."""
    half = x.dtype.is_floating_point and x.dtype.bits == 16
    return to(x, dtype=float32) if half else x


def as_dtype(x: Any, dtype: DType) -> Any:
    """x, converted where its dtype is another."""
    return x if x.dtype is dtype else to(x, dtype=dtype)
