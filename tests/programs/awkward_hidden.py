"""Programs in which C code reads or does something that no hook sees.

Inner functions are as users write them, without annotations.
"""

# pyright: reportAttributeAccessIssue=none, reportUnknownLambdaType=none
# (Programs change what their types say is fixed.)

from __future__ import annotations

import array
import collections
import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from awkward import Call, Program, Table, World

TABLE = Table()
Fn = Callable[..., Any]


class Switch:
    """An object with a flag."""

    on = True


def switched(name: str, choose: Callable[[Any], Any]) -> None:
    """Adds a program whose branch `choose` finds out from an object that changes."""

    def make(w: World) -> Call:
        switch = Switch()
        call = w.compile(lambda x: x * 2 if choose(switch) else -x)

        def step(i):
            switch.on = i != 2
            return call(w.data(i, 3))

        return step

    make.__name__ = name
    TABLE.programs.append(Program(make))


switched("getter_of_object", lambda s: object.__getattribute__(s, "on"))
switched("getter_of_the_object_itself", lambda s: s.__getattribute__("on"))
switched("format_that_reads_an_attribute", lambda s: "{.on}".format(s) == "True")  # noqa: UP032


def logged(name: str, note: Callable[[list[int]], Any]) -> None:
    """Adds a program in which `note` changes a list."""

    def make(w: World) -> Call:
        log: list[int] = []
        w.log.append(log)

        def fn(x):
            note(log)
            return x * 2

        call = w.compile(fn)
        return lambda i: call(w.data(i, 3))

    make.__name__ = name
    TABLE.programs.append(Program(make))


logged("method_that_is_mapped", lambda log: list(map(log.append, [1, 2])))
logged("method_in_a_partial", lambda log: functools.partial(log.append, 1)())
logged("operator_that_changes", lambda log: operator.iadd(log, [1]))
logged("method_of_the_type", lambda log: list.append(log, 1))
logged("method_by_its_name", lambda log: log.__iadd__([1]))


@TABLE.function()
def print_that_is_mapped(w: World) -> Fn:
    def fn(x):
        list(map(print, [1, 2]))
        return x * 2

    return fn


@TABLE.program()
def partial_made_outside(w: World) -> Call:
    log: list[int] = []
    w.log.append(log)
    note = functools.partial(log.append, 1)

    def fn(x):
        note()
        return x * 2

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def method_of_c_is_compiled(w: World) -> Call:
    log: list[Any] = []
    w.log.append(log)
    call = w.compile(log.append)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def descriptor_of_a_slot(w: World) -> Call:
    class Slotted:
        __slots__ = ("on",)

    kept = Slotted()
    get = Slotted.on.__get__
    call = w.compile(lambda x: x * 2 if get(kept) else -x)

    def step(i):
        kept.on = i != 2
        return call(w.data(i, 3))

    return step


@TABLE.function()
def iterators_in_a_list(w: World) -> Fn:
    counters = [itertools.count(1), itertools.count(5)]

    def fn(x):
        n = 0
        for counter in counters:
            n = next(counter)
        return x * n

    return fn


@TABLE.program()
def iterators_in_a_dictionary(w: World) -> Call:
    kept = {"a": itertools.cycle([1.0, 2.0, 3.0])}
    call = w.compile(lambda x, name: x * 2 if next(kept[name]) > 1.5 else -x)
    return lambda i: call(w.data(i, 3), "a")


@TABLE.program(torch=False)
def arrays_in_a_list(w: World) -> Call:
    arrays = [np.array([1.0, 2.0])]

    def fn(x):
        for a in arrays:
            if a[0] > 0:
                x = x * 2
        return x

    call = w.compile(fn)

    def step(i):
        arrays[0][0] = 1 if i != 2 else -1
        return call(w.data(i, 3))

    return step


def reduced(name: str, buffer: Any, choose: Callable[[Any], Any]) -> None:
    """Adds a program whose branch `choose` finds out from a buffer that is passed in."""

    def make(w: World) -> Call:
        call = w.compile(lambda x, given: x * 2 if choose(given) else -x)

        def step(i):
            buffer[0] = 99 if i != 2 else 1
            return call(w.data(i, 3), buffer)

        return step

    make.__name__ = name
    TABLE.programs.append(Program(make))


reduced("bytes_are_summed", bytearray(b"ab"), lambda b: sum(b) > 150)
reduced("largest_of_an_array", array.array("d", [99.0]), lambda a: max(a) > 50)
reduced("list_of_a_class_of_its_own", type("Own", (list,), {})([1]), lambda a: sum(a) > 50)
reduced("items_of_a_class_of_its_own", type("Own", (list,), {})([1]), lambda a: a[0] > 50)
reduced("values_of_a_class_of_its_own", type("Own", (dict,), {})({0: 1}), lambda d: d[0] > 50)


@TABLE.program()
def truth_of_a_class_of_its_own(w: World) -> Call:
    found = type("Own", (dict,), {})(a=1)
    call = w.compile(lambda x, given: x * len(given) if given else -x)

    def step(i):
        found.clear() if i == 2 else found.update({str(i): i})
        return call(w.data(i, 3), found)

    return step


@TABLE.program()
def cached_function_is_cleared(w: World) -> Call:
    kept = {"n": 2.0}

    @functools.cache
    def look_up(key):
        return kept[key]

    call = w.compile(lambda x: x * look_up("n"))

    def step(i):
        kept["n"] += 1
        if i == 2:
            look_up.cache_clear()
        return call(w.data(i, 3))

    return step


@TABLE.program()
def function_by_type_gets_another(w: World) -> Call:
    class Kind:
        pass

    @functools.singledispatch
    def scale(kind):
        return 2.0

    def scale_of_kind(kind):
        return 5.0

    kind = Kind()
    call = w.compile(lambda x: x * scale(kind))

    def step(i):
        if i == 2:
            scale.register(Kind, scale_of_kind)
        return call(w.data(i, 3))

    return step


@TABLE.program()
def default_is_put_into_an_argument(w: World) -> Call:
    call = w.compile(lambda x, found: x * found["a"] + len(found))

    def step(i):
        found: Any = collections.defaultdict(lambda: 2.0 + i)
        return call(w.data(i, 3), found), len(found)

    return step


@TABLE.program()
def default_is_put_into_a_dictionary(w: World) -> Call:
    found: Any = collections.defaultdict(lambda: 2.0)
    call = w.compile(lambda x, key: x * found[key])
    return lambda i: (call(w.data(i, 3), f"{i // 2}"), len(found))


@TABLE.program()
def identity_is_told(w: World) -> Call:
    kept: list[Any] = []
    call = w.compile(lambda x: (x * 2, id(x), hash(x)))

    def step(i):
        kept.append(w.data(i, 3))
        result, number, hashed = call(kept[-1])
        return result, number == id(kept[-1]), hashed == hash(kept[-1])

    return step


@TABLE.program()
def version_of_a_tensor(w: World) -> Call:
    def fn(x):
        before = x._version
        x.add_(1)
        return before, x._version

    call, given = w.compile(fn), w.data(0, 3)
    return lambda i: call(given)


@TABLE.program(torch=False)
def array_of_a_parameter_is_read_inside(w: World) -> Call:
    values = np.array([1.0, 2.0, 3.0], np.float32)
    p = w.lib.from_numpy(values).requires_grad_()
    opt = w.lib.optim.SGD([p], lr=0.5)

    def fn(x):
        opt.zero_grad()
        (p * x).sum().backward()
        before = values.tolist()
        opt.step()
        return before, values.tolist(), p.detach().sum()

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))
