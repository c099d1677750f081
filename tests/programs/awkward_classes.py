"""Programs whose classes, and names that a function finds outside of it, change between calls.

Inner functions are as users write them, without annotations.
"""

# pyright: reportOptionalMemberAccess=none, reportUnknownLambdaType=none, reportArgumentType=none

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import SimpleNamespace as Space
from typing import Any

from awkward import Call, Table, World
from awkward_objects import changing, flags, turned_off

TABLE = Table()


@TABLE.program(variants=3)
def property_is_replaced(w: World) -> Call:
    class One:
        @property
        def on(self):
            return True

    class Other(One):
        @property
        def on(self):  # pyright: ignore[reportIncompatibleMethodOverride]
            return False

    holder = Space(value=One())
    change = {1: lambda: setattr(holder, "value", Other()),
              3: lambda: setattr(Other, "on", property(lambda self: None))}  # fmt: skip
    return changing(w, lambda x: x + 1 if holder.value.on else x - 1, change)


@TABLE.program(variants=4)
def static_and_class_methods_are_replaced(w: World) -> Call:
    class Rows:
        count = 2

        @classmethod
        def rows(cls):
            return cls.count

        @staticmethod
        def more():
            return 1

    change = {1: lambda: setattr(Rows, "count", 4),
              2: lambda: setattr(Rows, "more", staticmethod(lambda: 7)),
              4: lambda: setattr(Rows, "rows", classmethod(lambda cls: 1))}  # fmt: skip
    return changing(w, lambda x: x.reshape(Rows.rows(), -1) + Rows.more(), change, 4)


@TABLE.program()
def partial_method_is_replaced(w: World) -> Call:
    class Scaling:
        def scaled(self, x, k):
            return x * k

        twice = functools.partialmethod(scaled, k=2)

    scaling = Scaling()
    other = functools.partialmethod(Scaling.scaled, k=5)
    return changing(w, lambda x: scaling.twice(x), {2: lambda: setattr(Scaling, "twice", other)})


@TABLE.program(variants=3)
def attributes_above_a_class(w: World) -> Call:
    class Above:
        on = True

        def go(self, x):
            return x * 2

    class Below(Above):
        on = None

        def go(self, x):
            return super().go(x) + (1 if super().on else 2)

    change = {2: lambda: setattr(Above, "on", False),
              3: lambda: setattr(Above, "go", lambda self, x: x * 3)}  # fmt: skip
    return changing(w, Below().go, change)


@TABLE.program(variants=2)
def object_that_a_class_has(w: World) -> Call:
    class Owner:
        options = Space(on=True)

    owner = Owner()
    change = {2: turned_off(Owner.options)}
    return changing(w, lambda x: x + 1 if owner.options.on else x - 1, change)


@TABLE.program(variants=3)
def name_of_the_class_of_an_object(w: World) -> Call:
    class A:
        pass

    class Other:
        pass

    held = Space(value=A())
    change = {1: lambda: setattr(held, "value", Other()),
              3: lambda: setattr(held.value, "__class__", A)}  # fmt: skip
    return changing(w, lambda x: x * len(held.value.__class__.__name__), change)


@TABLE.program(variants=2)
def attributes_as_a_dictionary(w: World) -> Call:
    (a,) = flags(1)
    return changing(w, lambda x: x + 1 if a.__dict__["on"] else x - 1, {2: turned_off(a)})


@TABLE.program(variants=2)
def equality_of_dataclasses(w: World) -> Call:
    @dataclass
    class Size:
        n: int = 1

    a, b = Size(), Size()
    return changing(w, lambda x: x + 1 if a == b else x - 1, {2: lambda: setattr(b, "n", 5)})


@TABLE.program(follows=True)
def pattern_of_a_class(w: World) -> Call:
    @dataclass
    class Size:
        n: int
        name: str

    size = Size(1, "a")

    def fn(x):
        match size:
            case Size(n=1, name="a"):
                return x * 2
            case Size(n=1):
                return x - 1
            case _:
                return x

    change = {2: lambda: setattr(size, "name", "b"), 3: lambda: setattr(size, "n", 4)}
    return changing(w, fn, change)


@TABLE.program(torch=False)
def global_appears(w: World) -> Call:
    space: dict[str, Any] = {"__builtins__": __builtins__}
    code = (
        "def fn(x):\n    try:\n        return x * K\n    except NameError:\n        return x - 1\n"
    )
    exec(code, space)
    return changing(w, space["fn"], {2: lambda: space.update(K=5), 4: lambda: space.pop("K")})


@TABLE.program(torch=False)
def builtin_is_hidden(w: World) -> Call:
    space: dict[str, Any] = {"__builtins__": __builtins__}
    exec("def fn(x):\n    return x * max(1, 2)\n", space)
    return changing(w, space["fn"], {2: lambda: space.update(max=lambda a, b: 7)})
