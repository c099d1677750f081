"""Trains an LSTM, character by character, on the sources of Python's standard library.

The text is cut into as many streams as the batch has, which are read side by side, chunk after
chunk. The state goes on from one chunk to the next; gradients end where a chunk begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import click
from corpus import Corpus, text_of
from training import Bar, console, options, plot

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import Tensor, nn, optim

DIM, HIDDEN, LAYERS, CHUNK = 64, 256, 2, 32
State = tuple[Tensor, Tensor]
Step = Callable[[Tensor, Tensor, State], tuple[Tensor, State]]


class Reader(nn.Module):
    """Scores of the next character, from the last one and a state."""

    def __init__(self, classes: int, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, dim)
        self.lstm = nn.LSTM(dim, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Characters (batch, length) to scores (batch, length, classes), and the next state."""
        said, state = self.lstm(self.embedding(x), state)
        return self.head(said), state

    def start(self, batch: int) -> State:
        """The state before any text."""
        shape = (self.lstm.num_layers, batch, self.lstm.hidden_size)
        device = self.head.weight.device
        return ot.zeros(shape, device=device), ot.zeros(shape, device=device)


def chunks(text: Tensor, batch: int, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks (batch, length) of `batch` streams and for each character the next, without end."""
    count = (len(text) - 1) // batch
    streams = text[: batch * count].view(batch, count)
    following = text[1 : batch * count + 1].view(batch, count)
    while True:
        for at in range(0, count - length + 1, length):
            yield streams[:, at : at + length], following[:, at : at + length]


def reading_step(model: Reader, opt: optim.Optimizer, compiled: bool) -> Step:
    """One step from a chunk and the state before it to the loss and the state after it."""

    def step(x: Tensor, y: Tensor, state: State) -> tuple[Tensor, State]:
        scores, (h, c) = model(x, state)
        loss = F.cross_entropy(scores.flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        opt.step()
        return loss.detach(), (h.detach(), c.detach())

    return ot.compile(step) if compiled else step


@click.command(help=__doc__)
@options(steps=500, batch=16, lr=2e-3)
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
    out = out or Path("runs/lstm")
    corpus = Corpus(text_of(data))
    model = Reader(len(corpus.characters), DIM, HIDDEN, LAYERS).to(device)
    opt = optim.AdamW(model.parameters(), lr=lr)
    step = reading_step(model, opt, compiled)
    state = model.start(batch)
    with Bar(steps, "characters") as bar:
        for x, y in islice(chunks(corpus.training, batch, CHUNK), steps):
            loss, state = step(x.to(device), y.to(device), state)
            bar.advance(loss.item(), x.numel())
    tail = bar.losses[-50:]
    console.print(f"loss         {sum(tail) / len(tail):.3f} over the last {len(tail)} chunks")
    plot(out / "loss.png", "LSTM", {"training": dict(enumerate(bar.losses, start=1))})


if __name__ == "__main__":
    main()
