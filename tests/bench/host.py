"""Bar 1: the time of one call on 8-element tensors, which is the host's, beside PyTorch's."""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

import timeit
from statistics import median
from typing import Any

import click
import torch
from measure import Bar, options, report, use_threads

import ostinato as ot

LIMIT = 0.8
CALLS = {
    "add": "x + y",
    "add a number": "x + 1.5",
    "add, recorded": "p + y",
    "add_": "z.add_(y)",
    "view": "x.view(2, 4)",
    "x[2:4]": "x[2:4]",
    "sum": "x.sum()",
    "8x8 matmul": "a @ b",
}


def names(library: Any) -> dict[str, Any]:
    """What the calls work on, made by one of the two libraries."""
    x, y, z = (library.ones(8) for _ in range(3))
    p = library.ones(8).requires_grad_()
    return {"x": x, "y": y, "z": z, "p": p, "a": library.ones(8, 8), "b": library.ones(8, 8)}


def measured(rounds: int, calls: int) -> dict[str, dict[str, float]]:
    """Median seconds of each call on each side, taken by turns."""
    sides = {"ostinato": names(ot), "torch": names(torch)}
    times = {call: {side: list[float]() for side in sides} for call in CALLS}
    for _ in range(rounds):
        for call, statement in CALLS.items():
            for side, scope in sides.items():
                timer = timeit.Timer(statement, globals=scope)
                times[call][side].append(timer.timeit(calls) / calls)
    return {c: {s: median(t) for s, t in by_side.items()} for c, by_side in times.items()}


@click.command(help=__doc__)
@options
@click.option("--rounds", default=25, show_default=True)
@click.option("--calls", default=5000, show_default=True)
def main(rounds: int, calls: int, **given: Any) -> None:
    use_threads()
    figures = measured(rounds, calls)
    rows = [
        [call, f"{t['ostinato'] * 1e6:.3f}", f"{t['torch'] * 1e6:.3f}",
         f"{t['ostinato'] / t['torch']:.2f}"]
        for call, t in figures.items()
    ]  # fmt: skip
    bars = [Bar(call, t["ostinato"] / t["torch"], LIMIT) for call, t in figures.items()]
    columns = ["call", "ostinato, µs", "torch, µs", "ratio"]
    report("host time of one call", columns, rows, bars, figures, **given)


if __name__ == "__main__":
    main()
