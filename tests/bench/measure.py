"""Measurements of several sides in the same run, by turns, and their report."""

from __future__ import annotations

import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Table

# The benchmarks measure the models of the examples, and import this module before them.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

THREADS = 2
FULL_SPEED = 1.15
Measured = dict[str, list[float]]


@dataclass(frozen=True)
class Bar:
    """A figure and the most that it may be."""

    name: str
    value: float
    limit: float

    def holds(self, limit: float | None) -> bool:
        """Whether the figure is within `limit`, or its own for None."""
        return self.value <= (self.limit if limit is None else limit)


def options(command: Any) -> Any:
    """The options that all benchmarks share."""
    for option in (
        click.option("--bar", type=float, help="The most that every ratio may be."),
        click.option("--check", is_flag=True, help="Fail where a ratio is over its own bar."),
        click.option("--out", type=Path, help="Also write the figures here, as JSON."),
    ):
        command = option(command)
    return command


def use_threads(count: int = THREADS) -> None:
    """Let both sides use `count` threads."""
    import torch

    import ostinato as ot

    torch.set_num_threads(count)
    ot.set_num_threads(count)


def by_turns(
    sides: Mapping[str, Callable[[], object]], rounds: int, calls: int, warm_up: int = 1
) -> dict[str, float]:
    """The median seconds of one call of each side; in every round each runs `calls` times.

    A first, uncounted call in each turn wakes the side's threads and fills its caches.
    """
    return in_rounds(sides, rounds, calls, warm_up).medians


@dataclass(frozen=True)
class Rounds:
    """Seconds of a call of each side, one for each round: those of a round stand side by side, so
    what is computed of two of them leaves out how fast the machine was just then."""

    seconds: Measured
    slowness: list[float]
    """Of each round: what a fixed piece of Python took beside its turns, to the least it took."""

    @property
    def medians(self) -> dict[str, float]:
        """The median seconds of a call of each side."""
        return {name: median(taken) for name, taken in self.seconds.items()}

    @property
    def count(self) -> int:
        """How many rounds there are."""
        return len(self.slowness)

    def ratio(self, one: str, other: str) -> float:
        """The median of how much longer `one` takes than the `other` beside it."""
        pairs = zip(self.seconds[one], self.seconds[other], strict=True)
        return median(a / b for a, b in pairs)

    def beyond(self, whole: str, *parts: str) -> float:
        """The median seconds by which `whole` takes longer than the `parts` beside it."""
        rows = zip(*(self.seconds[name] for name in (whole, *parts)), strict=True)
        return median(taken - sum(others) for taken, *others in rows)

    def undisturbed(self) -> Rounds:
        """The rounds in which the machine ran at its full speed, by a clock that knows nothing of
        the sides: a core that is shared with someone takes nearly twice as long for everything."""
        kept = [i for i, slow in enumerate(self.slowness) if slow <= FULL_SPEED]
        seconds = {name: [taken[i] for i in kept] for name, taken in self.seconds.items()}
        return Rounds(seconds, [self.slowness[i] for i in kept])


def in_rounds(
    sides: Mapping[str, Callable[[], object]], rounds: int, calls: int, warm_up: int = 1
) -> Rounds:
    """The same, round by round. The order in one is drawn: what a side leaves in the caches, and
    threads of its that still wait for more work, meet the others alike."""
    for fn in sides.values():
        for _ in range(warm_up):
            fn()
    times: Measured = {name: [] for name in sides}
    pulses: list[float] = []
    turns, drawn = list(sides.items()), random.Random(0)
    for _ in range(rounds):
        slowest = pulse()
        drawn.shuffle(turns)
        for name, fn in turns:
            fn()
            started = time.perf_counter()
            for _ in range(calls):
                fn()
            times[name].append((time.perf_counter() - started) / calls)
            slowest = max(slowest, pulse())
        pulses.append(slowest)
    least = min(pulses)
    return Rounds(times, [p / least for p in pulses])


def pulse() -> float:
    """Seconds that a fixed piece of Python takes now."""
    started = time.perf_counter()
    for _ in range(500):
        pass
    return time.perf_counter() - started


def in_pairs(
    one: Callable[[], object], other: Callable[[], object], pairs: int, warm_up: int = 3
) -> tuple[float, float, float]:
    """The median seconds of a call of each, and the median of how much longer `one` takes than the
    `other` beside it, which a machine that changes its speed leaves as it is."""
    for fn in (one, other) * warm_up:
        fn()
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(pairs):
        for side in (0, 1) if i % 2 else (1, 0):
            started = time.perf_counter()
            (one, other)[side]()
            times[side].append(time.perf_counter() - started)
    ratios = [a / b for a, b in zip(*times, strict=True)]
    return median(times[0]), median(times[1]), median(ratios)


def report(
    title: str,
    columns: list[str],
    rows: list[list[str]],
    bars: list[Bar],
    figures: dict[str, Any],
    **given: Any,
) -> None:
    """Print rows and bars, write JSON, and leave with status 1 where a bar is broken.

    `given` holds what `options` parsed: bar, check and out.
    """
    console = Console()
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    limit: float | None = given["bar"]
    for bar in bars:
        verdict = "[green]holds[/]" if bar.holds(limit) else "[red]over[/]"
        allowed = bar.limit if limit is None else limit
        console.print(f"{bar.name}: {bar.value:.3g} of at most {allowed:g}, {verdict}")
    if given["out"]:
        content = {
            "benchmark": title,
            "machine": machine(),
            "figures": figures,
            "bars": [asdict(bar) for bar in bars],
        }
        given["out"].parent.mkdir(parents=True, exist_ok=True)
        given["out"].write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    checked = given["check"] or limit is not None
    if checked and not all(bar.holds(limit) for bar in bars):
        sys.exit(1)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
