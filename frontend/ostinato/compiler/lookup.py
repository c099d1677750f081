"""What a chain of attributes and items leads to, found without running code of the user."""

from __future__ import annotations

import operator
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, cast

from ..runtime import _C
from .bytecode import Chain

Read = tuple[str, Any, Any, Any]
"""(how, owner, key, what was there), as `_C.Replay` takes it."""

NOTHING: Any = object()
NUMBERS = (int, float)
PLAIN = (bool, str, bytes, type(None))
_GETTERS: list[Any] = [vars(kind)["__getitem__"] for kind in (list, tuple, dict)]
_READERS = (operator.attrgetter, operator.itemgetter, operator.methodcaller)
VALUES = (*PLAIN, *NUMBERS, list, tuple, dict, _C.Tensor)


def reached(chain: Chain, value: Any) -> tuple[Any, bool]:
    """What `chain` leads to from the value of its name, and whether that is all of it; a tensor on
    the way is what it leads to."""
    for kind, key in chain.steps:
        if isinstance(value, _C.Tensor):
            return value, True
        read = attribute_of(value, key) if kind == "attribute" else item_of(value, key)
        if read is None:
            return value, False
        value = read[3]
    return value, not chain.open


def is_opaque(value: Any) -> bool:
    """Whether it is a function of an extension whose calls no profile hook sees."""
    found = value.__func__ if isinstance(value, MethodType) else value
    getter = isinstance(value, _READERS) or any(value is kind for kind in _READERS)
    return getter or "cython" in kind_of(found).__name__


def unseen_in(value: Any, kind: str, key: Any) -> str:
    """What is read of `value` where it cannot be found out whether it changes."""
    if kind == "attribute":
        shared = next((vars(k)[key] for k in type(value).__mro__ if key in vars(k)), None)
        return "a function that cannot be looked into" if is_opaque(shared) else ""
    known = isinstance(value, (str, bytes, range, list, tuple, dict))
    getter = getattr(kind_of(value), "__getitem__", None)
    if known or getter is None or isinstance(getter, FunctionType):
        return ""
    return f"an item of a {kind_of(value).__name__}"


def kind_of(value: Any) -> Any:
    """Its type, as what attributes are asked of."""
    return cast("Any", type(value))


def is_of_package(value: Any) -> bool:
    """Whether `value` is of this package, which says itself what it reads."""
    if isinstance(value, ModuleType):
        return value.__name__.startswith("ostinato")
    of = value if isinstance(value, (FunctionType, type)) else type(value)
    return (of.__module__ or "").startswith("ostinato") and not is_module(value)


def attribute_of(owner: Any, name: str) -> Read | None:
    """The attribute, found without running code of the user; None where that cannot be."""
    shared: Any = next((vars(k)[name] for k in type(owner).__mro__ if name in vars(k)), NOTHING)
    if isinstance(shared, MemberDescriptorType):
        return "attribute", owner, name, getattr(owner, name, None)
    if isinstance(shared, GetSetDescriptorType):
        value = getattr(owner, name, None)  # of a type that is written in C
        return ("attribute", owner, name, value) if isinstance(value, (*PLAIN, *NUMBERS)) else None
    if hasattr(kind_of(shared), "__set__"):
        return None
    own = _own_attributes(owner)
    how = "of a module" if is_module(owner) else "attribute"
    if name in own:
        plain = not isinstance(owner, type) or isinstance(own[name], (FunctionType, *VALUES))
        return (how, owner, name, own[name]) if plain else None
    if isinstance(shared, FunctionType):
        kind = next(k for k in type(owner).__mro__ if name in vars(k))
        return None if is_of_package(shared) else ("attribute", kind, name, shared)
    known = isinstance(shared, VALUES)
    return (how, owner, name, cast("Any", shared)) if known else None


def is_absent(owner: Any, name: str) -> bool:
    """Whether there is no such attribute, and no code of the user gives one."""
    kinds = type(owner).__mro__
    if any("__getattr__" in vars(kind) or name in vars(kind) for kind in kinds):
        return False
    return name not in _own_attributes(owner)


def _own_attributes(owner: Any) -> Any:
    try:
        return object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return {}


def is_module(owner: Any) -> bool:
    """Whether it is a module of this package, or is like one."""
    return callable(getattr(kind_of(owner), "named_parameters", None)) and isinstance(
        getattr(owner, "training", None), bool
    )


def item_of(owner: Any, key: Any) -> Read | None:
    """The item of a list, tuple or dict; None of what runs code of the user to find it."""
    if getattr(kind_of(owner), "__getitem__", None) not in _GETTERS:
        return None
    try:
        return "item", owner, key, owner[key]
    except (LookupError, TypeError):
        return None
