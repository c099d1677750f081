"""Many replays on a GPU: memory stays flat, losses are finite, and two threads train at once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import click

import ostinato as ot
from gpu_row import our_step
from gpu_workloads import workload_of
from measure import Bar, options, report

WARM_UP = 20


def replayed(step: Callable[[], Any], count: int) -> tuple[list[float], int, int]:
    """Every hundredth loss of `count` replays, and the bytes allocated before and after."""
    for _ in range(WARM_UP):
        step()
    ot.cuda.synchronize()
    before = ot.cuda.memory_allocated()
    losses: list[float] = []
    for i in range(count):
        loss = step()
        if i % 100 == 0:
            losses.append(loss.item())
        del loss
    ot.cuda.synchronize()
    return losses, before, ot.cuda.memory_allocated()


def one_after_the_other(steps: list[Callable[[], Any]], count: int) -> float:
    """Seconds in which each side takes `count` steps, on one thread."""
    started = time.perf_counter()
    for step in steps:
        for _ in range(count):
            step()
        ot.cuda.synchronize()
    return time.perf_counter() - started


def at_once(steps: list[Callable[[], Any]], count: int) -> float:
    """The same, each side on a thread and a stream of its own."""

    def train(step: Callable[[], Any]) -> None:
        with ot.cuda.stream(ot.cuda.Stream()):
            for _ in range(count):
                step()
            ot.cuda.synchronize()

    threads = [threading.Thread(target=train, args=(step,)) for step in steps]
    started = time.perf_counter()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return time.perf_counter() - started


@click.command(help=__doc__)
@options
@click.option("--replays", default=20_000, show_default=True)
@click.option("--steps", default=500, show_default=True, help="Of each thread.")
def main(replays: int, steps: int, **given: Any) -> None:
    workload = workload_of("reverse", None)
    step = our_step(workload, compiled=True)
    losses, before, after = replayed(step, replays)
    wrong = sum(not math.isfinite(loss) for loss in losses)
    sides = [step, our_step(workload, compiled=True)]
    for warm_up in (one_after_the_other, at_once):
        warm_up(sides, WARM_UP)
    apart = min(one_after_the_other(sides, steps) for _ in range(3))
    together = min(at_once(sides, steps) for _ in range(3))
    bars = [
        Bar(f"bytes gained by {replays} replays", after - before, 0),
        Bar("losses that are not finite", wrong, 0),
        Bar("two threads at once / one after the other", together / apart, 1.0),
    ]
    rows = [
        ["loss, first and last", f"{losses[0]:.4f} {losses[-1]:.2g}"],
        ["one after the other, s", f"{apart:.3f}"], ["at once, s", f"{together:.3f}"],
    ]  # fmt: skip
    figures = {"losses": losses, "apart": apart, "together": together, "bytes": [before, after]}
    report("endurance on cuda", ["what", "figure"], rows, bars, figures, **given)


if __name__ == "__main__":
    main()
