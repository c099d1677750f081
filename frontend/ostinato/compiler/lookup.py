"""What a chain of attributes and items leads to, found without running code of the user."""

from __future__ import annotations

import functools
import inspect
import operator
from collections import deque
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)  # fmt: skip
from typing import Any, cast

from ..runtime import _C
from .bytecode import Chain
from .containers import grows_when_read
from .purity import may_do_something

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
    """Whether it is called without a profile hook seeing that: a function of an extension, or an
    object whose call is written in C, as that of a weak reference."""
    found = value.__func__ if isinstance(value, MethodType) else value
    if isinstance(found, _SLOTS) and found.__name__ in DOING:
        return True
    if isinstance(found, functools.partial):
        return may_do_something(cast("Any", found).func)
    if isinstance(found, _READERS) or any(found is kind for kind in _READERS):
        return True
    if isinstance(found, _SEEN_CALLS) or is_of_package(found):
        return False
    return isinstance(getattr(kind_of(found), "__call__", None), WrapperDescriptorType)  # noqa: B004


_SEEN_CALLS = (
    FunctionType, BuiltinFunctionType, type, functools.partial, MethodWrapperType, ModuleType,
    WrapperDescriptorType, MethodDescriptorType, ClassMethodDescriptorType, staticmethod,
    type(functools.lru_cache(lambda: None)),
)  # fmt: skip
"""What is seen as it is called, or looked into where it is read."""
_SLOTS = (MethodWrapperType, WrapperDescriptorType)
DOING = frozenset(
    f"__{name}__"
    for name in (
        "getattribute", "getattr", "get", "set", "delete", "setattr", "delattr", "setitem",
        "delitem", "next", "call", "iadd", "isub", "imul", "ior", "iand", "ixor",
    )
)  # fmt: skip
"""Methods of types of C that read or change an object, and which no hook sees."""


def unseen_of(value: Any) -> str:
    """What is read of `value` itself without anything seeing it, where it is such a thing."""
    kind = kind_of(value)
    if hasattr(kind, "__next__"):
        return "an iterator"
    if grows_when_read(value):
        return "a dictionary that grows as it is looked into"
    if isinstance(value, (FunctionType, MethodType)) and inspect.iscoroutinefunction(value):
        return "a coroutine"
    if is_opaque(value):
        return "a function that cannot be looked into"
    known = isinstance(value, (*VALUES, set, deque, ModuleType)) or is_of_package(value)
    reader: Any = getattr(kind, "__getitem__", None) or getattr(kind, "__iter__", None)
    changes = getattr(kind, "__hash__", None) is None or isinstance(value, MappingProxyType)
    is_native = isinstance(reader, (WrapperDescriptorType, MethodDescriptorType))
    return f"the content of a {kind.__name__}" if is_native and changes and not known else ""


def unseen_in(value: Any, kind: str, key: Any) -> str:
    """What is read of `value` where it cannot be found out whether it changes."""
    if kind == "attribute":
        shared = shared_of(kind_of(value), key)
        shared = shared.fget if isinstance(shared, property) else shared
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


def is_code(value: Any) -> bool:
    """Whether it is a module of Python's, a function or a class."""
    return isinstance(value, (ModuleType, FunctionType, type))


def shared_of(kind: Any, name: str, default: Any = NOTHING) -> Any:
    """What the class or one above it has under the name, as it lies there."""
    spaces = (cast("dict[str, Any]", vars(k)) for k in kind.__mro__)
    return next((space[name] for space in spaces if name in space), default)


def hidden_in(kind: Any, name: str) -> list[Any]:
    """The user's classes that have the name, but for the one that objects get it of."""
    return [k for k in kind.__mro__ if name in vars(k) and not is_of_package(k)][1:]


def attribute_of(owner: Any, name: str) -> Read | None:
    """The attribute, found without running code of the user; None where that cannot be."""
    if name in ("__class__", "__dict__"):
        return "attribute", owner, name, getattr(owner, name, None)
    shared = shared_of(kind_of(owner), name)
    if isinstance(shared, MemberDescriptorType):
        return "attribute", owner, name, getattr(owner, name, None)
    if isinstance(shared, GetSetDescriptorType):
        value = getattr(owner, name, None)  # of a type that is written in C
        return ("attribute", owner, name, value) if isinstance(value, (*PLAIN, *NUMBERS)) else None
    if hasattr(kind_of(shared), "__set__"):
        return None
    how = "of a module" if is_module(owner) else "attribute"
    if isinstance(owner, type):
        own = shared_of(owner, name)
        return None if own is NOTHING else _bound(owner, owner, name, own)
    own = own_attributes(owner)
    if name in own:
        return how, owner, name, own[name]
    if shared is NOTHING:
        return None
    if isinstance(shared, FunctionType):
        kind = next(k for k in type(owner).__mro__ if name in vars(k))
        return None if is_of_package(shared) else ("attribute", kind, name, shared)
    return _bound(owner, type(owner), name, shared)


def _bound(owner: Any, kind: Any, name: str, shared: Any) -> Read | None:
    """What `owner` gives of what a class has."""
    of: Any = getattr(shared, "__func__", None)
    if isinstance(shared, staticmethod):
        return "attribute", owner, name, of
    if isinstance(shared, classmethod) and isinstance(of, FunctionType):
        return "attribute", owner, name, MethodType(of, kind)
    binds = hasattr(kind_of(shared), "__get__") and not isinstance(shared, FunctionType)
    return None if binds else ("attribute", owner, name, cast("Any", shared))


def is_absent(owner: Any, name: str) -> bool:
    """Whether there is no such attribute, and no code of the user gives one."""
    kinds = type(owner).__mro__
    if any("__getattr__" in vars(kind) or name in vars(kind) for kind in kinds):
        return False
    return name not in own_attributes(owner)


def own_attributes(owner: Any) -> Any:
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
