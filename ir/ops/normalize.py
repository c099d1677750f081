"""Softmax, layer norm and RMS norm, and the gradients of the norms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dtypes import Only, Same, Widened, float64
from ..lazy import np
from ..op import Sample, Sizes, Tensor, composite
from ..samples import floats, sample, without_gradient
from ..shapes import Given, SameShape
from ..shapes_product import Fits, Normalized
from .arithmetic import square
from .reduce import largest, sum_
from .selection import as_dtype, widened
from .statistics import mean
from .transcendental import exp, log, rsqrt

_FLOAT = Only(Same(), "f")
_F = "nn.functional"


def _rows() -> Iterator[Sample]:
    yield sample(floats(2, 3, 4), dim=1)
    yield sample(floats(2, 3), dim=-1)
    yield sample(floats(3, dtype="float64") * 400, dim=0)
    yield sample(floats(), dim=0)
    yield sample(floats(2, 1), dim=1)
    yield sample(floats(0, 3), dim=1)
    yield sample(floats(3, 4, dtype="float16"), dim=1)
    yield without_gradient(np.array([[-np.inf, 0, 1], [-np.inf, -np.inf, 2]], "float32"), dim=1)


@composite(shape=SameShape(dim="dim"), dtype=_FLOAT, native=True, autocast="wide", keyword="dtype")
def softmax(x: Tensor, dim: int) -> Tensor:
    """exp(x - max x), normalised to sum to 1 along `dim`."""
    wide = widened(x)
    e = exp(wide - largest(wide, dim))
    return as_dtype(e / sum_(e, dim=(dim,), keepdim=True), x.dtype)


@softmax.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: int) -> Any:
    y, wide = widened(out), widened(g)
    return ((wide - sum_(wide * y, dim=(dim,), keepdim=True)) * y,)


softmax.sampled(_rows)


@composite(shape=SameShape(dim="dim"), dtype=_FLOAT, native=True, autocast="wide", keyword="dtype")
def log_softmax(x: Tensor, dim: int) -> Tensor:
    """The logarithm of `softmax`, without its rounding to 0."""
    wide = widened(x)
    away = wide - largest(wide, dim)
    return as_dtype(away - log(sum_(exp(away), dim=(dim,), keepdim=True)), x.dtype)


@log_softmax.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: int) -> Any:
    wide = widened(g)
    return (wide - exp(widened(out)) * sum_(wide, dim=(dim,), keepdim=True),)


log_softmax.sampled(_rows)


def _last(count: int) -> tuple[int, ...]:
    return tuple(range(-count, 0))


def _standardized(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """(x - mean) / deviation, and 1 / deviation, along `axes`."""
    away = x - mean(x, dim=axes, keepdim=True)
    inverse = rsqrt(mean(square(away), dim=axes, keepdim=True) + eps)
    return away * inverse, inverse


@composite(
    shape=Normalized((1, 2)), dtype=_FLOAT, native=True, method=False, namespace=_F, autocast="wide"
)
def layer_norm(
    input: Tensor, normalized_shape: Sizes, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(input - mean) / sqrt(variance + eps) * weight + bias over the last axes, whose sizes are
    `normalized_shape`; the variance has the divisor n."""
    y, _ = _standardized(widened(input), _last(len(normalized_shape)), eps)
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return as_dtype(y, input.dtype)


@layer_norm.vjp
def _(
    g: Tensor, out: Tensor, input: Tensor, weight: Tensor | None, bias: Tensor | None,
    normalized_shape: Sizes, eps: float,
) -> Any:  # fmt: skip
    input_g, weight_g, bias_g = layer_norm_backward(
        g, input, weight, normalized_shape=normalized_shape, eps=eps
    )
    return input_g, None if weight is None else weight_g, None if bias is None else bias_g


@layer_norm.sampled
def _() -> Iterator[Sample]:
    x, w, b = floats(2, 3, 4), floats(4, seed=1), floats(4, seed=2)
    yield sample(x, w, b, normalized_shape=(4,))
    yield sample(x, w, None, normalized_shape=(4,))
    yield sample(x, None, None, normalized_shape=(3, 4), eps=0.1)
    yield sample(x, floats(2, 3, 4, seed=1), x, normalized_shape=(2, 3, 4))
    yield sample(floats(0, 4), w, b, normalized_shape=(4,))
    yield sample(
        floats(2, 4, dtype="float16"),
        w.astype("float16"),
        b.astype("float16"),
        normalized_shape=(4,),
    )


_INPUT_G = Fits(Normalized((2,), index=1), ((0, "g", SameShape(1)),))


