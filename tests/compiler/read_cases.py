"""Functions that read what lies outside of their arguments, and how it changes between calls."""

from __future__ import annotations

import os
import sys
import types
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import ostinato as ot
from ostinato import nn

FLAG = True
NAME = "tanh"
FACTOR = 0.75
WEIGHT: Any = None


def helper(x: Any) -> Any:
    return x + 1


def other_helper(x: Any) -> Any:
    return x - 1


class Plain:
    """An object of the user's, with state of every kind."""

    shared = 1.5
    mode = "up"

    def __init__(self) -> None:
        self.flag = True
        self.scale = 0.5
        self.power = 2
        self.w = ot.tensor([1.0, 2.0, 3.0])
        self.parts = [ot.tensor([1.0]), ot.tensor([2.0])]
        self.config = {"on": True, "rate": 0.5}
        self.names = {"a"}
        self.shape = (2, 6)
        self.queue = deque([1, 2])
        self.inner: Any = None
        self.several: list[Any] = []

    def method(self, x: Any) -> Any:
        return x * 2

    @property
    def doubled(self) -> float:
        return 2.0 if self.flag else 3.0


class Net(nn.Module):
    """A module that has parameters, a plain list and numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        self.steps = [1, 2]
        self.depth = 2
        self.gain = 1.25

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        for _ in self.steps:
            x = x.tanh()
        return self.layer(x) * self.gain if self.training else x.reshape(self.depth, -1)


def values(*shape: int, seed: int = 0) -> Any:
    return ot.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


@dataclass
class World:
    """What the functions of the table read."""

    plain: Plain = field(default_factory=Plain)
    net: Net = field(default_factory=Net)
    x: Any = field(default_factory=lambda: values(4, 3))
    module: Any = field(default_factory=lambda: types.ModuleType("settings"))

    def __post_init__(self) -> None:
        self.module.SCALE, self.module.ON = 2.0, True
        self.plain.inner = Plain()
        self.plain.several = [Plain(), Plain(), Plain()]


Make = Callable[[World], Callable[[Any], Any]]
Change = Callable[[World], object]


def set_global(name: str, value: Any) -> Change:
    return lambda world: setattr(sys.modules[__name__], name, value)


def closure_flag(world: World) -> tuple[Callable[[Any], Any], Change]:
    flag = True

    def fn(x: Any) -> Any:
        return x * 2 if flag else x * 3

    def change(_: World) -> None:
        nonlocal flag
        flag = False

    return fn, change


def closure_tensor(world: World) -> tuple[Callable[[Any], Any], Change]:
    weight = ot.tensor([1.0, 2.0, 3.0])

    def fn(x: Any) -> Any:
        return x * weight

    def change(_: World) -> None:
        nonlocal weight
        weight = ot.tensor([4.0, 5.0, 6.0])

    return fn, change


def closure_function(world: World) -> tuple[Callable[[Any], Any], Change]:
    act = helper

    def fn(x: Any) -> Any:
        return act(x) * 2

    def change(_: World) -> None:
        nonlocal act
        act = other_helper

    return fn, change


def inner_closure(world: World) -> tuple[Callable[[Any], Any], Change]:
    flag = True

    def inner(x: Any) -> Any:
        return x * 2 if flag else x * 3

    def change(_: World) -> None:
        nonlocal flag
        flag = False

    return lambda x: inner(x) + 1, change


def method_body(world: World) -> tuple[Callable[[Any], Any], Change]:
    return lambda x: world.plain.method(x), lambda w: setattr(
        Plain, "method", lambda self, x: x * 9
    )


def code_of_a_helper(world: World) -> tuple[Callable[[Any], Any], Change]:
    def inner(x: Any) -> Any:
        return x * 2

    def change(_: World) -> None:
        inner.__code__ = (lambda x: x * 5).__code__

    return lambda x: inner(x), change


def loop_over_modules(x: Any, net: Any) -> Any:
    for layer in net.layers:
        x = x * layer.bias
    return x


def loop_over_objects(x: Any, world: World) -> Any:
    for part in world.plain.several:
        x = x * 2 if part.flag else x + 1
    return x


def total_of_parameters(net: Any, x: Any) -> Any:
    total = x.sum()
    for p in net.parameters():
        total = total + p.sum()
    return total


def freeze(world: World) -> None:
    world.net.layer.weight.requires_grad = False


def gradient(world: World) -> Callable[[Any], Any]:
    def fn(x: Any) -> Any:
        layer = world.net.layer
        layer.weight.grad = layer.bias.grad = None
        (layer(x) ** 2).sum().backward()
        grad: Any = layer.bias.grad if layer.weight.grad is None else layer.weight.grad
        return grad * 1

    return fn


ROWS: dict[str, Callable[[World], tuple[Callable[[Any], Any], Change]]] = {
    "a closure flag": closure_flag,
    "a closure tensor": closure_tensor,
    "a closure function": closure_function,
    "a closure of a function that is called": inner_closure,
    "a global flag": lambda w: (lambda x: x * 2 if FLAG else x, set_global("FLAG", False)),
    "a global string": lambda w: (lambda x: getattr(x, NAME)(), set_global("NAME", "exp")),
    "a global number": lambda w: (lambda x: x * FACTOR, set_global("FACTOR", 0.125)),
    "a global number that decides": lambda w: (
        lambda x: x * 2 if FACTOR > 0.5 else x,
        set_global("FACTOR", 0.125),
    ),
    "a global tensor": lambda w: (
        lambda x: x if WEIGHT is None else x * WEIGHT,
        set_global("WEIGHT", ot.tensor(3.0)),
    ),
    "a global function": lambda w: (lambda x: helper(x), set_global("helper", other_helper)),
    "the code of a function": code_of_a_helper,
    "the body of a method": method_body,
    "an attribute flag": lambda w: (
        lambda x: x * 2 if w.plain.flag else x,
        lambda w: setattr(w.plain, "flag", False),
    ),
    "an attribute number": lambda w: (
        lambda x: x * w.plain.scale,
        lambda w: setattr(w.plain, "scale", 0.25),
    ),
    "an attribute number that decides": lambda w: (
        lambda x: x * w.plain.scale if w.plain.scale > 0.3 else x,
        lambda w: setattr(w.plain, "scale", 0.25),
    ),
    "an attribute number for a shape": lambda w: (
        lambda x: x.reshape(w.plain.power, -1),
        lambda w: setattr(w.plain, "power", 4),
    ),
    "an attribute number that is computed with": lambda w: (
        lambda x: nn.functional.softmax(x, dim=w.plain.power - 1),
        lambda w: setattr(w.plain, "power", 1),
    ),
    "an attribute tensor": lambda w: (
        lambda x: x * w.plain.w,
        lambda w: setattr(w.plain, "w", ot.tensor([3.0, 2.0, 1.0])),
    ),
    "an attribute of an attribute": lambda w: (
        lambda x: x * w.plain.inner.w if w.plain.inner.flag else x,
        lambda w: setattr(w.plain.inner, "flag", False),
    ),
    "another object in an attribute": lambda w: (
        lambda x: x * w.plain.inner.w,
        lambda w: setattr(w.plain, "inner", types.SimpleNamespace(w=ot.tensor(7.0))),
    ),
    "an attribute by its name": lambda w: (
        lambda x: x * 2 if getattr(w.plain, "flag") else x,  # noqa: B009
        lambda w: setattr(w.plain, "flag", False),
    ),
    "attributes of the objects of a list": lambda w: (
        lambda x: loop_over_objects(x, w),
        lambda w: setattr(w.plain.several[0], "flag", False),
    ),
    "an attribute of the class": lambda w: (
        lambda x: x * 2 if w.plain.mode == "up" else x,
        lambda w: setattr(Plain, "mode", "down"),
    ),
    "an attribute behind a property": lambda w: (
        lambda x: x * 2 if w.plain.doubled > 2 else x,
        lambda w: setattr(w.plain, "flag", False),
    ),
    "an attribute of a user's module": lambda w: (
        lambda x: x * 2 if w.module.ON else x,
        lambda w: setattr(w.module, "ON", False),
    ),
    "an item of a dictionary": lambda w: (
        lambda x: x * 2 if w.plain.config["on"] else x,
        lambda w: w.plain.config.update(on=False),
    ),
    "a number in a dictionary": lambda w: (
        lambda x: x * w.plain.config["rate"],
        lambda w: w.plain.config.update(rate=0.125),
    ),
    "the length of a list": lambda w: (
        lambda x: sum((x * p for p in w.plain.parts), x),
        lambda w: w.plain.parts.append(ot.tensor([5.0])),
    ),
    "an element of a list": lambda w: (
        lambda x: x * w.plain.parts[0] + len(w.plain.parts),
        lambda w: w.plain.parts.__setitem__(0, ot.tensor([5.0])),
    ),
    "a member of a set": lambda w: (
        lambda x: x * 2 if "a" in w.plain.names else x,
        lambda w: w.plain.names.clear(),
    ),
    "the length of a deque": lambda w: (
        lambda x: x * 2 if len(w.plain.queue) > 1 else x,
        lambda w: w.plain.queue.pop(),
    ),
    "the environment": lambda w: (
        lambda x: x * 2 if os.environ.get("OSTINATO_TEST_FLAG") else x,
        lambda w: os.environ.__setitem__("OSTINATO_TEST_FLAG", "1"),
    ),
    "a tuple": lambda w: (
        lambda x: x.reshape(w.plain.shape),
        lambda w: setattr(w.plain, "shape", (3, 4)),
    ),
    "evaluation mode": lambda w: (lambda x: w.net(x), lambda w: w.net.eval()),
    "a parameter": lambda w: (
        lambda x: w.net(x),
        lambda w: setattr(w.net.layer, "weight", nn.Parameter(values(3, 3, seed=5))),
    ),
    "the data of a parameter": lambda w: (
        lambda x: w.net(x),
        lambda w: setattr(w.net.layer.weight, "data", values(3, 3, seed=5)),
    ),
    "a parameter that is taken away": lambda w: (
        lambda x: w.net.layer(x),
        lambda w: setattr(w.net.layer, "bias", None),
    ),
    "a module": lambda w: (
        lambda x: w.net(x),
        lambda w: setattr(w.net, "layer", nn.Linear(3, 3)),
    ),
    "a module in a list": lambda w: (
        lambda x: w.net(x),
        lambda w: w.net.layers.append(nn.Linear(3, 3)),
    ),
    "a module that is looped over": lambda w: (
        lambda x: loop_over_modules(x, w.net),
        lambda w: setattr(w.net.layers[0], "bias", nn.Parameter(values(3, seed=9))),
    ),
    "a number of a module": lambda w: (lambda x: w.net(x), lambda w: setattr(w.net, "gain", 0.5)),
    "a list of a module": lambda w: (lambda x: w.net(x), lambda w: w.net.steps.append(3)),
    "a new parameter among all": lambda w: (
        lambda x: total_of_parameters(w.net, x),
        lambda w: setattr(w.net, "more", nn.Parameter(values(2, seed=3))),
    ),
    "requires_grad of a parameter": lambda w: (gradient(w), freeze),
    "requires_grad of an argument": lambda w: (
        lambda x: x.requires_grad + x * 0,
        lambda w: w.x.requires_grad_(),
    ),
    "the dtype of a model": lambda w: (
        lambda x: w.net.layer(x.to(w.net.layer.weight.dtype)),
        lambda w: w.net.double(),
    ),
}


def run(name: str) -> tuple[list[Any], list[Any], Any]:
    """Results before and after the change, twice each: eager, compiled, the compiled function."""
    saved = {k: globals()[k] for k in ("FLAG", "NAME", "FACTOR", "WEIGHT", "helper")}
    saved_class = dict(mode=Plain.mode, method=Plain.method)
    ot.manual_seed(0)
    world = World()
    try:
        fn, change = ROWS[name](world)
        compiled = ot.compile(fn)
        got = [compiled(world.x) for _ in range(2)]
        want = [fn(world.x) for _ in range(2)]
        change(world)
        got += [compiled(world.x) for _ in range(2)]
        want += [fn(world.x) for _ in range(2)]
    finally:
        globals().update(saved)
        os.environ.pop("OSTINATO_TEST_FLAG", None)
        for key, value in saved_class.items():
            setattr(Plain, key, value)
    return want, got, compiled


def differ(a: Any, b: Any) -> bool:
    a, b = a.detach().numpy(), b.detach().numpy()
    return a.shape != b.shape or a.dtype != b.dtype or not np.allclose(a, b, rtol=1e-5, atol=1e-6)
