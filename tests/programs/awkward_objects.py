"""Programs that come by objects in roundabout ways, and whose state then changes.

Inner functions are as users write them, without annotations.
"""

# pyright: reportOptionalMemberAccess=none, reportUnknownLambdaType=none, reportArgumentType=none

from __future__ import annotations

import collections
import os
import queue
import tempfile
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace as Space
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


def changing(w: World, fn: Fn, changes: dict[int, Callable[[], object]], size: int = 3) -> Call:
    """Calls of `fn`, and before some of them a change."""
    compiled = w.compile(fn)

    def call(i: int) -> Any:
        changes.get(i, lambda: None)()
        return compiled(w.data(i, size))

    return call


def turned_off(of: Any) -> Callable[[], object]:
    """A change of the flag `on`."""
    return lambda: setattr(of, "on", not of.on)


def flags(count: int) -> list[Any]:
    """Objects with a flag."""
    return [Space(on=True) for _ in range(count)]


@TABLE.program()
def object_that_a_function_gives(w: World) -> Call:
    a, b = flags(2)
    which = Space(first=True)

    def pick():
        return a if which.first else b

    change = {1: turned_off(b), 2: turned_off(a), 3: lambda: setattr(which, "first", False)}
    return changing(w, lambda x: x + 1 if pick().on else x - 1, {**change, 4: turned_off(b)})


@TABLE.program(variants=3)
def object_at_the_end_of_methods(w: World) -> Call:
    class Node:
        def __init__(self, child):
            self.inner = child

        def child(self):
            return self.inner

    (leaf,) = flags(1)
    inner = Node(leaf)
    top = Node(inner)
    change = {1: turned_off(leaf), 3: lambda: setattr(inner, "inner", Space(on=None))}
    return changing(w, lambda x: x + 1 if top.child().child().on else x - 1, change)


@TABLE.program()
def object_by_a_condition(w: World) -> Call:
    a, b = flags(2)
    which = Space(first=True)
    change = {1: turned_off(a), 2: lambda: setattr(which, "first", False), 4: turned_off(b)}
    return changing(w, lambda x: x + 1 if (a if which.first else b).on else x - 1, change)


@TABLE.program()
def one_object_or_the_other(w: World) -> Call:
    a, b = flags(2)
    has = Space(one=a)
    change = {1: turned_off(a), 2: lambda: setattr(has, "one", None), 3: turned_off(b)}
    return changing(w, lambda x: x + 1 if (has.one or b).on else x - 1, change)


@TABLE.program(variants=3)
def variable_of_one_object_after_the_other(w: World) -> Call:
    a, b = flags(2)

    def fn(x):
        found = a
        if found.on:
            x = x + 1
        found = b
        return x + 2 if found.on else x

    return changing(w, fn, {2: turned_off(a), 3: turned_off(b)})


@TABLE.program(variants=3)
def parameter_is_bound_anew(w: World) -> Call:
    a, b = flags(2)
    a.other = b

    def fn(x, found):
        if found.on:
            x = x + 1
        found = found.other
        return x + 2 if found.on else x

    compiled = w.compile(fn)

    def call(i: int) -> Any:
        if i in (2, 3):
            turned_off((a, b)[i - 2])()
        return compiled(w.data(i, 3), a)

    return call


@TABLE.program(variants=2)
def variable_is_deleted(w: World) -> Call:
    (a,) = flags(1)

    def fn(x):
        found = a
        if found.on:
            x = x + 1
        del found
        return x

    return changing(w, fn, {2: turned_off(a)})


@TABLE.program()
def variable_of_an_inner_function(w: World) -> Call:
    (a,) = flags(1)

    def fn(x):
        found = a
        same = lambda: found  # noqa: E731
        return x + 1 if found.on and same() else x - 1

    return changing(w, fn, {2: turned_off(a)})


@TABLE.program(variants=4)
def linked_list_is_walked(w: World) -> Call:
    last = Space(value=3, after=None, on=True)
    first = Space(value=2, after=last, on=True)

    def fn(x):
        node = first
        while node is not None:
            if node.on:
                x = x * node.value
            node = node.after
        return x

    longer = Space(value=7, after=None, on=True)
    change = {1: turned_off(first), 2: turned_off(last)}
    return changing(w, fn, {**change, 4: lambda: setattr(last, "after", longer)})


@TABLE.program(variants=3)
def loops_in_loops(w: World) -> Call:
    rows = [flags(2), flags(1)]

    def fn(x):
        for row in rows:
            for part in row:
                if part.on:
                    x = x * 2
        return x

    return changing(w, fn, {1: turned_off(rows[0][0]), 3: turned_off(rows[1][0])})


