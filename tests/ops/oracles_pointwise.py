"""Oracles of arithmetic, comparisons, functions of elements and choices between them."""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from oracles_torch import on_torch

_SAME_NAME = (
    "sub mul floor_divide remainder pow neg abs sign square reciprocal floor ceil trunc round "
    "sqrt rsqrt exp exp2 expm1 log log2 log1p sin cos tan tanh erf sigmoid relu "
    "eq ne lt le gt ge logical_not bitwise_not isnan isinf isfinite where masked_fill clone"
).split()

# torch has these for tensors only.
_TENSORS_ONLY = (
    "maximum minimum logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor"
).split()


def _with_tensors(function: Callable[..., Any]) -> Callable[..., Any]:
    """A number joins as the 0-d tensor of its category; the float64 one counts for no more."""

    def oracle(x: Any, y: Any) -> Any:
        x, y = (v if isinstance(v, torch.Tensor) else _number(v) for v in (x, y))
        return function(x, y)

    return on_torch(oracle)


def _number(v: Any) -> torch.Tensor:
    return torch.tensor(v, dtype=torch.float32 if isinstance(v, float) else None)


def _scaled(function: Callable[..., Any]) -> Callable[..., Any]:
    """torch takes a number for `value`; a tensor scales the first factor."""

    def oracle(x: Any, a: Any, b: Any, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            a, value = a * value, 1
        return function(x, a, b, value=value)

    return on_torch(oracle)


def _lerp(x: Any, end: Any, weight: Any) -> Any:
    """torch takes no bools."""
    if x.dtype is torch.bool:
        x, end = x.to(weight.dtype), end.to(weight.dtype)
    return torch.lerp(x, end, weight)


def _copy(x: Any, src: Any) -> Any:
    return x.clone().copy_(torch.as_tensor(src))


ORACLE: dict[str, Callable[..., Any]] = {
    **{name: on_torch(getattr(torch, name)) for name in _SAME_NAME},
    **{name: _with_tensors(getattr(torch, name)) for name in _TENSORS_ONLY},
    "add": on_torch(operator.add),
    "div": on_torch(torch.true_divide),
    "pow": on_torch(operator.pow),
    "lerp": on_torch(_lerp),
    "addcmul": _scaled(torch.addcmul),
    "addcdiv": _scaled(torch.addcdiv),
    "clamp": on_torch(torch.clamp),
    "to": on_torch(lambda x, dtype: x.to(dtype)),
    "copy": on_torch(_copy),
    "changed": on_torch(lambda x, value: (x - x.detach()) + value.detach().to(x.dtype)),
    "fill": on_torch(lambda x, value: torch.fill(x, value)),
    "silu": on_torch(F.silu),
    "gelu": on_torch(F.gelu),
    "softplus": on_torch(F.softplus),
    "leaky_relu": on_torch(F.leaky_relu),
}
