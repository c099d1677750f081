"""The time of one call on 8-element tensors, which is the host's, beside PyTorch's.

On a GPU it is compared above what the driver takes to queue a kernel, measured in the same run,
which no call that launches one goes below.
"""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

import timeit
from statistics import median
from typing import Any

import click
import torch

import ostinato as ot
from measure import Bar, options, report, use_threads
from ostinato.runtime import _C

LIMIT, GPU_LIMIT = 0.8, 0.5
GPU_CALLS = {
    "add": "x + y", "add a number": "x + 1.5", "relu": "x.relu()", "sum": "x.sum()",
    "view": "x.view(2, 4)", "8x8 matmul": "a @ b",
}  # fmt: skip
LAUNCHLESS = {"view"}
LAUNCHES = 1000  # between two waits for the device: fewer than its queue holds
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


def on_gpu(rounds: int) -> dict[str, dict[str, float]]:
    """The same for calls on a GPU."""
    x, y, a = torch.ones(8, device="cuda"), torch.ones(8, device="cuda"), torch.ones(8, 8).cuda()
    theirs = {"x": x, "y": y, "a": a, "b": a}
    ours = {name: ot.ones(t.shape, device="cuda") for name, t in theirs.items()}
    sides: dict[str, tuple[dict[str, Any], Any]] = {
        "ostinato": (ours, ot.cuda.synchronize), "torch": (theirs, torch.cuda.synchronize),
    }  # fmt: skip
    times = {call: {side: list[float]() for side in sides} for call in GPU_CALLS}
    for _ in range(rounds):
        for call, statement in GPU_CALLS.items():
            for side, (scope, wait) in sides.items():
                timer = timeit.Timer(statement, globals=scope)
                timer.timeit(10)
                wait()
                times[call][side].append(timer.timeit(LAUNCHES) / LAUNCHES)
                wait()
    return {c: {s: median(t) for s, t in by_side.items()} for c, by_side in times.items()}


def launch_seconds(rounds: int) -> float:
    """Median seconds of the driver's part of a launch."""
    times: list[float] = []
    for _ in range(rounds):
        times.append(_C.cuda_seconds_of_launch("cuda", LAUNCHES))
        ot.cuda.synchronize()
    return median(times)


def above(seconds: float, call: str, floor: float) -> float:
    """What a call takes beyond its launch."""
    return seconds - (0.0 if call in LAUNCHLESS else floor)


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
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--rounds", default=25, show_default=True)
@click.option("--calls", default=5000, show_default=True)
def main(device: str, rounds: int, calls: int, **given: Any) -> None:
    use_threads()
    figures = on_gpu(rounds) if device == "cuda" else measured(rounds, calls)
    floor = launch_seconds(rounds) if device == "cuda" else 0.0
    ratios = {
        call: above(t["ostinato"], call, floor) / above(t["torch"], call, floor)
        for call, t in figures.items()
    }
    rows = [
        [call, f"{t['ostinato'] * 1e6:.3f}", f"{t['torch'] * 1e6:.3f}", f"{ratios[call]:.2f}"]
        for call, t in figures.items()
    ]
    limit = GPU_LIMIT if device == "cuda" else LIMIT
    bars = [Bar(call, ratio, limit) for call, ratio in ratios.items()]
    if device == "cuda":
        rows.append(["a bare launch", f"{floor * 1e6:.3f}", "", ""])
    columns = ["call", "ostinato, µs", "torch, µs", "ratio"]
    report(f"host time of one call on {device}", columns, rows, bars, figures, **given)


if __name__ == "__main__":
    main()
