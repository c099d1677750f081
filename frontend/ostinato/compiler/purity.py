"""Which functions that are written in C do nothing that a replay would leave out."""

from __future__ import annotations

import builtins
import operator
import re
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any, cast

from ..runtime import _C

_SAFE_BUILTINS = {
    getattr(builtins, name)
    for name in (
        "abs", "all", "any", "bin", "callable", "chr", "divmod", "format", "getattr", "hasattr",
        "hash", "hex", "isinstance", "issubclass", "iter", "len", "max", "min", "next", "oct",
        "ord", "pow", "repr", "round", "sorted", "sum", "vars", "dir", "__build_class__",
    )
}  # fmt: skip
_PURE_MODULES = {"math", "_operator", "cmath", "itertools", "_functools", "optree._C"}
_PURE_METHODS: dict[Any, set[str] | None] = {
    dict: {"get", "items", "keys", "values", "copy", "__contains__", "__getitem__"},
    list: {"index", "count", "copy", "__getitem__", "__contains__"},
    tuple: {"index", "count", "__getitem__", "__contains__"},
    str: None, bytes: None, int: None, float: None, bool: None, range: None, frozenset: None,
    slice: None, type: {"mro", "__subclasses__"}, set: {"copy", "__contains__"},
}  # fmt: skip
_CHANGING = {operator.setitem, operator.delitem} | {
    fn for name, fn in vars(operator).items() if name[0] == "i" and hasattr(operator, name[1:])
}
"""Functions of `operator` that change what they are given: `iadd` and the like."""
_LOOKS_INTO = re.compile(r"\{\w*[.\[]")
"""A format that reads attributes or items: `"{0.on}"`."""


def is_pure(fn: Any) -> bool:
    """Whether a call of `fn`, a function or method of C, does nothing outside, and gives what
    follows from its arguments."""
    if fn in _CHANGING:
        return False
    owner = getattr(fn, "__self__", None)
    if fn in _SAFE_BUILTINS or isinstance(owner, _C.Tensor):
        return True
    module = getattr(fn, "__module__", None) or ""
    if module in _PURE_MODULES or module.startswith("ostinato"):
        return True
    if getattr(owner, "__name__", "").startswith(("ostinato", "math")):
        return True
    if isinstance(owner, type):
        return owner in _PURE_METHODS or fn.__name__ in ("__new__", "fromkeys")
    if type(owner).__module__.startswith("ostinato"):
        return True
    if isinstance(owner, str) and fn.__name__ in ("format", "format_map"):
        return _LOOKS_INTO.search(owner) is None
    return _is_pure_method(type(owner), fn.__name__)


def _is_pure_method(kind: Any, name: str) -> bool:
    allowed = _PURE_METHODS.get(kind, set())
    return allowed is None or name in allowed


def may_do_something(value: Any) -> bool:
    """Whether `value` is a function or method of C that is not pure: where other C code calls it,
    nothing sees that."""
    if isinstance(value, BuiltinFunctionType):
        return not is_pure(value)
    if isinstance(value, MethodDescriptorType):
        return not _is_pure_method(cast("Any", value.__objclass__), value.__name__)
    return False


def spelling_of(fn: Any) -> str:
    """How users write a function of C: `list.append`, `time.time`, `print`."""
    owner = getattr(fn, "__self__", None)
    if owner is None or type(owner).__name__ == "module":
        module = getattr(owner, "__name__", None)
        return f"{module}.{fn.__name__}" if module not in (None, "builtins") else fn.__name__
    return f"{type(owner).__name__}.{fn.__name__}"
