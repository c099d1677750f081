"""Trains a small GPT whose perceptrons are mixtures of experts, on Python's standard library.

A router sends each character to the two experts that it finds best; an expert takes as many as it
has room for, and the rest pass it by (Fedus et al. 2021).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import click
from corpus import Corpus, text_of
from models import Block, Config
from training import Bar, console, options, plot, training_step

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import Generator, Tensor, nn, optim

EXPERTS, TOP, SPARE = 8, 2, 1.25
BALANCE = 0.01
MIXTURE = Config(dim=128, heads=4, layers=2, classes=128, length=64, batch=16)


class Experts(nn.Module):
    """`count` perceptrons, of which each place sees the `top` that a router chooses for it."""

    def __init__(self, dim: int, count: int, top: int) -> None:
        super().__init__()
        self.count, self.top = count, top
        self.router = nn.Linear(dim, count, bias=False)
        bound, inner = 1 / math.sqrt(dim), 1 / math.sqrt(4 * dim)
        self.fc = nn.Parameter(ot.rand(count, dim, 4 * dim) * (2 * bound) - bound)
        self.out = nn.Parameter(ot.rand(count, 4 * dim, dim) * (2 * inner) - inner)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Places (n, dim) to the same, and how unevenly they were spread: 1 where evenly."""
        odds = F.softmax(self.router(x), -1)
        weights, chosen = odds.topk(self.top, -1)
        weights = weights / weights.sum(-1, keepdim=True)
        slots, room = self.slots(chosen)
        # The last slot is of those that find no room, and is thrown away.
        queues = ot.zeros(self.count * room + 1, x.shape[1], device=x.device)
        queues = queues.index_add(0, slots, ot.cat([x] * self.top))
        queues = queues[:-1].view(self.count, room, -1)
        said = (F.gelu(queues @ self.fc, approximate="tanh") @ self.out).flatten(0, 1)
        said = ot.cat([said, ot.zeros(1, x.shape[1], device=x.device)])[slots]
        y = said.view(self.top, *x.shape) * weights.t().unsqueeze(-1)
        share = F.one_hot(chosen[:, 0], self.count).float().mean(0)
        return y.sum(0), (share * odds.mean(0)).sum() * self.count

    def slots(self, chosen: Tensor) -> tuple[Tensor, int]:
        """Where in the experts' queues each choice goes, (top · n,), and the length of a queue.
        All first choices come before all second ones."""
        chosen = chosen.t().flatten()
        room = math.ceil(SPARE * len(chosen) / self.count)
        queue = F.one_hot(chosen, self.count)
        place = (queue.cumsum(0) * queue).sum(1) - 1
        return ot.where(place < room, chosen * room + place, self.count * room), room


class ExpertBlock(Block):
    """A block of a transformer with experts in place of its perceptron."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, causal=True)
        del self.fc, self.out
        self.experts = Experts(config.dim, EXPERTS, TOP)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(batch, length, dim) to the same, and how unevenly the experts are used."""
        x = x + self.attended(self.n1(x))
        said, uneven = self.experts(self.n2(x).flatten(0, 1))
        return x + said.view(x.shape), uneven


class ExpertModel(nn.Module):
    """A decoder-only transformer over characters."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tok = nn.Embedding(config.classes, config.dim)
        self.pos = nn.Embedding(config.length, config.dim)
        self.blocks = nn.ModuleList([ExpertBlock(config) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.classes, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy of the next characters `y` (batch, length), and a little for
        using experts unevenly."""
        h = self.tok(x) + self.pos.weight[: x.shape[1]]
        total = ot.zeros((), device=h.device)
        for block in self.blocks:
            h, uneven = block(h)
            total = total + uneven
        scores = self.head(self.norm(h))
        return F.cross_entropy(scores.flatten(0, 1), y.flatten()) + BALANCE * total


@click.command(help=__doc__)
@options(steps=300, batch=MIXTURE.batch, lr=1e-3)
@click.option("--data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(
    device: str,
    compiled: bool,
    steps: int,
    batch: int,
    lr: float,
    seed: int,
    out: Path | None,
    data: Path | None,
) -> None:
    ot.manual_seed(seed)
    out = out or Path("runs/experts")
    corpus = Corpus(text_of(data))
    generator = Generator().manual_seed(seed)
    model = ExpertModel(replace(MIXTURE, classes=len(corpus.characters))).to(device)
    opt = optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    step = training_step(model, opt, compiled)
    with Bar(steps, "characters") as bar:
        for _ in range(steps):
            x, y = corpus.batch(batch, MIXTURE.length, generator)
            bar.advance(step(x.to(device), y.to(device)).item(), x.numel())
    tail = bar.losses[-50:]
    console.print(f"loss         {sum(tail) / len(tail):.3f} over the last {len(tail)} steps")
    plot(out / "loss.png", "experts", {"training": dict(enumerate(bar.losses, start=1))})


if __name__ == "__main__":
    main()
