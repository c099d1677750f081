"""What a call of a compiled function takes besides the work that it asks for.

Each figure is the median over many short rounds, in which the sides take turns a few calls at a
time, of what the call takes beyond its parts in the same round. Costs in microseconds are those of
rounds in which the machine ran at its full speed (`measure.Rounds.undisturbed`); how many these
are is told. A ratio needs no such choice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ostinato as ot
from measure import Rounds, in_rounds

PARAMETERS = 100
OPS = 200
CALLS = 5
SHORT = 200  # rounds of so few calls for one that is asked for


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


def padded() -> dict[str, Callable[[], Any]]:
    """A call with a padded argument and result, and one that is compiled for its size alone."""
    run = ot.compile(lambda x: x * 2, dims={"x": {0: ot.Bucket(64, 128)}})
    own = ot.compile(lambda x: x * 2)
    x = ot.ones(50, 8)
    return {"padded": lambda: run(x), "its own": lambda: own(x)}


def followed() -> dict[str, Callable[[], Any]]:
    """A function of two hundred ops whose Python runs, and the same Python on plain numbers."""

    def ops(x: Any, y: Any) -> Any:
        for _ in range(OPS):
            y = x + y
        return y

    x = ot.ones(8)
    run = ot.compile(ops, verify="follow")
    run(x, x)
    (entry,) = run.entries.values()
    (variant,) = entry.followed.regions.values()
    leaves = [x]
    return {
        "followed": lambda: run(x, x),
        "its Program": lambda: variant.replays.run(leaves),
        "Python alone": lambda: ops(1.0, 1.0),
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


def measured(sides: dict[str, Callable[[], Any]], rounds: int) -> Rounds:
    """Many short rounds of the sides."""
    return in_rounds(sides, rounds * SHORT, CALLS, 3)
