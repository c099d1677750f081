"""Programs with modules and objects that change.

Inner functions are as users write them, without annotations.
"""

# pyright: reportAttributeAccessIssue=none, reportFunctionMemberAccess=none, reportIndexIssue=none
# pyright: reportArgumentType=none, reportOptionalSubscript=none, reportUntypedNamedTuple=none
# (Programs change what their types say is fixed.)

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]
weight: Any = None


@dataclass
class Settings:
    """A configuration with a default of each kind."""

    scale: float = 2.0
    on: bool = True
    names: list[str] = field(default_factory=list[str])
    w: Any = None


@TABLE.program()
def modules_train_and_eval(w: World) -> Call:
    net = w.lib.nn.Sequential(w.lib.nn.Linear(3, 3), w.lib.nn.Dropout(0.0))
    with w.lib.no_grad():
        for p in net.parameters():
            p.copy_(w.data(5, *p.shape))
    call = w.compile(lambda x: net(x) if net.training else -net(x))

    def step(i):
        net.train(i % 2 == 0)
        return call(w.data(i, 2, 3)).detach()

    return step


def _running(w: World) -> Any:
    class Running(w.lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", w.lib.zeros(3))
            self.steps = 0

        def forward(self, x):
            if self.training:
                with w.lib.no_grad():
                    self.mean.mul_(0.9).add_(x.mean(0) * 0.1)
            return x - self.mean

    return Running()


@TABLE.program()
def running_mean_in_a_buffer(w: World) -> Call:
    net = _running(w)
    call = w.compile(net)

    def step(i):
        net.train(i != 3)
        return call(w.data(i, 2, 3)), net.mean

    return step


@TABLE.program()
def buffer_is_assigned_anew(w: World) -> Call:
    class Net(w.lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", w.lib.zeros(3))

        def forward(self, x):
            self.mean = self.mean * 0.9 + x.mean(0) * 0.1
            return x - self.mean

    net = Net()
    call = w.compile(lambda x: net(x))
    return lambda i: (call(w.data(i, 2, 3)), net.mean)


@TABLE.program()
def module_counts_its_calls(w: World) -> Call:
    class Net(w.lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = 0

        def forward(self, x):
            self.steps += 1
            return x * self.steps

    net = Net()
    call = w.compile(net)
    return lambda i: (call(w.data(i, 3)), net.steps)


@TABLE.program()
def parameter_is_replaced(w: World) -> Call:
    net = w.lib.nn.Linear(3, 3, bias=False)
    call = w.compile(lambda x: net(x).detach())

    def step(i):
        if i in (0, 2):
            net.weight = w.lib.nn.Parameter(w.data(30 + i, 3, 3))
        return call(w.data(i, 2, 3))

    return step


@TABLE.program()
def layer_is_replaced(w: World) -> Call:
    net = w.lib.nn.Sequential(w.lib.nn.Tanh(), w.lib.nn.Identity())
    call = w.compile(lambda x: net(x))

    def step(i):
        if i == 2:
            net[1] = w.lib.nn.ReLU()
        return call(w.data(i, 3))

    return step


@TABLE.program()
def object_replaces_itself(w: World) -> Call:
    def first(x):
        holder.fn = second
        return x * 2

    def second(x):
        return x - 1

    holder = types.SimpleNamespace(fn=first)
    call = w.compile(lambda x: holder.fn(x))
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def function_replaces_itself(w: World) -> Call:
    space = {}

    def fn(x):
        space["fn"] = w.compile(lambda y: y * 7)
        return x * 2

    space["fn"] = w.compile(fn)
    return lambda i: space["fn"](w.data(i, 3))


@TABLE.function()
def class_is_made_inside(w: World) -> Fn:
    def fn(x):
        class Local:
            def __init__(self, value):
                self.value = value

            def __add__(self, other):
                return Local(self.value + other.value)

        return (Local(x) + Local(x * 2)).value

    return fn


@TABLE.function()
def object_of_the_user_is_returned(w: World) -> Fn:
    return lambda x: Settings(w=x * 2)


@TABLE.program()
def number_in_a_returned_object(w: World) -> Call:
    call = w.compile(lambda x, n: Settings(scale=n, w=x * n))
    return lambda i: call(w.data(i, 3), 1.5 + i)


@TABLE.function()
def operators_of_the_user(w: World) -> Fn:
    class Vec:
        def __init__(self, x):
            self.x = x

        def __mul__(self, other):
            return Vec(self.x * other.x)

        def __len__(self):
            return self.x.shape[0]

        def __call__(self):
            return self.x * len(self)

    return lambda x: (Vec(x) * Vec(x + 1))()


@TABLE.program()
def metaclass_and_super(w: World) -> Call:
    class Base:
        def forward(self, x):
            return x * 2

    class Derived(Base):
        def forward(self, x):
            return super().forward(x) + 1

    call = w.compile(Derived().forward)

    def step(i):
        if i == 2:
            Base.forward = lambda self, x: x * 5
        return call(w.data(i, 3))

    return step


@TABLE.program()
def class_of_an_object_is_changed(w: World) -> Call:
    class A:
        def go(self, x):
            return x * 2

    class B:
        def go(self, x):
            return x - 1

    held = A()
    call = w.compile(lambda x: held.go(x))

    def step(i):
        held.__class__ = B if i in (2, 3) else A
        return call(w.data(i, 3))

    return step


@TABLE.function()
def deep_copy_of_state(w: World) -> Fn:
    state = {"w": w.data(9, 3), "n": [1, 2]}

    def fn(x):
        mine = copy.deepcopy(state)
        mine["w"].add_(x)
        mine["n"].append(3)
        return mine["w"] * len(mine["n"])

    return fn


@TABLE.program()
def forward_hooks(w: World) -> Call:
    class Net(w.lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.hooks = []

        def forward(self, x):
            y = x * 2
            for hook in self.hooks:
                y = hook(y)
            return y

    net = Net()
    call = w.compile(lambda x: net(x))
    log = w.log

    def step(i):
        if i == 2:
            net.hooks.append(lambda y: log.append(y) or y + 1)
        return call(w.data(i, 3))

    return step
