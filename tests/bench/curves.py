"""Real training on a GPU, PyTorch beside it: the same data, weights and batches, compiled.

`reverse` is to write 99% of new lines without a mistake, the mean loss of `minigpt` over each 50
steps to be within 1% of PyTorch's, and the accuracy of `vit` within one point.
"""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import click
import numpy as np
import torch
from corpus import Corpus
from images import Images, from_npz
from models import MINIGPT, REVERSE, VIT, Config
from reverse import IGNORED, lines
from training import plot

import ostinato as ot
from measure import Bar, options, report
from ostinato import Generator, optim
from torch_models import twins

Batch = tuple[Any, Any]
Curve = list[float]
OPTIMIZER: dict[str, Any] = {"betas": (0.9, 0.95), "weight_decay": 0.1}
WINDOW = 50


class Sides:
    """Our model and PyTorch's from the same weights, each with its compiled step."""

    def __init__(self, config: Config, lr: float, device: str) -> None:
        self.device = device
        torch.backends.cuda.matmul.allow_tf32 = True
        if device == "cuda":
            ot.set_float32_matmul_precision("high")
        ours, theirs = twins(config)
        self.ours, self.theirs = ours.to(device), theirs.to(device)
        self.our_opt = optim.AdamW(self.ours.parameters(), lr=lr, **OPTIMIZER)
        self.their_opt = torch.optim.AdamW(
            self.theirs.parameters(), lr=lr, fused=device == "cuda", **OPTIMIZER
        )
        self.our_step = ot.compile(self._our_step)
        self.forward = torch.compile(self.theirs)

    def _our_step(self, x: Any, y: Any) -> Any:
        loss = self.ours(x, y)
        loss.backward()
        self.our_opt.step()
        self.our_opt.zero_grad()
        return loss.detach()

    def train(self, batches: Iterator[Batch]) -> tuple[Curve, Curve]:
        """The losses of both sides, step by step."""
        mine: list[Any] = []
        other: list[Any] = []
        for x, y in batches:
            mine.append(self.our_step(ot.from_numpy(x).to(self.device),
                                      ot.from_numpy(y).to(self.device)))  # fmt: skip
            loss = self.forward(torch.from_numpy(x).to(self.device),
                                torch.from_numpy(y).to(self.device))  # fmt: skip
            loss.backward()
            self.their_opt.step()
            self.their_opt.zero_grad(set_to_none=True)
            other.append(loss.detach())
        return [t.item() for t in mine], [t.item() for t in other]


def windows(losses: Curve) -> Curve:
    """The mean of each WINDOW losses."""
    whole = len(losses) // WINDOW * WINDOW
    return np.asarray(losses[:whole]).reshape(-1, WINDOW).mean(1).tolist()


def train_reverse(sides_of: Callable[..., Sides], data: Path, steps: int) -> tuple[Any, list[Bar]]:
    generator = Generator().manual_seed(0)

    def batches(count: int) -> Iterator[Batch]:
        for _ in range(count):
            x, y = lines(REVERSE.batch, generator)
            yield x.numpy(), y.numpy()

    sides = sides_of(REVERSE, 1e-3)
    curves = sides.train(batches(steps))
    x, y = lines(1024, generator)
    with ot.no_grad():
        predicted = sides.ours.logits(x.to(sides.device)).argmax(-1).cpu()
    wrong = ((predicted == y) | (y == IGNORED)).all(1).float().mean().item()
    return curves, [Bar("reverse, lines with a mistake", 1 - wrong, 0.01)]


