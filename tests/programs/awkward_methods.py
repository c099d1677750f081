"""Programs whose methods are awkward: swapped, bound, decorated, cached; and context managers.

Inner functions are as users write them, without annotations.
"""

# pyright: reportAttributeAccessIssue=none, reportFunctionMemberAccess=none, reportIndexIssue=none
# pyright: reportArgumentType=none, reportOptionalSubscript=none, reportUntypedNamedTuple=none
# (Programs change what their types say is fixed.)

from __future__ import annotations

import contextlib
import ctypes
import functools
import operator
from collections.abc import Callable
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


def scaled(x: Any) -> Any:
    return x * 2


@TABLE.program()
def method_is_swapped(w: World) -> Call:
    class Net:
        def forward(self, x):
            return x * 2

    net = Net()
    call = w.compile(lambda x: net.forward(x))

    def step(i):
        if i == 2:
            Net.forward = lambda self, x: x - 1
        if i == 4:
            net.forward = lambda x: x * 9
        return call(w.data(i, 3))

    return step


@TABLE.program()
def bound_method_is_compiled(w: World) -> Call:
    class Net:
        def __init__(self, scale):
            self.scale = scale

        def forward(self, x):
            return x * self.scale

    nets = [Net(2.0), Net(3.0)]
    calls = [w.compile(net.forward) for net in nets]

    def step(i):
        nets[0].scale += 1
        return calls[i % 2](w.data(i, 3))

    return step


@TABLE.program()
def compiled_method_of_several_instances(w: World) -> Call:
    class Net:
        def __init__(self, scale):
            self.scale = scale
            self.w = w.data(int(scale), 3)

        def forward(self, x):
            return x * self.scale + self.w

    Net.forward = w.compile(Net.forward)
    nets = [Net(2.0), Net(3.0)]
    return lambda i: nets[i % 2].forward(w.data(i, 3))


@TABLE.program()
def compiled_class_and_static_methods(w: World) -> Call:
    class Net:
        scale = 2.0

        @classmethod
        def by_class(cls, x):
            return x * cls.scale

        @staticmethod
        def alone(x):
            return x + 1

    one, two = w.compile(Net.by_class), w.compile(Net.alone)

    def step(i):
        Net.scale = 1.0 + i
        return one(w.data(i, 3)), two(w.data(i, 3))

    return step


@TABLE.program()
def callable_object_is_compiled(w: World) -> Call:
    class Net:
        scale = 1.0

        def __call__(self, x):
            return x * self.scale

    net = Net()
    call = w.compile(net)

    def step(i):
        net.scale = 1.0 + i
        return call(w.data(i, 3))

    return step


@TABLE.program()
def partial_is_compiled(w: World) -> Call:
    def fn(x, y, scale):
        return x * scale + y

    call = w.compile(functools.partial(fn, scale=2.0, y=w.data(9, 3)))
    return lambda i: call(w.data(i, 3))


@TABLE.function()
def partial_is_called_inside(w: World) -> Fn:
    double = functools.partial(lambda s, x: x * s, 2.0)
    return lambda x: double(x) + functools.partial(scaled, x)()


@TABLE.function()
def lru_cache_inside(w: World) -> Fn:
    @functools.lru_cache
    def table(n):
        w.log.append(n)
        return n * 2.0

    return lambda x: x * table(x.shape[0])


@TABLE.function()
def decorated_with_wraps(w: World) -> Fn:
    def logged(fn):
        @functools.wraps(fn)
        def inner(*args, **kwargs):
            w.log.append(fn.__name__)
            return fn(*args, **kwargs)

        return inner

    @logged
    def fn(x, scale=2.0):
        return x * scale

    return fn


@TABLE.function()
def decorator_without_effects(w: World) -> Fn:
    def doubled(fn):
        def inner(*args):
            return fn(*args) * 2

        return inner

    return doubled(lambda x: x + 1)


@TABLE.function()
def context_manager_of_the_user(w: World) -> Fn:
    class Region:
        depth = 0

        def __enter__(self):
            Region.depth += 1
            return self

        def __exit__(self, *exception):
            Region.depth -= 1
            w.log.append(exception[0])

    def fn(x):
        with Region() as region:
            return x * region.depth

    return fn


@TABLE.function()
def context_manager_that_swallows(w: World) -> Fn:
    class Swallow:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            return kind is ValueError

    def fn(x):
        y = x
        with Swallow():
            y = x * 2
            if x.sum() > 0:
                raise ValueError
            y = y + 1
        return y

    return fn


@TABLE.function()
def context_manager_by_a_generator(w: World) -> Fn:
    @contextlib.contextmanager
    def counted():
        w.log.append("in")
        try:
            yield 3
        finally:
            w.log.append("out")

    def fn(x):
        with counted() as n:
            return x * n

    return fn


@TABLE.program()
def getter_of_the_library_is_called(w: World) -> Call:
    class Holder:
        scale = 1.0

    holder, get = Holder(), operator.attrgetter("scale")
    call = w.compile(lambda x: x * 2 if get(holder) > 2 else x)

    def step(i):
        holder.scale = 1.0 + i
        return call(w.data(i, 3))

    return step


@TABLE.program()
def keywords_of_a_partial_change(w: World) -> Call:
    def fn(x, scale):
        return x * 2 if scale > 2 else x

    part = functools.partial(fn, scale=1.0)
    call = w.compile(lambda x: part(x))

    def step(i):
        part.keywords["scale"] = 1.0 + i
        return call(w.data(i, 3))

    return step


@TABLE.program()
def attribute_of_a_built_in_type(w: World) -> Call:
    box = ctypes.c_float(1.0)
    call = w.compile(lambda x: x * 2 if box.value > 2 else x * box.value)

    def step(i):
        box.value = 1.0 + i
        return call(w.data(i, 3))

    return step
