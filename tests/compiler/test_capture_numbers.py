"""Numbers that reach an op through variables and arithmetic: what eager code computes with them is
what replays compute, after a change as well, and what can be read again never compiles twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

import ostinato as ot

CFG: Any = SimpleNamespace(v=2.0, low=0.5, high=0.5, d=4)
LAYERS = [SimpleNamespace(scale=2.0), SimpleNamespace(scale=2.0)]
TWO = 2.0


class Owner:
    @property
    def scale(self) -> float:
        return CFG.v


OWNER = Owner()


def through_a_local(x: Any) -> Any:
    s = CFG.v
    return x * s


def arithmetic_in_a_local(x: Any) -> Any:
    s = CFG.v * 2 + TWO
    return x * s


def arithmetic_in_place(x: Any) -> Any:
    return x * (CFG.v * 2 - 1) + -CFG.v


def compared(x: Any) -> Any:
    return (x > CFG.v) * 1.0


def read_twice(x: Any) -> Any:
    s = CFG.v
    return x * s if s > 2.5 else x + s


def set_twice(x: Any) -> Any:
    s = CFG.v
    s = s + 1
    return x * s


def unpacked(x: Any) -> Any:
    a, b = CFG.v, 2 * CFG.v
    return x * a + b


def times(x: Any, k: float) -> Any:
    return x * k


def handed_on(x: Any) -> Any:
    s = CFG.v
    return times(x, s * 2)


def of_a_property(x: Any) -> Any:
    s = OWNER.scale
    return x * s


def of_an_item(x: Any) -> Any:
    s = CFG.__dict__["v"]
    return x * s


def a_choice_that_happens_to_be_equal(x: Any) -> Any:
    return times(x, 3 * 1.5 if CFG.v > 3 else CFG.low * 8)


@dataclass
class Changing:
    """A function, and how many variants two changes of CFG.v may make."""

    fn: Callable[[Any], Any]
    variants: int = 3


CHANGING = [
    Changing(through_a_local, 1), Changing(arithmetic_in_a_local, 1),
    Changing(arithmetic_in_place, 1), Changing(compared, 1), Changing(read_twice),
    Changing(set_twice), Changing(unpacked), Changing(handed_on), Changing(of_a_property),
    Changing(of_an_item), Changing(a_choice_that_happens_to_be_equal),
]  # fmt: skip


@pytest.mark.parametrize("case", CHANGING, ids=lambda c: c.fn.__name__)
def test_a_change_is_seen(case: Changing, monkeypatch: pytest.MonkeyPatch) -> None:
    x, compiled = ot.tensor([1.0, 2.5, 4.0]), ot.compile(case.fn)
    for v in (2.0, 3.0, 4.0, 2.0):
        monkeypatch.setattr(CFG, "v", v)
        assert compiled(x).tolist() == case.fn(x).tolist()
    assert len(compiled.variants) <= case.variants


def between(x: Any) -> Any:
    return x.clamp(CFG.low, CFG.high)


@pytest.mark.parametrize("changed", ["low", "high"])
def test_two_numbers_that_are_equal_once_stay_two(
    changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, compiled = ot.tensor([0.0, 0.4, 0.6, 2.0]), ot.compile(between)
    for value in (0.5, 0.3, 0.9):
        monkeypatch.setattr(CFG, changed, value)
        assert compiled(x).tolist() == between(x).tolist()


def of_the_last_turn(x: Any) -> Any:
    s = 1.0
    for layer in LAYERS:
        x = x * s
        s = layer.scale
    return x * s


def of_each_turn(x: Any) -> Any:
    for layer in LAYERS:
        s = layer.scale
        x = x * s
    return x


@pytest.mark.parametrize("fn", [of_the_last_turn, of_each_turn])
def test_objects_with_equal_numbers_stay_apart(
    fn: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, compiled = ot.ones(2), ot.compile(fn)
    for at, value in ((0, 2.0), (0, 5.0), (1, 3.0), (0, 3.0), (1, 2.0)):
        monkeypatch.setattr(LAYERS[at], "scale", value)
        assert compiled(x).tolist() == fn(x).tolist()


def of_a_range(x: Any) -> Any:
    y = x
    for i in range(3):
        y = y + x * i
    return y


def summed(x: Any) -> Any:
    total = 0.125
    for part in (0.25, 0.5):
        total += part
    return x * total


def of_a_default(x: Any, scale: float = 1.5) -> Any:
    return x * scale


def of_a_shape(x: Any) -> Any:
    scale = x.shape[-1] ** -0.5
    n = x.size(0)
    return x * scale + 1 / n


def of_calls(x: Any) -> Any:
    n = len([1, 2, 3])
    return x * n / math.sqrt(CFG.d)


@pytest.mark.parametrize("fn", [of_a_range, summed, of_a_default, of_a_shape, of_calls])
def test_what_follows_from_the_source_is_a_constant(fn: Callable[[Any], Any]) -> None:
    x, compiled = ot.ones(2, 4), ot.compile(fn)
    for _ in range(2):
        assert compiled(x).tolist() == fn(x).tolist()
    assert len(compiled.variants) == 1


KEYS = ["v"]


def by_a_computed_name(x: Any) -> Any:
    s = getattr(CFG, KEYS[0])
    return x * s


def by_vars(x: Any) -> Any:
    s = vars(CFG)["v"]
    return x * s


def handed_on_by_a_computed_name(x: Any) -> Any:
    s = getattr(CFG, KEYS[0])
    return times(x, s)


UNSEEN = (by_a_computed_name, by_vars, handed_on_by_a_computed_name)


@pytest.mark.parametrize("fn", UNSEEN)
def test_what_a_guard_cannot_see_is_refused(fn: Callable[[Any], Any]) -> None:
    with pytest.raises(ot.CaptureError) as refusal:
        ot.compile(fn, verify="trust")(ot.ones(2))
    at = times if fn is handed_on_by_a_computed_name else fn
    line = at.__code__.co_firstlineno + (1 if at is times else 2)
    assert str(refusal.value) == (
        f"capture: the number 2.0 at {__file__}:{line} is neither a literal nor read from an "
        "argument, attribute or global, so a replay could not know it; pass it as an argument"
    )


def test_a_region_without_a_function_takes_any_number() -> None:
    s = getattr(CFG, KEYS[0])
    with ot.capture():
        y = ot.ones(2) * s
    assert y.tolist() == [2.0, 2.0]
