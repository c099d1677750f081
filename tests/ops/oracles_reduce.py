"""Oracles of reductions over axes, and of the largest elements along one."""

import warnings
from collections.abc import Callable
from typing import Any

import torch

from oracles_torch import on_torch


def _all_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction of torch that wants to be told all axes."""

    def oracle(x: Any, dim: Any, keepdim: bool) -> Any:
        return function(x, dim=tuple(range(x.ndim)) if dim is None else dim, keepdim=keepdim)

    return on_torch(oracle)


def _one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction that torch has for one axis at a time."""

    def oracle(x: Any, dim: Any, keepdim: bool) -> Any:
        axes = range(x.ndim) if dim is None else [d % max(x.ndim, 1) for d in dim]
        y = function(x, dim=0, keepdim=True) if x.ndim == 0 else x
        for axis in sorted(axes, reverse=True):
            y = function(y, dim=axis, keepdim=keepdim)
        return y

    return on_torch(oracle)


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` without torch's warning that one element has no spread."""

    def oracle(x: Any, dim: Any, correction: float, keepdim: bool) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*degrees of freedom")
            return function(x, dim, correction=correction, keepdim=keepdim)

    return on_torch(oracle)


ORACLE: dict[str, Callable[..., Any]] = {
    "sum": on_torch(torch.sum),
    "prod": _one_by_one(torch.prod),
    "amax": _all_axes(torch.amax),
    "amin": _all_axes(torch.amin),
    "argmax": on_torch(torch.argmax),
    "argmin": on_torch(torch.argmin),
    "any": on_torch(lambda x, dim, keepdim: torch.any(x.bool(), dim, keepdim)),
    "all": on_torch(lambda x, dim, keepdim: torch.all(x.bool(), dim, keepdim)),
    "cumsum": on_torch(torch.cumsum),
    "topk": on_torch(lambda x, k, dim, largest: tuple(torch.topk(x, k, dim, largest))),
    "mean": on_torch(torch.mean),
    "var": _quiet(torch.var),
    "std": _quiet(torch.std),
    "logsumexp": on_torch(torch.logsumexp),
    "norm": on_torch(lambda x, p, dim, keepdim: torch.linalg.vector_norm(x, p, dim, keepdim)),
}