def train_minigpt(sides_of: Callable[..., Sides], data: Path, steps: int) -> tuple[Any, list[Bar]]:
    corpus = Corpus((data / "tinyshakespeare.txt").read_text(encoding="utf-8"))
    generator = Generator().manual_seed(0)

    def batches() -> Iterator[Batch]:
        for _ in range(steps):
            x, y = corpus.batch(MINIGPT.batch, MINIGPT.length, generator)
            yield x.numpy(), y.numpy()

    config = replace(MINIGPT, classes=len(corpus.characters))
    curves = sides_of(config, 1e-3).train(batches())
    ours, theirs = map(windows, curves)
    gap = max(abs(a - b) / b for a, b in zip(ours, theirs, strict=True))
    return curves, [Bar("minigpt, largest gap of mean losses", gap, 0.01)]


def normalised(images: Images) -> Batch:
    """Pixels float32 from -1 to 1, and labels."""
    pixels = np.ascontiguousarray(images.pixels, np.float32) / 127.5 - 1
    return pixels, images.labels.astype(np.int64)


def train_vit(sides_of: Callable[..., Sides], data: Path, steps: int) -> tuple[Any, list[Bar]]:
    x, y = normalised(from_npz(data / "cifar10_train.npz"))
    test_x, test_y = normalised(from_npz(data / "cifar10_test.npz"))
    order = np.random.default_rng(0)

    def batches() -> Iterator[Batch]:
        done = 0
        while done < steps:
            shuffled = order.permutation(len(y))
            for at in range(0, len(y) - VIT.batch + 1, VIT.batch):
                chosen = shuffled[at : at + VIT.batch]
                yield x[chosen], y[chosen]
                done += 1
                if done == steps:
                    return

    sides = sides_of(VIT, 3e-4)
    curves = sides.train(batches())
    ours, theirs = accuracies(sides, test_x, test_y)
    print(f"vit accuracy: ours {ours:.4f}, torch {theirs:.4f}")
    return curves, [Bar("vit, points of accuracy below torch", 100 * (theirs - ours), 1.0)]


def accuracies(sides: Sides, x: Any, y: Any) -> tuple[float, float]:
    """The share of test images whose class each side finds."""
    right = np.zeros(2)
    with ot.no_grad(), torch.no_grad():
        for at in range(0, len(y), 250):
            part, labels = x[at : at + 250], y[at : at + 250]
            mine = sides.ours.logits(ot.from_numpy(part).to(sides.device)).argmax(-1).cpu().numpy()
            theirs: Any = sides.theirs
            found = theirs.logits(torch.from_numpy(part).to(sides.device)).argmax(-1).cpu()
            right += (mine == labels).sum(), (found.numpy() == labels).sum()
    return tuple(right / len(y))


WORKLOADS = {
    "reverse": (train_reverse, 2000), "minigpt": (train_minigpt, 2000),
    "vit": (train_vit, 15 * (25_000 // VIT.batch)),
}  # fmt: skip


@click.command(help=__doc__)
@options
@click.option("--device", default="cuda", show_default=True)
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--workloads", default=",".join(WORKLOADS), show_default=True)
@click.option("--steps", type=int, help="Instead of the workload's own.")
@click.option("--plots", type=Path, help="A folder for curves as PNG.")
def main(
    device: str, data: Path, workloads: str, steps: int | None, plots: Path | None, **given: Any
) -> None:
    bars: list[Bar] = []
    rows: list[list[str]] = []
    figures: dict[str, Any] = {}
    for name in workloads.split(","):
        train, own = WORKLOADS[name]
        curves, found = train(lambda c, lr: Sides(c, lr, device), data, steps or own)
        bars += found
        ours, theirs = map(windows, curves)
        figures[name] = {"ours": ours, "torch": theirs}
        rows.append([name, f"{ours[-1]:.4f}", f"{theirs[-1]:.4f}"])
        if plots:
            drawn = {
                side: {(i + 1) * WINDOW: loss for i, loss in enumerate(curve)}
                for side, curve in figures[name].items()
            }
            plot(plots / f"{name}.png", f"{name}: mean loss of each {WINDOW} steps", drawn)
    report(f"training on {device}, last mean loss", ["model", "ours", "torch"], rows, bars,
           figures, **given)  # fmt: skip


if __name__ == "__main__":
    main()