@composite(shape=(_INPUT_G, Given("normalized_shape"), Given("normalized_shape")),
           dtype=(Only(Same(1), "f"), Widened(1), Widened(1)), native=True, method=False,
           namespace="internal")  # fmt: skip
def layer_norm_backward(
    g: Tensor, input: Tensor, weight: Tensor | None, normalized_shape: Sizes, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of `layer_norm` for input, weight and bias, from that of its result."""
    axes = _last(len(normalized_shape))
    wide = widened(g)
    y, inverse = _standardized(widened(input), axes, eps)
    lead = tuple(range(input.ndim - len(axes)))
    weight_g = sum_(wide * y, dim=lead) if lead else wide * y
    bias_g = sum_(wide, dim=lead) if lead else wide
    wide = wide if weight is None else wide * weight
    along = mean(wide * y, dim=axes, keepdim=True)
    input_g = (wide - mean(wide, dim=axes, keepdim=True) - y * along) * inverse
    return as_dtype(input_g, input.dtype), weight_g, bias_g


@layer_norm_backward.sampled
def _() -> Iterator[Sample]:
    g, x, w = floats(2, 3, 4, seed=3), floats(2, 3, 4), floats(4, seed=1)
    yield sample(g, x, w, normalized_shape=(4,), eps=1e-5)
    yield sample(g, x, None, normalized_shape=(3, 4), eps=0.1)
    yield sample(g, x, floats(2, 3, 4, seed=1), normalized_shape=(2, 3, 4), eps=1e-5)


def _inverse_rms(x: Any, axes: tuple[int, ...], eps: float | None) -> Any:
    eps = 2.0**-52 if eps is None and x.dtype is float64 else 2.0**-23 if eps is None else eps
    return rsqrt(mean(square(x), dim=axes, keepdim=True) + eps)


@composite(
    shape=Normalized((1,)), dtype=_FLOAT, native=True, method=False, namespace=_F, autocast="wide"
)
def rms_norm(
    input: Tensor, normalized_shape: Sizes, weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:  # fmt: skip
    """input / sqrt(mean of squares + eps) * weight over the last axes, whose sizes are
    `normalized_shape`; eps for None is the spacing of numbers at 1, of float32 for half types."""
    wide, axes = widened(input), _last(len(normalized_shape))
    y = wide * _inverse_rms(wide, axes, eps)
    return as_dtype(y if weight is None else y * weight, input.dtype)


@rms_norm.vjp
def _(
    g: Tensor, out: Tensor, input: Tensor, weight: Tensor | None, normalized_shape: Sizes,
    eps: float | None,
) -> Any:  # fmt: skip
    input_g, weight_g = rms_norm_backward(
        g, input, weight, normalized_shape=normalized_shape, eps=eps
    )
    return input_g, None if weight is None else weight_g


@rms_norm.sampled
def _() -> Iterator[Sample]:
    x, w = floats(2, 3, 4), floats(4, seed=1)
    yield sample(x, w, normalized_shape=(4,))
    yield sample(x, None, normalized_shape=(3, 4), eps=0.1)
    yield without_gradient(x * 1e-4, w, normalized_shape=(4,))
    yield sample(x.astype("float16"), w.astype("float16"), normalized_shape=(4,))


@composite(shape=(_INPUT_G, Given("normalized_shape")),
           dtype=(Only(Same(1), "f"), Widened(1)), native=True, method=False,
           namespace="internal")  # fmt: skip
def rms_norm_backward(
    g: Tensor, input: Tensor, weight: Tensor | None, normalized_shape: Sizes, eps: float | None
) -> tuple[Tensor, Tensor]:
    """The gradients of `rms_norm` for input and weight, from that of its result."""
    axes = _last(len(normalized_shape))
    x, wide = widened(input), widened(g)
    inverse = _inverse_rms(x, axes, eps)
    y = x * inverse
    lead = tuple(range(input.ndim - len(axes)))
    weight_g = sum_(wide * y, dim=lead) if lead else wide * y
    wide = wide if weight is None else wide * weight
    input_g = (wide - y * mean(wide * y, dim=axes, keepdim=True)) * inverse
    return as_dtype(input_g, input.dtype), weight_g


@rms_norm_backward.sampled
def _() -> Iterator[Sample]:
    g, x, w = floats(2, 3, 4, seed=3), floats(2, 3, 4), floats(4, seed=1)
    yield sample(g, x, w, normalized_shape=(4,), eps=None)
    yield sample(g, x, None, normalized_shape=(3, 4), eps=0.1)
