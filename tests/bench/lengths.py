"""Bar 5: eager steps over many sequence lengths, beside as many at their mean length."""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from measure import Bar, options, report, use_threads  # isort: skip  # finds models
import click
import torch
from models import REVERSE

import ostinato as ot
from ostinato import optim
from torch_models import batch_of, twins

LIMIT = 1.1
CONFIG = replace(REVERSE, batch=16)
# 50 lengths, in an order that is not theirs, with a mean of 40.
LENGTHS = [16 + (i * 19) % 49 for i in range(49)] + [40]
MEAN = 40
OPTIMIZER: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}
Step = Callable[[int], object]


def our_step() -> Step:
    """One eager step on sequences of a given length."""
    model = twins(CONFIG)[0]
    opt = optim.AdamW(model.parameters(), **OPTIMIZER)
    return step_of(model, opt, *(ot.from_numpy(a) for a in batch_of(CONFIG, seed=1)))


def torch_step() -> Step:
    """The same in PyTorch."""
    model = twins(CONFIG)[1]
    opt = torch.optim.AdamW(model.parameters(), fused=True, **OPTIMIZER)
    return step_of(model, opt, *(torch.from_numpy(a) for a in batch_of(CONFIG, seed=1)))


def step_of(model: Any, opt: Any, x: Any, y: Any) -> Step:
    """A step on the first tokens of the batch."""

    def step(length: int) -> Any:
        loss = model(x[:, :length], y[:, :length])
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return step


def seconds(step: Step, lengths: Sequence[int]) -> float:
    """What steps over `lengths` take."""
    started = time.perf_counter()
    for length in lengths:
        step(length)
    return time.perf_counter() - started


@click.command(help=__doc__)
@options
@click.option("--steps", default=200, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(steps: int, rounds: int, **given: Any) -> None:
    use_threads()
    varied = (LENGTHS * (steps // len(LENGTHS) + 1))[:steps]
    plans = {"varied": varied, "mean": [MEAN] * steps}
    makers = {"ostinato": our_step, "torch": torch_step}
    times = {(side, plan): list[float]() for side in makers for plan in plans}
    # A fresh model each round: what a new length costs the first time counts.
    for _ in range(rounds):
        for plan, lengths in plans.items():
            for side, make in makers.items():
                step = make()
                step(MEAN)
                times[side, plan].append(seconds(step, lengths))
    t = {key: median(taken) for key, taken in times.items()}
    ratios = {side: t[side, "varied"] / t[side, "mean"] for side in makers}
    rows = [
        [side, f"{t[side, 'varied']:.3f}", f"{t[side, 'mean']:.3f}", f"{ratios[side]:.2f}"]
        for side in makers
    ]
    bars = [Bar("ostinato, varied / mean", ratios["ostinato"], LIMIT)]
    columns = ["side", "50 lengths, s", "one length, s", "ratio"]
    figures = {f"{side} {plan}": taken for (side, plan), taken in t.items()}
    report(f"{steps} eager steps of reverse", columns, rows, bars, figures, **given)


if __name__ == "__main__":
    main()
