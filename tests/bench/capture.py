"""What capture gains and costs, part by part: `capture.py calls lengths programs`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import click
import torch

import capture_calls
import capture_lengths
import ostinato as ot
from capture_programs import SIDES, programs
from measure import Bar, options, report, use_threads


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
        times = [f"{found.rounds.medians[side] * 1e3:.2f}" for side in SIDES]
        eager, theirs = (found.rounds.ratio("compiled", side) for side in SIDES[1:])
        ratios = [f"{eager:.2f}", f"{theirs:.2f}"]
        table.rows.append([name, *times, str(found.breaks), *ratios])
        table.bars += [
            Bar(f"{name}, compiled / eager", eager, 1.0),
            Bar(f"{name}, compiled / torch", theirs, 1.0),
        ]
        table.figures[name] = found.rounds.medians | {"breaks": found.breaks}
    return table


def of_calls(rounds: int) -> Table:
    """Guards and dispatch, padding, following, and a break, by what they take besides the work."""
    table = Table("what a call takes, µs", ["call", "µs", "at most", "rounds"])
    every = {name: capture_calls.measured(make(), rounds) for name, make in KINDS.items()}
    calm = {name: found.undisturbed() for name, found in every.items()}
    following = calm["followed"].beyond("followed", "its Program", "Python alone")
    for kind, name, seconds, limit in (
        ("guarded", "guards and dispatch, 100 parameters",
         calm["guarded"].beyond("a call", "its Program"), 15.0),
        ("padded", "growing and cutting of a padded call",
         calm["padded"].beyond("padded", "its own"), 60.0),
        ("followed", "following an op", following / capture_calls.OPS, 0.5),
    ):  # fmt: skip
        counted = f"{calm[kind].count} of {every[kind].count}"
        table.rows.append([name, f"{seconds * 1e6:.2f}", f"{limit}", counted])
        table.bars.append(Bar(f"{name}, µs / {limit}", seconds * 1e6 / limit, 1.0))
    broken = every["broken"]
    ratio = broken.ratio("one break", "two halves")
    table.rows.append(["one break / its halves", f"{ratio:.2f}", f"{1 / 0.8}", str(broken.count)])
    table.bars.append(Bar("one break, speed of its halves / 0.8", ratio * 0.8, 1.0))
    table.figures = {name: found.seconds for name, found in every.items()}
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


KINDS = {
    "guarded": capture_calls.guarded, "padded": capture_calls.padded,
    "followed": capture_calls.followed, "broken": capture_calls.broken,
}  # fmt: skip
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
