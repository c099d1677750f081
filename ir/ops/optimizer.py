"""One step of each optimizer, as a function of the parameter, its gradient and its state.

The order of arithmetic is PyTorch's. Hyperparameters are 0-d operands, so that they stay live, and
are combined in float64, as Python numbers are; `step` counts from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dtypes import Only, Same, float64
from ..lazy import np
from ..op import Sample, Tensor, composite
from ..samples import floats, sample, without_gradient
from ..shapes import SameShape
from .arithmetic import addcdiv, addcmul, lerp, neg, pow_
from .comparison import le
from .selection import as_dtype, to, where
from .transcendental import sqrt

_FLOAT = Only(Same(), "f", what="param")
_STEP = {"elementwise": True, "native": True, "method": False, "namespace": "internal"}


def _wide(*numbers: Any) -> list[Any]:
    return [to(x, dtype=float64) for x in numbers]


@composite(shape=SameShape(), dtype=_FLOAT, **_STEP)
def sgd_step(param: Tensor, grad: Tensor, lr: Tensor, weight_decay: Tensor) -> Tensor:
    """param - lr * (grad + weight_decay * param)."""
    grad = grad + param * weight_decay
    return as_dtype(param + grad * neg(to(lr, dtype=float64)), param.dtype)


@sgd_step.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), floats(2, 3, seed=1), 0.1, 0.01)
    yield sample(floats(dtype="float64"), floats(dtype="float64", seed=1), 0.1, 0.0)


@composite(shape=(SameShape(0), SameShape(2)), dtype=(_FLOAT, Same(2)), **_STEP)
def sgd_momentum_step(
    param: Tensor, grad: Tensor, momentum_buffer: Tensor, step: Tensor, lr: Tensor,
    momentum: Tensor, dampening: Tensor, weight_decay: Tensor, nesterov: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`sgd_step` along momentum * buffer + (1 - dampening) * gradient, undampened in step 1: the
    new parameter and buffer. The buffer starts as zeros."""
    lr, momentum, dampening = _wide(lr, momentum, dampening)
    grad = grad + param * weight_decay
    share = where(le(step, 1), 1.0, 1.0 - dampening)
    moved = as_dtype(momentum_buffer * momentum + grad * share, momentum_buffer.dtype)
    direction = grad + moved * momentum if nesterov else moved
    return as_dtype(param + direction * neg(lr), param.dtype), moved


@sgd_momentum_step.sampled
def _() -> Iterator[Sample]:
    x, g, b = (floats(2, 3, seed=i) for i in range(3))
    for nesterov in (False, True):
        yield sample(x, g, b, 3, 0.1, 0.9, 0.2, 0.01, nesterov=nesterov)
    yield sample(x, g, b * 0, 1, 0.1, 0.9, 0.2, 0.0, nesterov=False)


def _adam(
    param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, step: Any, lr: Any, beta1: Any,
    beta2: Any, eps: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    step, lr, beta1, beta2 = _wide(step, lr, beta1, beta2)
    exp_avg = as_dtype(lerp(exp_avg, grad, 1.0 - beta1), exp_avg.dtype)
    exp_avg_sq = as_dtype(
        addcmul(exp_avg_sq * beta2, grad, grad, value=1.0 - beta2), exp_avg_sq.dtype
    )
    size = neg(lr / (1.0 - pow_(beta1, step)))
    denominator = sqrt(exp_avg_sq) / sqrt(1.0 - pow_(beta2, step)) + eps
    param = as_dtype(addcdiv(param, exp_avg, denominator, value=size), param.dtype)
    return param, exp_avg, exp_avg_sq


_STATE = (SameShape(0), SameShape(2), SameShape(3))
_STATE_DTYPES = (_FLOAT, Same(2), Same(3))


def _adam_states() -> Iterator[Sample]:
    x, g, m = (floats(2, 3, seed=i) for i in range(3))
    v = floats(2, 3, low=0.0, high=1.0, seed=3)
    yield sample(x, g, m, v, 7, 0.1, 0.9, 0.999, 1e-8, 0.01)
    yield without_gradient(x, g, m * 0, v * 0, 1, 0.1, 0.9, 0.999, 1e-8, 0.0)
    wide = (a.astype("float64") for a in (x, g, m, v))
    yield sample(*wide, np.array(3, "float32"), 0.1, 0.8, 0.95, 1e-3, 0.1)


@composite(shape=_STATE, dtype=_STATE_DTYPES, **_STEP)
def adam_step(
    param: Tensor, grad: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, step: Tensor, lr: Tensor,
    beta1: Tensor, beta2: Tensor, eps: Tensor, weight_decay: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """One step of Adam (Kingma and Ba, 2015), weight decay added to the gradient: the new
    parameter and running means of gradient and squared gradient."""
    grad = grad + param * weight_decay
    return _adam(param, grad, exp_avg, exp_avg_sq, step, lr, beta1, beta2, eps)


adam_step.sampled(_adam_states)


@composite(shape=_STATE, dtype=_STATE_DTYPES, **_STEP)
def adamw_step(
    param: Tensor, grad: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, step: Tensor, lr: Tensor,
    beta1: Tensor, beta2: Tensor, eps: Tensor, weight_decay: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """One step of AdamW (Loshchilov and Hutter, 2019), the parameter decayed first: the new
    parameter and running means of gradient and squared gradient."""
    rate, decay = _wide(lr, weight_decay)
    param = as_dtype(param * (1.0 - rate * decay), param.dtype)
    return _adam(param, grad, exp_avg, exp_avg_sq, step, lr, beta1, beta2, eps)


adamw_step.sampled(_adam_states)
