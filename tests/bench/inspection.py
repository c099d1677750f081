"""What inspecting costs: `explain()` of a compiled GPT-2 step, and a minigpt step while it is
profiled, or with its loss watched.

Calls with and without take turns. GPT-2 runs with a batch of one. On a GPU a time is that of many
steps, until the last is over, shared among them; a profile measures its first step kernel by
kernel, and is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import click

from first_step import ours
from measure import Bar, options, report

EXPLAIN_SECONDS, PROFILE_RATIO, WATCH_RATIO = 1.0, 1.05, 1.02
STEPS = 50


@dataclass(frozen=True)
class Turns:
    """Seconds of a call, plain and with what is measured, and the ratio of the two."""

    plain: float
    other: float
    ratio: float


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


def by_turns(plain: Callable[[], Any], other: Callable[[], Any], rounds: int) -> Turns:
    """Median seconds of both, and of the ratio in a round: which one comes first changes."""
    taken: list[tuple[float, float]] = []
    plain()
    other()
    for i in range(rounds):
        if i % 2:
            taken.append((seconds_of(plain), seconds_of(other)))
        else:
            second = seconds_of(other)
            taken.append((seconds_of(plain), second))
    first, second = (median(column) for column in zip(*taken, strict=True))
    return Turns(first, second, median(b / a for a, b in taken))


def profiling(rounds: int) -> Turns:
    """Seconds of a step, plain and profiled."""
    import ostinato as ot

    step, *args = ours()
    step(*args)

    def profiled() -> None:
        with ot.profile():
            step(*args)

    return by_turns(lambda: step(*args), profiled, rounds)


def watching(device: str, rounds: int) -> Turns:
    """Seconds of steps, plain and with the loss watched."""
    import ostinato as ot

    def steps(note: Callable[[Any], object] | None) -> Callable[[], Any]:
        step, *args = ours(device=device, note=note)
        if device == "cpu":
            return lambda: step(*args)

        def many() -> None:
            for _ in range(STEPS):
                step(*args)
            ot.cuda.synchronize()

        return many

    count = 1 if device == "cpu" else STEPS
    taken = by_turns(steps(None), steps(lambda loss: ot.watch(loss, "loss")), rounds)
    return Turns(taken.plain / count, taken.other / count, taken.ratio)


@click.command(help=__doc__)
@options
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--rounds", default=31, show_default=True)
def main(device: str, rounds: int, **given: Any) -> None:
    watched = watching(device, rounds)
    rows = [
        ["a step of minigpt", f"{watched.plain * 1e3:.2f}"],
        ["its loss watched", f"{watched.other * 1e3:.2f}"],
    ]
    bars = [Bar("a step watched / plain", watched.ratio, WATCH_RATIO)]
    figures = {"plain": watched.plain, "watched": watched.other}
    if device == "cpu":
        explained, profiled = explaining(3), profiling(rounds)
        rows += [
            ["explain(), GPT-2", f"{explained * 1e3:.0f}"],
            ["a step, profiled", f"{profiled.other * 1e3:.2f}"],
        ]
        bars += [
            Bar("explain() of GPT-2, s", explained, EXPLAIN_SECONDS),
            Bar("a step profiled / plain", profiled.ratio, PROFILE_RATIO),
        ]
        figures |= {"explain": explained, "profiled": profiled.other}
    report(f"inspection on {device}", ["what", "ms"], rows, bars, figures, **given)


if __name__ == "__main__":
    main()
