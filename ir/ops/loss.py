"""Losses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..dtypes import Only, Promote, Same, result_type
from ..op import Sample, Tensor, composite
from ..samples import floats, ints, sample
from ..shapes import SameShape
from ..shapes_product import ClassLoss, Fits, Loss
from .arithmetic import abs_, clamp, square
from .comparison import eq, ge, logical_or, lt, ne
from .create import iota, number
from .reduce import largest, reduced_count, sum_
from .selection import as_dtype, to, where, widened
from .statistics import mean
from .transcendental import exp, log, log1p, sigmoid
from .view import expand, unsqueeze

_REDUCTIONS = {"reduction": ("none", "mean", "sum")}
_F = "nn.functional"


@composite(shape=Loss(), dtype=Only(Promote(), "f"), method=False,
           namespace=_F, variants=_REDUCTIONS, autocast="wide")  # fmt: skip
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared differences, or by default their mean, or their sum."""
    away = input - target
    each = square(widened(away))
    if reduction != "none":
        each = mean(each) if reduction == "mean" else sum_(each)
    return as_dtype(each, away.dtype)


@mse_loss.vjp
def _(g: Tensor, out: Tensor, input: Tensor, target: Tensor, reduction: str) -> Any:
    away = widened(input - target)
    each = widened(g) * 2.0
    input_g = away * (each / reduced_count(away, None) if reduction == "mean" else each)
    return input_g, -input_g


@mse_loss.sampled
def _() -> Iterator[Sample]:
    for reduction in ("none", "mean", "sum"):
        yield sample(floats(2, 3), floats(2, 3, seed=1), reduction=reduction)
    yield sample(floats(2, 3), floats(2, 3, dtype="float64", seed=1))
    yield sample(floats(), floats(seed=1))
    yield sample(floats(3), floats(2, 1, seed=1), reduction="none")
    yield sample(floats(2, 3), floats(3, seed=1))
    yield sample(floats(3, dtype="float16"), floats(3, dtype="float16", seed=1))


@composite(shape=Loss(), dtype=Only(Promote(), "f"), method=False,
           namespace=_F, variants=_REDUCTIONS, autocast="wide")  # fmt: skip
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, reduction: str = "mean"
) -> Tensor:
    """-target log p - (1 - target) log(1 - p) with p = sigmoid(input); by default the mean, or the
    sum."""
    dtype = result_type([input, target])
    x, y = (widened(as_dtype(t, dtype)) for t in (input, target))
    # log(1 + exp(x)) without overflow, less what a target of 1 takes off.
    each = clamp(x, 0.0) - x * y + log1p(exp(-abs_(x)))
    if reduction != "none":
        each = mean(each) if reduction == "mean" else sum_(each)
    return as_dtype(each, dtype)


@binary_cross_entropy_with_logits.vjp
def _(g: Tensor, out: Tensor, input: Tensor, target: Tensor, reduction: str) -> Any:
    x, y, each = widened(input), widened(target), widened(g)
    away = sigmoid(x) - y
    each = each / reduced_count(away, None) if reduction == "mean" else each
    return away * each, expand(-x * each, size=away.shape)


@binary_cross_entropy_with_logits.sampled
def _() -> Iterator[Sample]:
    y = floats(2, 3, low=0.0, high=1.0, seed=1)
    for reduction in ("none", "mean", "sum"):
        yield sample(floats(2, 3), y, reduction=reduction)
    yield sample(floats(2, 3) * 100, y, reduction="none")
    yield sample(floats(2, 3, dtype="float64"), y.astype("float64"))
    yield sample(floats(), floats(low=0.0, high=1.0))
    yield sample(floats(2, 3), floats(3, low=0.0, high=1.0))
    yield sample(floats(3, dtype="float16"), floats(3, low=0.0, high=1.0, dtype="float16"))


def _class_axis(input: Any) -> int:
    return 1 if input.ndim > 1 else 0


def _hits(input: Any, target: Any) -> Any:
    """Whether each element of `input` is that of its target class."""
    at = _class_axis(input)
    classes = iota(input.shape[at], 0, 1)
    for _ in range(input.ndim - at - 1):
        classes = unsqueeze(classes, dim=-1)
    return eq(classes, unsqueeze(target, dim=at))


