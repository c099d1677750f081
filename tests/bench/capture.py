"""What capture gains and costs, part by part: `capture.py calls lengths programs`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import capture_calls
import capture_lengths
import click
import torch
from capture_programs import programs
from measure import Bar, options, report, use_threads

import ostinato as ot


@dataclass
class Table:
    """What a part has measured."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list[list[str]])
    bars: list[Bar] = field(default_factory=list[Bar])
    figures: dict[str, Any] = field(default_factory=dict[str, Any])


def of_programs(rounds: int) -> Table:
    """The five programs: compiled, eager, and in PyTorch, one step each."""
    table = Table(
        "a step of a program, ms",
        ["program", "compiled", "eager", "torch", "breaks", "to eager", "to torch"],
    )
    for name, found in programs(rounds):
        ours, eager, theirs = (found.seconds[s] for s in ("compiled", "eager", "torch"))
        times = [f"{t * 1e3:.2f}" for t in (ours, eager, theirs)]
        ratios = [f"{ours / t:.2f}" for t in (eager, theirs)]
        table.rows.append([name, *times, str(found.breaks), *ratios])
        table.bars += [
            Bar(f"{name}, compiled / eager", ours / eager, 1.0),
            Bar(f"{name}, compiled / torch", ours / theirs, 1.0),
        ]
        table.figures[name] = found.seconds | {"breaks": found.breaks}
    return table


def of_calls(rounds: int) -> Table:
    """Guards and dispatch, following, and a break, by what they take besides the work."""
    table = Table("what a call takes, µs", ["call", "µs", "at most"])
    guarded, followed, broken = (
        capture_calls.microseconds(make(), rounds)
        for make in (capture_calls.guarded, capture_calls.followed, capture_calls.broken)
    )
    beside = followed["its Program"] + followed["Python alone"]
    for name, found, limit in (
        ("guards and dispatch, 100 parameters", guarded["a call"] - guarded["its Program"], 15.0),
        ("following an op", (followed["followed"] - beside) / capture_calls.OPS, 0.5),
    ):
        table.rows.append([name, f"{found:.2f}", f"{limit}"])
        table.bars.append(Bar(f"{name}, µs / {limit}", found / limit, 1.0))
    ratio = broken["one break"] / broken["two halves"]
    table.rows.append(["one break / its halves", f"{ratio:.2f}", f"{1 / 0.8}"])
    table.bars.append(Bar("one break, speed of its halves / 0.8", ratio * 0.8, 1.0))
    table.figures = {"guarded": guarded, "followed": followed, "broken": broken}
    return table


def of_lengths(rounds: int) -> Table:
    """Twenty lengths through one function: the worst of them, to one compiled for it, and variants
    to the two that there may be."""
    table = Table(
        "twenty lengths through one function, to one compiled for each",
        ["function", "variants", "least", "median", "most", "at length"],
    )
    for name, found in capture_lengths.lengths(rounds):
        ratios = found.ratios
        worst = max(ratios, key=lambda n: ratios[n])
        shown = [min(ratios.values()), median(ratios.values()), ratios[worst]]
        table.rows.append([name, str(found.variants), *(f"{r:.3f}" for r in shown), str(worst)])
        table.bars += [
            Bar(f"{name}, time of the worst length / 1.1", ratios[worst] / 1.1, 1.0),
            Bar(f"{name}, variants / 2", found.variants / 2, 1.0),
        ]
        table.figures[name] = {
            "variants": found.variants, "seconds": found.any_size, "static": found.static
        }  # fmt: skip
    return table


PARTS: dict[str, Callable[[int], Table]] = {
    "calls": of_calls, "lengths": of_lengths, "programs": of_programs
}  # fmt: skip


@click.command(help=__doc__)
@options
@click.argument("parts", nargs=-1, type=click.Choice(sorted(PARTS)))
@click.option("--rounds", default=9, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="Where both libraries compute.")
def main(parts: tuple[str, ...], rounds: int, device: str, **given: Any) -> None:
    use_threads()
    torch.set_default_device(device)
    with ot.device(device):
        for part in parts or sorted(PARTS):
            t = PARTS[part](rounds)
            report(t.title, t.columns, t.rows, t.bars, t.figures, **given)


if __name__ == "__main__":
    main()
