"""What the Program of a whole tape saves: eager backward by it, beside the node walk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from measure import Bar, by_turns, options, report, use_threads  # isort: skip  # finds models
import click
from models import REVERSE, Config

import ostinato as ot
from ostinato.runtime import _C
from torch_models import batch_of, twins

LIMIT = 1.02  # the same ops run: what is over 1 is noise of the products
WORKLOADS: dict[str, Config] = {
    "tiny": replace(REVERSE, dim=8, heads=2, layers=6, length=4, batch=1),
    "reverse": replace(REVERSE, batch=16),
}


def sides(config: Config) -> dict[str, Callable[[], object]]:
    """Backward over one retained graph, both ways."""
    model = twins(config)[0]
    loss = model(*(ot.from_numpy(a) for a in batch_of(config, seed=1)))

    def backward(by_program: bool) -> Callable[[], object]:
        def run() -> None:
            _C.set_tape_programs_enabled(by_program)
            loss.backward(retain_graph=True)

        return run

    return {"walk": backward(False), "program": backward(True)}


@click.command(help=__doc__)
@options
@click.option("--rounds", default=31, show_default=True)
@click.option("--calls", default=5, show_default=True)
def main(rounds: int, calls: int, **given: Any) -> None:
    use_threads()
    figures = {name: by_turns(sides(c), rounds, calls, 3) for name, c in WORKLOADS.items()}
    _C.set_tape_programs_enabled(True)
    rows = [
        [name, f"{t['walk'] * 1e6:.1f}", f"{t['program'] * 1e6:.1f}"] for name, t in figures.items()
    ]
    bars = [
        Bar(f"{n}, program / walk", t["program"] / t["walk"], LIMIT) for n, t in figures.items()
    ]
    report("eager backward, µs", ["model", "walk", "program"], rows, bars, figures, **given)


if __name__ == "__main__":
    main()