def _classified() -> Iterator[Sample]:
    x, target = floats(3, 5), ints(3, low=0, high=5)
    for reduction in ("none", "mean", "sum"):
        yield sample(x, target, reduction=reduction)
        yield sample(x, target, reduction=reduction, ignore_index=1, label_smoothing=0.2)
    yield sample(x * 300, target)
    yield sample(floats(5), ints(low=0, high=5))
    x, target = floats(2, 4, 3), ints(2, 3, low=0, high=4, seed=2)
    yield sample(x, target, label_smoothing=0.1)
    yield sample(x, target, reduction="none")
    yield sample(floats(3, 5, dtype="float16"), ints(3, low=0, high=5, dtype="uint8"))


@composite(shape=ClassLoss(), dtype=Only(Only(Same(), "f"), "i", of=Same(1), what="target"),
           native=True, method=False, namespace=_F, variants=_REDUCTIONS,
           autocast="wide")  # fmt: skip
def cross_entropy(
    input: Tensor, target: Tensor, ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """-log softmax of `input` (N, C, ...) at the classes `target` (N, ...), integers.

    Rows whose target is `ignore_index` count as 0 and not in the mean. Label smoothing mixes in
    the mean over all classes. IndexError where another target is out of range; in a region on a
    GPU, or that computes the target, the loss is NaN.
    """
    at = _class_axis(input)
    wide = widened(input)
    away = wide - largest(wide, at)
    total = log(sum_(exp(away), dim=(at,)))
    each = total - sum_(where(_hits(wide, target), away, 0.0), dim=(at,))
    if label_smoothing:
        spread = total - mean(away, dim=(at,))
        each = each * (1.0 - label_smoothing) + spread * label_smoothing
    outside = logical_or(lt(target, 0), ge(target, number(input.shape[at])))
    each = where(outside, math.nan, each)
    counted = ne(target, ignore_index)
    each = where(counted, each, 0.0)
    if reduction == "none":
        return as_dtype(each, input.dtype)
    each = sum_(each)
    return as_dtype(each / sum_(counted) if reduction == "mean" else each, input.dtype)


@cross_entropy.vjp
def _(
    g: Tensor, out: Tensor, input: Tensor, target: Tensor, ignore_index: int, reduction: str,
    label_smoothing: float,
) -> Any:  # fmt: skip
    return cross_entropy_backward(g, input, target, ignore_index, reduction, label_smoothing), None


cross_entropy.sampled(_classified)


@composite(shape=Fits(SameShape(1), ((0, "g", ClassLoss(1)),)), dtype=Only(Same(1), "f"),
           native=True, method=False, namespace="internal",
           variants=_REDUCTIONS)  # fmt: skip
def cross_entropy_backward(
    g: Tensor, input: Tensor, target: Tensor, ignore_index: int, reduction: str,
    label_smoothing: float,
) -> Tensor:  # fmt: skip
    """The gradient of `cross_entropy` for input, from that of its result."""
    at = _class_axis(input)
    wide, g = widened(input), widened(g)
    e = exp(wide - largest(wide, at))
    p = e / sum_(e, dim=(at,), keepdim=True)
    counted = ne(target, ignore_index)
    row_g = where(counted, g / sum_(counted) if reduction == "mean" else g, 0.0)
    wanted = to(_hits(wide, target), dtype=wide.dtype) * (1.0 - label_smoothing)
    if label_smoothing:
        wanted = wanted + label_smoothing / reduced_count(wide, at)
    return as_dtype((p - wanted) * unsqueeze(row_g, dim=at), input.dtype)


@cross_entropy_backward.sampled
def _() -> Iterator[Sample]:
    for (x, target), attrs in _classified():
        reduction = attrs.get("reduction", "mean")
        g = floats(*(target.shape if reduction == "none" else ()), dtype=x.dtype.name, seed=4)
        given = {"ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0}
        yield (g, x, target), {**given, **attrs}
