"""What the examples share: options, one training step, progress bar and plot."""

# matplotlib is partly typed.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import ostinato as ot
from ostinato import Tensor, nn, optim

console = Console(highlight=False, soft_wrap=True)
Step = Callable[[Tensor, Tensor], Tensor]


def fastest_device() -> str:
    """A GPU where there is one."""
    return "cuda" if ot.cuda.is_available() else "cpu"


def options(
    steps: int | None, batch: int | None = None, lr: float | None = None
) -> Callable[[Any], Any]:
    """The command-line options of every example, with its own defaults; those of training are left
    out where there is no `batch` or `lr`."""
    every = [
        click.option(
            "--device",
            default=fastest_device,
            show_default="cuda, or else cpu",
            help="Where to train.",
        ),
        click.option("--compile/--eager", "compiled", default=True, show_default=True),
        click.option("--steps", default=steps, show_default=True, type=click.IntRange(1)),
        *_given("--batch", batch, click.IntRange(1)),
        *_given("--lr", lr, float),
        click.option("--seed", default=0, show_default=True, type=int),
        click.option("--out", type=Path, show_default=True, help="Where results go."),
    ]

    def decorate(command: Any) -> Any:
        for option in reversed(every):
            command = option(command)
        return command

    return decorate


def _given(name: str, default: float | None, kind: Any) -> list[Any]:
    if default is None:
        return []
    return [click.option(name, default=default, show_default=True, type=kind)]


def training_step(model: nn.Module, opt: optim.Optimizer, compiled: bool) -> Step:
    """One step from a batch to its loss: gradients, clipping, and the optimizer's change."""

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = model(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        return loss.detach()

    return ot.compile(step) if compiled else step


class Interruption:
    """True once Ctrl-C was pressed inside, which then does not break off a step in its middle."""

    def __enter__(self) -> Self:
        # No Python code: the handler may run while a step is captured, which would refuse it.
        self.signals: dict[int, Any] = {}
        self.before = signal.signal(signal.SIGINT, self.signals.__setitem__)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self.before)

    def __bool__(self) -> bool:
        return bool(self.signals)


class Bar:
    """A progress bar that shows the loss and how many `unit`s are done a second."""

    def __init__(self, total: int, unit: str, done: int = 0) -> None:
        self.unit = unit
        self.units = 0
        self.losses: list[float] = []
        self.started = time.perf_counter()
        columns = (TextColumn("step {task.completed}/{task.total}"), BarColumn())
        shown = TextColumn("{task.fields[shown]}")
        self.progress = Progress(*columns, shown, TimeRemainingColumn(), console=console)
        self.task = self.progress.add_task("", total=total, completed=done, shown="")

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def advance(self, loss: float, units: int) -> None:
        """Show one more step, which had this loss and went through so many units."""
        self.losses.append(loss)
        self.units += units
        rate = self.units / (time.perf_counter() - self.started)
        shown = f"loss {loss:.4f}  {rate:,.0f} {self.unit}/s"
        self.progress.update(self.task, advance=1, shown=shown)


def plot(path: Path, title: str, curves: dict[str, dict[int, float]]) -> None:
    """Draw named curves, loss by step, to a PNG, if matplotlib is installed."""
    try:
        import matplotlib
    except ImportError:
        console.print("no plot: matplotlib is missing; `pip install ostinato\\[demo]` brings it")
        return
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, curve in curves.items():
        axes.plot(list(curve), list(curve.values()), label=name, linewidth=1)
    axes.set(title=title, xlabel="step", ylabel="loss")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    console.print(f"loss curve   {path}")
