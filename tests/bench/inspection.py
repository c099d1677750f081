"""What inspecting costs: `explain()` of a compiled GPT-2 step, and a minigpt step while it is
profiled.

The profiled and the plain calls take turns. GPT-2 runs with a batch of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import click
from first_step import ours
from measure import Bar, options, report

EXPLAIN_SECONDS, PROFILE_RATIO = 1.0, 1.05


def seconds_of(call: Callable[[], Any]) -> float:
    """One call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def explaining(rounds: int) -> float:
    """Seconds that `explain()` and its text take for GPT-2's whole step."""
    step, *args = ours("GPT2", batch=1)
    step(*args)
    return median(seconds_of(lambda: str(step.explain())) for _ in range(rounds))


def profiling(rounds: int) -> tuple[float, float]:
    """Seconds of a step, plain and profiled."""
    import ostinato as ot

    step, *args = ours()
    step(*args)

    def profiled() -> None:
        with ot.profile():
            step(*args)

    plain, measured = list[float](), list[float]()
    for _ in range(rounds):
        plain.append(seconds_of(lambda: step(*args)))
        measured.append(seconds_of(profiled))
    return median(plain), median(measured)


@click.command(help=__doc__)
@options
@click.option("--rounds", default=15, show_default=True)
def main(rounds: int, **given: Any) -> None:
    explained = explaining(3)
    plain, measured = profiling(rounds)
    rows = [
        ["explain(), GPT-2", f"{explained * 1e3:.0f}"],
        ["a step of minigpt", f"{plain * 1e3:.1f}"],
        ["the same, profiled", f"{measured * 1e3:.1f}"],
    ]
    bars = [
        Bar("explain() of GPT-2, s", explained, EXPLAIN_SECONDS),
        Bar("a step profiled / plain", measured / plain, PROFILE_RATIO),
    ]
    figures = {"explain": explained, "plain": plain, "profiled": measured}
    report("inspection", ["what", "ms"], rows, bars, figures, **given)


if __name__ == "__main__":
    main()
