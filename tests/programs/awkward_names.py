"""Programs whose names are awkward: closures, globals, defaults, functions that are changed.

Inner functions are as users write them, without annotations.
"""

# pyright: reportAttributeAccessIssue=none, reportFunctionMemberAccess=none, reportIndexIssue=none
# pyright: reportArgumentType=none, reportOptionalSubscript=none, reportUntypedNamedTuple=none
# (Programs change what their types say is fixed.)

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]
factor = 2.0
weight: Any = None


def scaled(x: Any) -> Any:
    return x * 2


@TABLE.program(variants=2)
def closure_flag_rebinds(w: World) -> Call:
    flag = True
    call = w.compile(lambda x: x * 2 if flag else x - 1)

    def step(i):
        nonlocal flag
        flag = i % 2 == 0
        return call(w.data(i, 3))

    return step


@TABLE.program(variants=1)
def closure_number_rebinds(w: World) -> Call:
    scale = 1.0
    call = w.compile(lambda x: x * scale)

    def step(i):
        nonlocal scale
        scale = 1.0 + i / 4
        return call(w.data(i, 3))

    return step


@TABLE.program()
def closure_tensor_rebinds(w: World) -> Call:
    bias = w.data(9, 3)
    call = w.compile(lambda x: x + bias)

    def step(i):
        nonlocal bias
        bias = w.data(9 + i, 3)
        return call(w.data(i, 3))

    return step


@TABLE.function()
def nonlocal_counter(w: World) -> Fn:
    calls = 0

    def fn(x):
        nonlocal calls
        calls += 1
        return x * calls

    return fn


@TABLE.function()
def nonlocal_tensor(w: World) -> Fn:
    total = None

    def fn(x):
        nonlocal total
        total = x if total is None else total + x
        return total * 2

    return fn


@TABLE.function()
def global_counter(w: World) -> Fn:
    space = types.ModuleType("counting")
    source = "n = 0\ndef fn(x):\n    global n\n    n += 1\n    return x + n\n"
    exec(source, space.__dict__)
    w.log.append(space.__dict__)
    space.__dict__.pop("__builtins__")
    return space.fn


@TABLE.program(variants=1)
def global_number_changes(w: World) -> Call:
    call = w.compile(lambda x: x * factor)

    def step(i):
        global factor
        factor = 1.0 + i
        return call(w.data(i, 3))

    return step


@TABLE.program()
def global_tensor_changes(w: World) -> Call:
    call = w.compile(lambda x: x * weight)

    def step(i):
        global weight
        if i % 2 == 0:
            weight = w.data(20 + i, 3)
        return call(w.data(i, 3))

    return step


@TABLE.program(variants=2)
def global_function_is_patched(w: World) -> Call:
    call = w.compile(lambda x: scaled(x) + 1)
    space = sys.modules[__name__]
    original = scaled

    def other(x):
        return x * 5

    def step(i):
        space.scaled = other if i >= 2 else original
        try:
            return call(w.data(i, 3))
        finally:
            space.scaled = original

    return step


@TABLE.program()
def code_of_a_function_is_swapped(w: World) -> Call:
    def inner(x):
        return x * 2

    def other(x):
        return x - 7

    call = w.compile(lambda x: inner(x) + 1)

    def step(i):
        if i == 2:
            inner.__code__ = other.__code__
        return call(w.data(i, 3))

    return step


@TABLE.program()
def defaults_of_a_function_are_swapped(w: World) -> Call:
    def inner(x, scale=2.0):
        return x * scale

    call = w.compile(lambda x: inner(x) + 1)

    def step(i):
        inner.__defaults__ = (2.0 + i,)
        return call(w.data(i, 3))

    return step


@TABLE.program()
def keyword_defaults_are_changed(w: World) -> Call:
    def inner(x, *, scale=2.0, on=True):
        return x * scale if on else x

    call = w.compile(lambda x: inner(x) + 1)

    def step(i):
        inner.__kwdefaults__["on"] = i % 2 == 0
        inner.__kwdefaults__["scale"] = 1.0 + i
        return call(w.data(i, 3))

    return step


@TABLE.program()
def defaults_of_the_compiled_function_change(w: World) -> Call:
    def fn(x, scale=2.0, on=True):
        return x * scale if on else x

    call = w.compile(fn)

    def step(i):
        fn.__defaults__ = (2.0 + i, i != 3)
        return call(w.data(i, 3))

    return step


@TABLE.function()
def default_list_is_mutated(w: World) -> Fn:
    def fn(x, seen=[]):  # noqa: B006
        seen.append(x.sum())
        return sum(seen)

    return fn


@TABLE.program()
def default_tensor_is_changed(w: World) -> Call:
    def fn(x, state=w.data(9, 3)):  # noqa: B008
        state.add_(x)
        return state * 2

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def function_attribute_counts(w: World) -> Call:
    def fn(x):
        fn.calls += 1
        return x * fn.calls

    fn.calls = 0
    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), fn.calls)
