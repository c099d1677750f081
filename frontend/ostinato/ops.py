"""The ops of the table as functions: native ones, and those that expand to several at the call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from numbers import Integral
from types import SimpleNamespace
from typing import Any

from .ir import ops as _table  # noqa: F401  # pyright: ignore[reportUnusedImport]
from .ir.op import OPS, Op
from .runtime import _C


def expanded(op: Op) -> Callable[..., Any]:
    """The body of an op of kind `function`, called as native ops are: sizes may come one by one,
    and tensors that no operand places are made beside the first tensor that comes."""
    body = _gathering(op)

    @functools.wraps(op.body)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _C.beside(body, *args, **kwargs)

    return call


def _gathering(op: Op) -> Callable[..., Any]:
    lists = [i for i in range(len(op.params)) if op.takes_rest(i)]
    others = {p.other_name: p.name for p in op.params if p.other_name}

    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            kwargs = {others.get(name, name): value for name, value in kwargs.items()}
        return op.body(*_gathered(lists, args), **kwargs)

    return call


def _gathered(lists: Sequence[int], args: tuple[Any, ...]) -> tuple[Any, ...]:
    for at in lists:
        rest = args[at:]
        count = next((i for i, a in enumerate(rest) if not _is_size(a)), len(rest))
        if count:
            args = (*args[:at], rest[:count], *rest[count:])
    return args


def _is_size(value: Any) -> bool:
    """Whether it is an integer: of Python, of NumPy, or the stand-in of one in a capture."""
    return isinstance(value, Integral) and value is not True and value is not False


def _creating(fn: Callable[..., Any], anywhere: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes tensors also takes `requires_grad` and `device`.

    `fn` says where itself; `anywhere` follows the creation device.
    """

    @functools.wraps(fn)
    def call(*args: Any, requires_grad: bool = False, device: Any = None, **kwargs: Any) -> Any:
        if device is None:
            made = fn(*args, **kwargs)
        else:
            made = _C.on_device(device, anywhere, *args, **kwargs)
        if requires_grad:
            made.requires_grad = True
        return made

    return call


def _function(op: Op) -> Callable[..., Any]:
    if op.kind != "function":
        native = getattr(_C.ops, op.name)
        return _creating(native, native) if op.creates else native
    return _creating(expanded(op), _gathering(op)) if op.creates else expanded(op)


functions = SimpleNamespace(**{name: _function(op) for name, op in OPS.items()})
