"""Softmax, layer norm and RMS norm, and the gradients of the norms."""

from __future__ import annotations

from typing import Any

from ..dtypes import Only, Same, Widened, float64
from ..op import Sizes, Tensor, composite
from ..shapes import Given, SameShape
from ..shapes_product import Normalized
from .arithmetic import square
from .reduce import amax, sum_
from .selection import as_dtype, widened
from .statistics import mean
from .transcendental import exp, log, rsqrt

_FLOAT = Only(Same(), "f")
_F = "nn.functional"


@composite(shape=SameShape(dim="dim"), dtype=_FLOAT, native=True)
def softmax(x: Tensor, dim: int) -> Tensor:
    """exp(x - max x), normalised to sum to 1 along `dim`."""
    wide = widened(x)
    e = exp(wide - amax(wide, dim=(dim,), keepdim=True))
    return as_dtype(e / sum_(e, dim=(dim,), keepdim=True), x.dtype)


@composite(shape=SameShape(dim="dim"), dtype=_FLOAT, native=True)
def log_softmax(x: Tensor, dim: int) -> Tensor:
    """The logarithm of `softmax`, without its rounding to 0."""
    wide = widened(x)
    away = wide - amax(wide, dim=(dim,), keepdim=True)
    return as_dtype(away - log(sum_(exp(away), dim=(dim,), keepdim=True)), x.dtype)


def _last(count: int) -> tuple[int, ...]:
    return tuple(range(-count, 0))


def _standardized(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """(x - mean) / deviation, and 1 / deviation, along `axes`."""
    away = x - mean(x, dim=axes, keepdim=True)
    inverse = rsqrt(mean(square(away), dim=axes, keepdim=True) + eps)
    return away * inverse, inverse


@composite(shape=Normalized((1, 2)), dtype=_FLOAT, native=True, method=False, namespace=_F)
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


@composite(shape=(SameShape(1), Given("normalized_shape"), Given("normalized_shape")),
           dtype=(Same(1), Widened(1), Widened(1)), native=True, method=False,
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


def _inverse_rms(x: Any, axes: tuple[int, ...], eps: float | None) -> Any:
    eps = 2.0**-52 if eps is None and x.dtype is float64 else 2.0**-23 if eps is None else eps
    return rsqrt(mean(square(x), dim=axes, keepdim=True) + eps)


@composite(shape=Normalized((1,)), dtype=_FLOAT, native=True, method=False, namespace=_F)
def rms_norm(
    input: Tensor, normalized_shape: Sizes, weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:  # fmt: skip
    """input / sqrt(mean of squares + eps) * weight over the last axes, whose sizes are
    `normalized_shape`; eps for None is the spacing of numbers at 1, of float32 for half types."""
    wide, axes = widened(input), _last(len(normalized_shape))
    y = wide * _inverse_rms(wide, axes, eps)
    return as_dtype(y if weight is None else y * weight, input.dtype)


@composite(shape=(SameShape(1), Given("normalized_shape")), dtype=(Same(1), Widened(1)),
           native=True, method=False, namespace="internal")  # fmt: skip
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
