"""Measurements of several sides in the same run, by turns, and their report."""

from __future__ import annotations

import json
import os
import platform
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
    for fn in sides.values():
        for _ in range(warm_up):
            fn()
    times: Measured = {name: [] for name in sides}
    for _ in range(rounds):
        for name, fn in sides.items():
            fn()
            started = time.perf_counter()
            for _ in range(calls):
                fn()
            times[name].append((time.perf_counter() - started) / calls)
    return {name: median(taken) for name, taken in times.items()}


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