@TABLE.program(variants=3)
def entries_of_entries(w: World) -> Call:
    found = {"a": Space(parts={"b": Space(on=True), "c": Space(on=True)})}

    def fn(x):
        for one in found.values():
            for name, part in one.parts.items():
                if part.on:
                    x = x + len(name)
        return x

    parts = found["a"].parts
    return changing(w, fn, {1: turned_off(parts["b"]), 3: turned_off(parts["c"])})


@TABLE.program(variants=3)
def element_by_a_computed_place(w: World) -> Call:
    every = flags(2)

    def fn(x):
        for i in range(len(every)):
            if every[i].on:
                x = x + 10**i
        return x

    return changing(w, fn, {1: turned_off(every[0]), 3: turned_off(every[1])})


@TABLE.program()
def first_of_an_iterator(w: World) -> Call:
    every = [Space(on=True), Space(on=False)]
    change = {1: turned_off(every[0]), 3: every.reverse, 4: turned_off(every[0])}
    return changing(w, lambda x: x + 1 if next(iter(every)).on else x - 1, change)


@TABLE.program(variants=2)
def object_by_get(w: World) -> Call:
    found = {"a": Space(on=True)}
    change = {2: turned_off(found["a"])}
    return changing(w, lambda x: x + 1 if found.get("a").on else x - 1, change)


@TABLE.program(variants=3)
def best_of_several(w: World) -> Call:
    one, other = Space(cost=3, size=1), Space(cost=1, size=2)

    def fn(x):
        return x.reshape(max((one, other), key=lambda s: s.cost).size, -1)

    change = {1: lambda: setattr(one, "cost", 0), 3: lambda: setattr(other, "size", 4)}
    return changing(w, fn, change, 4)


@TABLE.program(follows=True)
def weak_reference_to_what_changes(w: World) -> Call:
    class Flag:
        on = True

    flag = Flag()
    weak = weakref.ref(flag)
    w.log.append([])  # something that a run leaves
    return changing(w, lambda x: x + 1 if weak().on else x - 1, {2: turned_off(flag)})


@TABLE.program(follows=True)
def weak_reference_to_what_goes(w: World) -> Call:
    class Flag:
        pass

    kept = [Flag()]
    weak = weakref.ref(kept[0])
    return changing(w, lambda x: x + 1 if weak() is not None else x - 1, {2: kept.clear})


@TABLE.program(variants=3)
def closures_of_one_code(w: World) -> Call:
    def made(n):
        def rows(x):
            return x.reshape(n, -1)

        def change(to):
            nonlocal n
            n = to

        return rows, change

    (one, change_one), (other, change_other) = made(1), made(2)
    change = {2: lambda: change_one(4), 3: lambda: change_other(4)}
    return changing(w, lambda x: (one(x), other(x)), change, 4)


@TABLE.program()
def closures_of_one_code_with_equal_numbers(w: World) -> Call:
    def made(k):
        def scale(x):
            return x * k

        def change(to):
            nonlocal k
            k = to

        return scale, change

    (one, change_one), (other, change_other) = made(3.0), made(3.0)
    change = {2: lambda: change_one(5.0), 3: lambda: change_other(7.0)}
    return changing(w, lambda x: (one(x), other(x)), change)


@TABLE.program(follows=True)
def file_appears(w: World) -> Call:
    folder = Path(tempfile.mkdtemp())
    path = str(folder / "a")
    change = {2: (folder / "a").touch, 4: (folder / "a").unlink}
    return changing(w, lambda x: x + 1 if os.path.exists(path) else x - 1, change)


@TABLE.program(follows=True)
def queue_is_filled(w: World) -> Call:
    waiting: queue.Queue[int] = queue.Queue()
    return changing(w, lambda x: x * (1 + waiting.qsize()), {2: lambda: waiting.put(1)})


@TABLE.program(follows=True)
def dictionary_behind_a_proxy(w: World) -> Call:
    under = {"on": True}
    proxy = types.MappingProxyType(under)
    name = Space(key="on")
    change = {2: lambda: under.update(on=False)}
    return changing(w, lambda x: x + 1 if proxy[name.key] else x - 1, change)


@TABLE.program()
def dictionaries_in_a_chain(w: World) -> Call:
    under = {"on": True}
    chain, own = collections.ChainMap({}, under), collections.UserDict(on=True)

    def fn(x):
        return (x + 1 if chain["on"] else x - 1) * (2 if own["on"] else 3)

    change = {2: lambda: under.update(on=False), 3: lambda: own.update(on=False)}
    return changing(w, fn, change)


@TABLE.program()
def attribute_is_asked_for_elsewhere(w: World) -> Call:
    class Node:
        def __init__(self, child):
            self.inner = child

        def child(self):
            return self.inner

    leaf = Space()
    top = Node(leaf)
    change = {2: lambda: setattr(leaf, "extra", 5), 4: lambda: delattr(leaf, "extra")}
    return changing(w, lambda x: x * getattr(top.child(), "extra", 3), change)
