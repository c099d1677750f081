"""Teaches a small transformer to write a sequence backwards.

A line has 64 tokens: padding, n symbols (n from 1 to 31), a separator, the same symbols backwards,
an end mark, padding. The model predicts each next token and is scored on what follows the
separator.
"""

from __future__ import annotations

from pathlib import Path

import click
from models import REVERSE, LanguageModel
from training import Bar, console, options, plot, training_step

import ostinato as ot
from ostinato import Generator, Tensor, optim

PAD, SEPARATOR, END, FIRST_SYMBOL = 0, 1, 2, 3
LONGEST = REVERSE.length // 2 - 1
IGNORED = -100


def lines(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Lines (count, 64) and the next tokens (count, 64), ignored before the separator."""
    symbols = ot.randint(FIRST_SYMBOL, REVERSE.classes, (count, LONGEST), generator=generator)
    lengths = ot.randint(1, LONGEST + 1, (count, 1), generator=generator)
    positions = ot.arange(LONGEST)
    used = positions >= LONGEST - lengths
    source = ot.where(used, symbols, PAD)
    column = ot.full((count, 1), SEPARATOR)
    # The end mark overwrites the padding that follows the reversed symbols.
    answer = ot.cat([source.flip(1), ot.full((count, 1), PAD)], 1)
    answer = ot.where(ot.arange(LONGEST + 1) == lengths, END, answer)
    line = ot.cat([source, column, answer], 1)
    following = ot.cat([line[:, 1:], ot.full((count, 1), PAD)], 1)
    scored = (ot.arange(REVERSE.length) >= LONGEST) & (following != PAD)
    return line, ot.where(scored, following, IGNORED)


def exact(model: LanguageModel, generator: Generator, count: int = 256) -> float:
    """The share of new lines that the model would write without one wrong token.

    Each prediction is made from the right tokens before it, which is what writing would have seen,
    as long as nothing is wrong.
    """
    line, following = lines(count, generator)
    with ot.no_grad():
        predicted = model.logits(line.to(model.head.weight.device)).argmax(-1).cpu()
    right = (predicted == following) | (following == IGNORED)
    return right.all(1).float().mean().item()


@click.command(help=__doc__)
@options(steps=300, batch=REVERSE.batch, lr=1e-3)
def main(
    device: str, compiled: bool, steps: int, batch: int, lr: float, seed: int, out: Path | None
) -> None:
    ot.manual_seed(seed)
    out = out or Path("runs/reverse")
    generator = Generator().manual_seed(seed)
    model = LanguageModel(REVERSE).to(device)
    opt = optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    step = training_step(model, opt, compiled)
    with Bar(steps, "tokens") as bar:
        for _ in range(steps):
            x, y = (t.to(device) for t in lines(batch, generator))
            bar.advance(step(x, y).item(), x.numel())
    console.print(f"exact lines  {exact(model, generator):.1%} of 256 new ones")
    plot(out / "loss.png", "reverse", {"training": dict(enumerate(bar.losses, start=1))})


if __name__ == "__main__":
    main()
