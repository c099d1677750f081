"""What a captured function reads without relying on it, and what it must not read."""

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from read_cases import differ

# Arguments in containers are no reason for a variant, and are not kept alive.


def of_a_dictionary(batch: Any) -> Any:
    return batch["x"] * 2 + batch["y"]


def of_a_list(batch: Any) -> Any:
    return batch[0] * 2 + batch[1]


def of_nested(batch: Any) -> Any:
    first = batch["a"][0]
    return first["x"] * 2 + batch["a"][1]


def of_a_fresh_list(x: Any, y: Any) -> Any:
    pair = [x, y]
    both = (pair[0], y)
    return pair[1] + both[0] * 2


def passed_on(x: Any, y: Any) -> Any:
    def inner(pair: Any) -> Any:
        return pair[0] * 2 + pair[1]

    return inner((x, y))


ARGUMENTS: dict[str, tuple[Callable[..., Any], Callable[[Any, Any], tuple[Any, ...]]]] = {
    "a dictionary": (of_a_dictionary, lambda x, y: ({"x": x, "y": y},)),
    "a list": (of_a_list, lambda x, y: ([x, y],)),
    "nested": (of_nested, lambda x, y: ({"a": [{"x": x}, y]},)),
    "a list that is made inside": (of_a_fresh_list, lambda x, y: (x, y)),
    "a tuple that is passed on": (passed_on, lambda x, y: (x, y)),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_in_containers_are_those_of_each_call(name: str) -> None:
    fn, wrap = ARGUMENTS[name]
    compiled = ot.compile(fn)
    seen: list[Any] = []
    for seed in range(3):
        arrays = [np.full(3, float(seed + i), np.float32) for i in range(2)]
        x, y = map(ot.from_numpy, arrays)
        assert not differ(compiled(*wrap(x, y)), x * 2 + y)
        seen += [weakref.ref(a) for a in arrays]
        del arrays, x, y
    assert len(compiled.variants) == 1
    gc.collect()
    assert all(ref() is None for ref in seen[2:])  # the capture may hold those of its call


# What cannot be seen.

RNG = np.random.default_rng(0)
ARRAY = np.ones(3)
COUNTS = deque([1.0, 2.0])


def draws(x: Any) -> Any:
    return x * np.random.rand()


def draws_of_a_generator(x: Any) -> Any:
    return x * RNG.random()


def item_of_an_array(x: Any) -> Any:
    return x * ARRAY[0]


def item_of_a_deque(x: Any) -> Any:
    return x * COUNTS[0]


UNSEEN = {
    "a function of NumPy": (draws, "`np` leads to a function that cannot be looked into"),
    "a method of NumPy": (
        draws_of_a_generator,
        "`RNG` leads to a function that cannot be looked into",
    ),
    "an item of an array": (item_of_an_array, "`ARRAY` leads to the content of a ndarray"),
    "an item of a deque": (item_of_a_deque, "`COUNTS` leads to an item of a deque"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_cannot_be_guarded_is_refused(name: str) -> None:
    fn, what = UNSEEN[name]
    with pytest.raises(ot.CaptureError) as caught:
        ot.compile(fn, verify="trust")(ot.ones(3))
    assert str(caught.value) == (
        f"capture: {what}, which at {__file__}:{fn.__code__.co_firstlineno + 1} would not be "
        "repeated by a replay; do it outside the compiled function, or return the value"
    )
