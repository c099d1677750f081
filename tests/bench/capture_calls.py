"""What a call of a compiled function takes besides the work that it asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from measure import by_turns

import ostinato as ot

PARAMETERS = 100
OPS = 200
CALLS = 200


def guarded() -> dict[str, Callable[[], Any]]:
    """A call with a hundred parameters, and the run of its Program alone."""
    weights = [ot.ones(8, requires_grad=True) for _ in range(PARAMETERS)]

    @ot.compile
    def total(x: Any) -> Any:
        result = x
        for w in weights:
            result = result + w
        return result

    with ot.no_grad():
        x = ot.ones(8)
        total(x)
    (variant,) = total.variants
    leaves = [x]

    def call() -> Any:
        with ot.no_grad():
            return total(x)

    def alone() -> Any:
        with ot.no_grad():
            return variant.replays.run(leaves)

    return {"a call": call, "its Program": alone}


def followed() -> dict[str, Callable[[], Any]]:
    """A function of two hundred ops whose Python runs, and the same Python with no op at all."""

    def ops(x: Any, y: Any) -> Any:
        for _ in range(OPS):
            y = x + y
        return y

    class Plain:
        def __add__(self, other: Any) -> Any:
            return other

    x, plain = ot.ones(8), Plain()
    run = ot.compile(ops, verify="follow")
    run(x, x)
    (entry,) = run.entries.values()
    (variant,) = entry.followed.regions.values()
    leaves = [x]
    return {
        "followed": lambda: run(x, x),
        "its Program": lambda: variant.replays.run(leaves),
        "Python alone": lambda: ops(plain, plain),
    }


def broken() -> dict[str, Callable[[], Any]]:
    """A function with one break, and its two halves, each compiled, with the same value read."""
    w = ot.rand(256, 256)

    def first(x: Any) -> Any:
        return ((x @ w).tanh() @ w).tanh()

    def second(h: Any, scale: float) -> Any:
        return ((h * scale) @ w).tanh().sum(1)

    def whole(x: Any) -> Any:
        h = first(x)
        return second(h, h.sum().item())

    one, other, both = ot.compile(first), ot.compile(second), ot.compile(whole)
    total = ot.compile(lambda h: h.sum())
    x = ot.rand(64, 256)

    def halves() -> Any:
        h = one(x)
        return other(h, total(h).item())

    return {"one break": lambda: both(x), "two halves": halves}


def microseconds(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median microseconds of a call of each."""
    return {name: s * 1e6 for name, s in by_turns(sides, rounds, CALLS, 3).items()}
