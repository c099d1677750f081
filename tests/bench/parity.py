"""Bar 4: the same training in PyTorch, and in ours eager and compiled: losses at every step, and
parameters at the end. The same comparison must fail where an error is planted."""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from measure import Bar, options, report, use_threads  # isort: skip  # finds models
import click
import torch
from models import MINIGPT, REVERSE, VIT, Config

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import optim
from torch_models import batch_of, twins

MODELS: dict[str, Config] = {
    "reverse": replace(REVERSE, batch=16),
    "minigpt": replace(MINIGPT, batch=2),
    "vit": replace(VIT, batch=4),
}
# The gradient of a key's bias is rounding alone; AdamW makes steps of it unless eps is above. Decay
# at the wrong time is off by lr · weight_decay: enough to be seen.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-3},
    "AdamW": {"lr": 5e-4, "betas": (0.9, 0.95), "eps": 1e-5, "weight_decay": 1.0},
}
LOSS_LIMIT = 1e-5
PARAMETER_LIMIT = 1e-4
Losses = list[float]


@dataclass
class Outcome:
    """The losses of a training, and its parameters afterwards as float64 arrays."""

    losses: Losses
    parameters: dict[str, Any]


def batches(config: Config, steps: int) -> Iterator[tuple[Any, Any]]:
    """The batches of every side, as NumPy arrays.

    None comes back: learning one by heart makes rounding grow a thousandfold.
    """
    return (batch_of(config, seed=1 + i) for i in range(steps))


def train_torch(config: Config, name: str, steps: int, ulp: bool = False) -> Outcome:
    """PyTorch's training; with `ulp` from weights off by one unit in the last place."""
    model = twins(config)[1]
    if ulp:
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.nextafter(p, torch.full_like(p, torch.inf)))
    opt = getattr(torch.optim, name)(model.parameters(), **OPTIMIZERS[name])
    losses: Losses = []
    for x, y in batches(config, steps):
        loss = model(torch.from_numpy(x), torch.from_numpy(y))
        loss.backward()
        opt.step()
        opt.zero_grad()
        losses.append(loss.item())
    state = {n: p.detach().double().numpy() for n, p in model.named_parameters()}
    return Outcome(losses, state)


def train_ours(config: Config, name: str, steps: int, compiled: bool) -> Outcome:
    """The same in Ostinato."""
    model = twins(config)[0]
    opt = getattr(optim, name)(model.parameters(), **OPTIMIZERS[name])

    def step(x: Any, y: Any) -> Any:
        loss = model(x, y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    run = ot.compile(step) if compiled else step
    losses = [run(ot.tensor(x), ot.tensor(y)).item() for x, y in batches(config, steps)]
    state = {n: p.detach().double().numpy() for n, p in model.named_parameters()}
    return Outcome(losses, state)


def loss_gap(a: Outcome, b: Outcome) -> float:
    """The largest relative difference of two losses at one step."""
    return max(abs(p - q) / abs(q) for p, q in zip(a.losses, b.losses, strict=True))


def parameter_gap(a: Outcome, b: Outcome) -> tuple[float, str]:
    """The largest difference of a parameter in relative norm, and its name."""
    gaps = {n: norm(p - b.parameters[n]) / norm(b.parameters[n]) for n, p in a.parameters.items()}
    worst = max(gaps, key=lambda n: gaps[n])
    return gaps[worst], worst


def norm(array: Any) -> float:
    """The Euclidean norm of all elements."""
    return float((array * array).sum() ** 0.5)


@contextmanager
def wrong_gelu() -> Generator[None]:
    """Plants the exact GELU where the model asks for that with tanh."""
    right = F.gelu
    F.gelu = lambda x, approximate: right(x)
    try:
        yield
    finally:
        F.gelu = right


@contextmanager
def late_decay() -> Generator[None]:
    """Plants weight decay after the update, where AdamW has it before."""
    right = optim.AdamW

    class Late(optim.AdamW):
        def step(self) -> None:
            group = self.param_groups[0]
            decay, group["weight_decay"] = group["weight_decay"], 0.0
            super().step()
            group["weight_decay"] = decay
            with ot.no_grad():
                for p in group["params"]:
                    p.mul_(1 - group["lr"] * decay)

    optim.AdamW = Late
    try:
        yield
    finally:
        optim.AdamW = right


PLANTED: dict[str, Callable[[], Any]] = {"exact GELU": wrong_gelu, "late decay": late_decay}


@dataclass(frozen=True)
class Case:
    """One model under one optimizer."""

    model: str
    optimizer: str
    steps: int

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.model} {self.optimizer}"

    def bars(self, modes: list[str]) -> Iterator[Bar]:
        """Every comparison of this case."""
        args = MODELS[self.model], self.optimizer, self.steps
        theirs = train_torch(*args)
        ours = {mode: train_ours(*args, mode == "compiled") for mode in modes}
        for mode, outcome in ours.items():
            yield Bar(f"{self.name} {mode} loss", loss_gap(outcome, theirs), LOSS_LIMIT)
            gap, worst = parameter_gap(outcome, theirs)
            yield Bar(f"{self.name} {mode} {worst}", gap, PARAMETER_LIMIT)
        if len(ours) == 2:
            gap = loss_gap(ours["eager"], ours["compiled"])
            yield Bar(f"{self.name} eager / compiled loss", gap, LOSS_LIMIT)


def survivors(case: Case) -> list[str]:
    """The planted errors that no bar of `case` notices."""
    left: list[str] = []
    for name, plant in PLANTED.items():
        with plant():
            bars = list(case.bars(["eager"]))
        if all(bar.holds(None) for bar in bars):
            left.append(name)
    return left


@click.command(help=__doc__)
@options
@click.option("--names", default=",".join(MODELS), show_default=True, help="Which models.")
@click.option("--optimizers", default=",".join(OPTIMIZERS), show_default=True)
@click.option("--modes", default="eager,compiled", show_default=True)
@click.option("--steps", default=200, show_default=True)
@click.option("--noise", is_flag=True, help="Show PyTorch against itself, off by one ulp, instead.")
def main(names: str, optimizers: str, modes: str, steps: int, noise: bool, **given: Any) -> None:
    use_threads()
    bars: list[Bar] = []
    for name in names.split(","):
        for optimizer in optimizers.split(","):
            case = Case(name, optimizer, steps)
            bars += noise_bars(case) if noise else case.bars(modes.split(","))
    rows = [[bar.name, f"{bar.value:.2g}", f"{bar.limit:g}"] for bar in bars]
    left = [] if noise else survivors(Case("reverse", "AdamW", min(steps, 50)))
    figures = {"planted errors that were not noticed": left}
    report("parity with PyTorch", ["gap", "largest", "at most"], rows, bars, figures, **given)
    if left:
        sys.exit(f"parity: not noticed: {', '.join(left)}")


def noise_bars(case: Case) -> Iterator[Bar]:
    """The gaps that rounding alone makes."""
    args = MODELS[case.model], case.optimizer, case.steps
    off, theirs = train_torch(*args, ulp=True), train_torch(*args)
    yield Bar(f"{case.name} loss", loss_gap(off, theirs), LOSS_LIMIT)
    gap, worst = parameter_gap(off, theirs)
    yield Bar(f"{case.name} {worst}", gap, PARAMETER_LIMIT)


if __name__ == "__main__":
    main()
