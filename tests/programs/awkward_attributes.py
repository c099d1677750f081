"""Programs whose attributes are awkward: properties, descriptors, classes, slots.

Inner functions are as users write them, without annotations.
"""

# pyright: reportAttributeAccessIssue=none, reportFunctionMemberAccess=none, reportIndexIssue=none
# pyright: reportArgumentType=none, reportOptionalSubscript=none, reportUntypedNamedTuple=none
# (Programs change what their types say is fixed.)

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


@dataclass
class Settings:
    """A configuration with a default of each kind."""

    scale: float = 2.0
    on: bool = True
    names: list[str] = field(default_factory=list[str])
    w: Any = None


@TABLE.program()
def attribute_changes(w: World) -> Call:
    settings = Settings()
    call = w.compile(lambda x: x * settings.scale if settings.on else -x)

    def step(i):
        settings.scale, settings.on = 1.0 + i, i != 3
        return call(w.data(i, 3))

    return step


@TABLE.program()
def attribute_is_deleted(w: World) -> Call:
    class Holder:
        scale = 3.0

    holder = Holder()
    holder.scale = 2.0
    call = w.compile(lambda x: x * holder.scale)

    def step(i):
        if i == 2:
            del holder.scale
        return call(w.data(i, 3))

    return step


@TABLE.program()
def attribute_appears(w: World) -> Call:
    holder = Settings()
    call = w.compile(lambda x: x * 2 if hasattr(holder, "extra") else x)

    def step(i):
        if i == 2:
            holder.extra = True
        return call(w.data(i, 3))

    return step


@TABLE.program()
def attribute_by_a_computed_name(w: World) -> Call:
    settings = Settings()
    call = w.compile(lambda x, name: x * getattr(settings, name))

    def step(i):
        settings.scale = 1.0 + i
        return call(w.data(i, 3), "scale")

    return step


@TABLE.program()
def attributes_by_vars(w: World) -> Call:
    settings = Settings()
    call = w.compile(lambda x: x * vars(settings)["scale"])

    def step(i):
        settings.scale = 1.0 + i
        return call(w.data(i, 3))

    return step


@TABLE.function()
def attribute_is_counted_up(w: World) -> Fn:
    settings = Settings()
    w.log.append(settings)

    def fn(x):
        settings.scale += 1
        return x * settings.scale

    return fn


@TABLE.function()
def attribute_is_set_by_setattr(w: World) -> Fn:
    settings = Settings()
    w.log.append(settings)

    def fn(x):
        setattr(settings, "w", x * 2)  # noqa: B010
        return settings.w + 1

    return fn


@TABLE.function()
def slots_are_written(w: World) -> Fn:
    class Slotted:
        __slots__ = ("n",)

    kept = Slotted()
    kept.n = 0

    def fn(x):
        kept.n += 1
        return x * kept.n

    return fn


@TABLE.program()
def slots_are_read(w: World) -> Call:
    class Slotted:
        __slots__ = ("on", "scale")

    kept = Slotted()
    call = w.compile(lambda x: x * kept.scale if kept.on else x)

    def step(i):
        kept.on, kept.scale = i != 2, 1.0 + i
        return call(w.data(i, 3))

    return step


@TABLE.program()
def class_attribute_changes(w: World) -> Call:
    class Holder:
        scale = 2.0
        mode = "up"

    holder = Holder()
    call = w.compile(lambda x: x * holder.scale if Holder.mode == "up" else x)

    def step(i):
        Holder.scale, Holder.mode = 1.0 + i, "down" if i == 3 else "up"
        return call(w.data(i, 3))

    return step


@TABLE.program()
def property_reads_state(w: World) -> Call:
    class Holder:
        def __init__(self):
            self.raw = 1.0

        @property
        def scale(self):
            return self.raw * 2

    holder = Holder()
    call = w.compile(lambda x: x * holder.scale)

    def step(i):
        holder.raw = 1.0 + i
        return call(w.data(i, 3))

    return step


@TABLE.function()
def property_counts(w: World) -> Fn:
    class Holder:
        reads = 0

        @property
        def scale(self):
            self.reads += 1
            return float(self.reads)

    holder = Holder()
    return lambda x: x * holder.scale


@TABLE.function()
def property_is_set(w: World) -> Fn:
    class Holder:
        kept = None

        @property
        def value(self):
            return self.kept

        @value.setter
        def value(self, x):
            self.kept = x * 2

    holder = Holder()
    w.log.append(holder)

    def fn(x):
        holder.value = x
        return holder.value + 1

    return fn


@TABLE.program()
def cached_property(w: World) -> Call:
    class Holder:
        def __init__(self, x):
            self.x = x

        @functools.cached_property
        def doubled(self):
            w.log.append("computed")
            return self.x * 2

    holders = [Holder(w.data(i, 3)) for i in range(2)]
    call = w.compile(lambda holder: holder.doubled + 1)
    return lambda i: call(holders[i % 2])


@TABLE.program()
def descriptor_of_the_user(w: World) -> Call:
    class Doubled:
        def __get__(self, owner, kind=None):
            return owner.raw * 2

    class Holder:
        value = Doubled()

        def __init__(self):
            self.raw = 1.0

    holder = Holder()
    call = w.compile(lambda x: x * holder.value)

    def step(i):
        holder.raw = 1.0 + i
        return call(w.data(i, 3))

    return step


@TABLE.program()
def getattr_of_the_user(w: World) -> Call:
    class Proxy:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return self.inner[name]

    inner = {"scale": 1.0}
    proxy = Proxy(inner)
    call = w.compile(lambda x: x * proxy.scale)

    def step(i):
        inner["scale"] = 1.0 + i
        return call(w.data(i, 3))

    return step


@TABLE.program()
def getattribute_of_the_user(w: World) -> Call:
    reads = [0]

    class Counting:
        scale = 3.0

        def __getattribute__(self, name):
            reads[0] += name == "scale"
            return object.__getattribute__(self, name)

    holder = Counting()
    call = w.compile(lambda x: x * holder.scale)
    return lambda i: (call(w.data(i, 3)), reads[0])


@TABLE.program()
def getitem_of_the_user(w: World) -> Call:
    class Table:
        def __init__(self):
            self.rows = {0: 1.0}

        def __getitem__(self, key):
            return self.rows[key]

    table = Table()
    call = w.compile(lambda x: x * table[0])

    def step(i):
        table.rows[0] = 1.0 + i
        return call(w.data(i, 3))

    return step
