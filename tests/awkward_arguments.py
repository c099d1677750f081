"""Programs whose arguments are awkward: objects, nested containers, keywords, what is changed.

Inner functions are as users write them, without annotations.
"""

# pyright: reportAttributeAccessIssue=none, reportFunctionMemberAccess=none, reportIndexIssue=none
# pyright: reportArgumentType=none, reportOptionalSubscript=none, reportUntypedNamedTuple=none
# (Programs change what their types say is fixed.)

from __future__ import annotations

import enum
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]
Pair = namedtuple("Pair", "first second")


@dataclass
class Settings:
    """A configuration with a default of each kind."""

    scale: float = 2.0
    on: bool = True
    names: list[str] = field(default_factory=list[str])
    w: Any = None


class Color(enum.Enum):
    """Cases that a function is told apart by."""

    RED = 1
    BLUE = 2


class Flags(enum.IntFlag):
    """Cases that are numbers."""

    A = 1
    B = 2


@TABLE.program()
def enum_argument(w: World) -> Call:
    call = w.compile(lambda x, color: x * 2 if color is Color.RED else x * color.value)
    return lambda i: call(w.data(i, 3), list(Color)[i % 2])


@TABLE.program()
def int_flag_argument(w: World) -> Call:
    call = w.compile(lambda x, flags: x * 2 if flags & Flags.B else x * int(flags))
    return lambda i: call(w.data(i, 3), Flags(1 + i % 3))


@TABLE.program()
def string_argument(w: World) -> Call:
    ops = {"double": lambda x: x * 2, "negate": lambda x: -x}
    call = w.compile(lambda x, how: ops[how](x))
    return lambda i: call(w.data(i, 3), ["double", "negate"][i % 2])


@TABLE.program()
def dataclass_argument(w: World) -> Call:
    def fn(x, settings):
        return x * settings.scale if settings.on else settings.w

    call = w.compile(fn)
    settings = Settings(w=w.data(9, 3))

    def step(i):
        if i == 2:
            settings.scale = 7.0
        return call(w.data(i, 3), settings if i < 3 else replace(settings, on=False))

    return step


@TABLE.program()
def namedtuple_argument_and_result(w: World) -> Call:
    call = w.compile(lambda pair: Pair(pair.second * 2, pair.first + 1))
    return lambda i: call(Pair(w.data(i, 3), w.data(i + 9, 3)))


@TABLE.program()
def nested_structures(w: World) -> Call:
    def fn(tree):
        a, (b, c) = tree["a"], tree["rest"]
        return {"sum": a + b, "both": [c["x"], (a * 2, None, "text")]}

    call = w.compile(fn)
    return lambda i: call({"a": w.data(i, 3), "rest": (w.data(i + 5, 3), {"x": w.data(7, 2)})})


@TABLE.program()
def order_of_keywords(w: World) -> Call:
    call = w.compile(lambda **named: [named[k] for k in named])
    return lambda i: call(**dict([("a", w.data(i, 3)), ("b", w.data(9, 2))][:: 1 - 2 * (i % 2)]))


@TABLE.program()
def number_of_arguments_changes(w: World) -> Call:
    call = w.compile(lambda *parts: sum(parts))
    return lambda i: call(*[w.data(i + k, 3) for k in range(1 + i % 3)])


@TABLE.program()
def argument_list_is_appended_to(w: World) -> Call:
    def fn(x, seen):
        seen.append(x * 2)
        return sum(seen)

    call = w.compile(fn)
    seen = []
    w.log.append(seen)
    return lambda i: call(w.data(i, 3), seen)


@TABLE.program()
def argument_dict_is_popped(w: World) -> Call:
    def fn(batch):
        x = batch.pop("x")
        batch["seen"] = True
        return x * 2

    call = w.compile(fn)

    def step(i):
        batch = {"x": w.data(i, 3), "y": 1}
        return call(batch), batch

    return step
