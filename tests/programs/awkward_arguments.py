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

import numpy as np

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


@TABLE.program()
def set_argument_changes(w: World) -> Call:
    call = w.compile(lambda x, active: x * 2 if "b" in active else x)
    active = {"a"}

    def step(i):
        (active.add if i % 2 else active.discard)("b")
        return call(w.data(i, 3), active)

    return step


@TABLE.program()
def array_argument_changes(w: World) -> Call:
    call = w.compile(lambda x, a: x * 2 if a[0] > 1 else x)
    array = np.zeros(2)

    def step(i):
        array[0] = i
        return call(w.data(i, 3), array)

    return step


@TABLE.program()
def array_argument_is_reduced(w: World) -> Call:
    call = w.compile(lambda x, a: x * float(a.sum()))
    array = np.ones(2)

    def step(i):
        array[0] = i
        return call(w.data(i, 3), array)

    return step


@TABLE.program()
def bytes_of_an_argument_change(w: World) -> Call:
    call = w.compile(lambda x, b: x * 2 if b[0] else x)
    data = bytearray(2)

    def step(i):
        data[0] = i % 2
        return call(w.data(i, 3), data)

    return step


@TABLE.program()
def number_arguments_of_every_kind(w: World) -> Call:
    def fn(x, n):
        kind = type(n).__name__
        whole = isinstance(n, int), isinstance(n, float), isinstance(n, bool)
        return x * n, kind, whole, f"{n:.1f}", n

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3), [1, 2.5, True, -3, 0.0][i])


@TABLE.program()
def isinstance_of_a_number(w: World) -> Call:
    def fn(x, n):
        if isinstance(n, int):
            return x * n, "int"
        return x + n, "float" if isinstance(n, float) else "other"

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3), [1, 2.5, 3, -3.5, 0][i])


@TABLE.program()
def methods_of_a_number(w: World) -> Call:
    def fn(x, n, k):
        text = f"{n:.2f}|{k:03d}|{n!r}|{n}"
        return x * 2, n.is_integer(), k.bit_length(), text, divmod(k, 2), k & 1, k << 2, ~k, n.real

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3), 1.5 * i, 2 + i)


@TABLE.program()
def number_as_a_size_index_and_key(w: World) -> Call:
    def fn(x, k):
        table = {0: 1.0, 1: 2.0, 2: 3.0}
        return x[k] * table[k], x[:k], [0] * k, "ab" * k, w.lib.ones(k, 2), range(10)[k]

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3), i % 3)


@TABLE.program()
def numbers_of_numpy(w: World) -> Call:
    call = w.compile(lambda x, n: x * n + 1)
    return lambda i: call(w.data(i, 3), [np.float32(2), np.int64(i), np.float64(i), 2, 0.5][i])


@TABLE.program()
def complex_and_large_numbers(w: World) -> Call:
    call = w.compile(lambda x, z: (x * 2, z))
    return lambda i: call(w.data(i, 3), [1j, 2**70, float("inf"), -0.0, 10**18][i])


@TABLE.program()
def not_a_number_as_an_argument(w: World) -> Call:
    call = w.compile(lambda x, n: x * n if n == n else x)
    return lambda i: call(w.data(i, 3), float("nan") if i % 2 else 2.0)


@TABLE.program()
def numbers_are_returned(w: World) -> Call:
    call = w.compile(lambda x, n: (x * n, n, n * 2, -n, n > 2, str(n)))
    return lambda i: call(w.data(i, 3), 0.5 + i)


@TABLE.program()
def numbers_inside_containers(w: World) -> Call:
    def fn(x, config):
        rate, (low, high) = config["rate"], config["range"]
        return (x * rate).clamp(low, high)

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3), {"rate": 1.0 + i, "range": (-0.5 * i, 0.5 * i + 0.1)})


@TABLE.program()
def tensor_where_a_number_was(w: World) -> Call:
    call = w.compile(lambda x, n: x * n)
    return lambda i: call(w.data(i, 3), 2.0 if i % 2 else w.data(9))


@TABLE.program()
def wrong_arguments(w: World) -> Call:
    call = w.compile(lambda x, scale: x * scale)
    return lambda i: call(w.data(i, 3), 2.0) if i % 2 else call(w.data(i, 3))


@TABLE.program()
def positional_or_by_keyword(w: World) -> Call:
    call = w.compile(lambda x, scale=2.0: x * scale)
    ways = [
        lambda x: call(x), lambda x: call(x, 3.0), lambda x: call(x, scale=3.0),
        lambda x: call(x=x), lambda x: call(scale=4.0, x=x),
    ]  # fmt: skip
    return lambda i: ways[i](w.data(i, 3))


@TABLE.program()
def text_that_names_the_type_of_a_number(w: World) -> Call:
    call = w.compile(lambda x, n: x - 1 if n == "int" else x * n)
    return lambda i: call(w.data(i, 3), [2, "int", 3, "int", 4][i])
