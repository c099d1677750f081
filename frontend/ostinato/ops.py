"""The ops of the table as functions: native ones, and those that expand to several at the call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from .ir import ops as _table  # noqa: F401  # pyright: ignore[reportUnusedImport]
from .ir.op import OPS, Op
from .runtime import _C


def check_device(device: Any) -> None:
    """ValueError for any device but the CPU."""
    if device not in (None, "cpu"):
        raise ValueError(f"device: {device!r} came; this build runs on 'cpu'")


def expanded(op: Op) -> Callable[..., Any]:
    """The body of an op of kind `function`, called as native ops are: sizes may come one by one."""
    lists = [i for i, p in enumerate(op.params) if p.kind in ("sizes", "ints")]

    @functools.wraps(op.body)
    def call(*args: Any, **kwargs: Any) -> Any:
        return op.body(*_gathered(lists, args), **kwargs)

    return call


def _gathered(lists: Sequence[int], args: tuple[Any, ...]) -> tuple[Any, ...]:
    for at in lists:
        rest = args[at:]
        count = next((i for i, a in enumerate(rest) if type(a) is not int), len(rest))
        if count:
            args = (*args[:at], rest[:count], *rest[count:])
    return args


def _creating(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes a tensor from no tensor also takes `requires_grad` and `device`."""

    @functools.wraps(fn)
    def call(*args: Any, requires_grad: bool = False, device: Any = None, **kwargs: Any) -> Any:
        check_device(device)
        made = fn(*args, **kwargs)
        if requires_grad:
            made.requires_grad = True
        return made

    return call


def _function(op: Op) -> Callable[..., Any]:
    fn = expanded(op) if op.kind == "function" else getattr(_C.ops, op.name)
    return _creating(fn) if op.creates else fn


functions = SimpleNamespace(**{name: _function(op) for name, op in OPS.items()})
