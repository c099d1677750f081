"""The ops of the table as functions: native ones, and those that expand to several at the call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .ir.op import OPS, Op
from .ir import ops as _table  # noqa: F401
from .runtime import _C


def _function(op: Op) -> Any:
    """The callable of `op`: native, or the Python body of one of kind `function`."""
    if op.kind != "function":
        return getattr(_C.ops, op.name)
    op.body.__qualname__ = op.name
    return op.body


functions = SimpleNamespace(**{name: _function(op) for name, op in OPS.items()})
