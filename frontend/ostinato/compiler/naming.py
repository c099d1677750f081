"""Of what kind a compiled function is, and the name that it goes by."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any


def runs_between_calls(fn: Callable[..., Any]) -> bool:
    """Whether a call only begins the function, which runs on later: nothing there is captured."""
    kinds = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    of_object = inspect.getattr_static(type(fn), "__call__", None)
    return any(is_kind(f) for is_kind in kinds for f in (fn, of_object))


def function_name(fn: Callable[..., Any]) -> str:
    """`f` or `Net.forward`; what encloses a function is left out."""
    name: str = getattr(fn, "__qualname__", type(fn).__name__)
    return name.rpartition("<locals>.")[2]


def global_name(value: Any) -> str:
    """By which `value` is found in its module; "" where it is not."""
    name: str = getattr(value, "__qualname__", "")
    found: Any = sys.modules.get(getattr(value, "__module__", ""))
    found = functools.reduce(lambda of, part: getattr(of, part, None), name.split("."), found)
    return name if found is value else ""
