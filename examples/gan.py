"""Teaches two networks to draw digits: one draws, and one tells its drawings from real ones.

The real ones are the 8x8 digits that come with scikit-learn (Goodfellow et al. 2014). Leaves the
losses of both and some drawings in --out.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import click
import numpy as np
from images import digits
from training import Bar, console, options, plot
from vit import epochs, tensors

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import Generator, Tensor, nn, optim
from ostinato.data import DataLoader

NOISE, PIXELS, WIDTH = 32, 64, 256
INKS = " .:-=+*#%@"
Step = Callable[[Tensor, Tensor], tuple[float, float]]


def artist(width: int) -> nn.Module:
    """Noise (n, NOISE) to pixels (n, PIXELS) from -1 to 1."""
    return nn.Sequential(
        nn.Linear(NOISE, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2),
        nn.Linear(width, PIXELS), nn.Tanh(),
    )  # fmt: skip


def critic(width: int) -> nn.Module:
    """Pixels (n, PIXELS) to the logit (n, 1) that they are real."""
    return nn.Sequential(
        nn.Linear(PIXELS, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2),
        nn.Linear(width, 1),
    )  # fmt: skip


def duel(
    draw: nn.Module, judge: nn.Module, opt_draw: optim.Optimizer, opt_judge: optim.Optimizer,
    compiled: bool,
) -> Step:  # fmt: skip
    """One step of each network from real pixels and noise: the losses of critic and artist."""

    def step(real: Tensor, noise: Tensor) -> tuple[float, float]:
        drawn = draw(noise)
        says_real, says_drawn = judge(real), judge(drawn.detach())
        judge_loss = F.binary_cross_entropy_with_logits(
            says_real, ot.ones_like(says_real)
        ) + F.binary_cross_entropy_with_logits(says_drawn, ot.zeros_like(says_drawn))
        opt_judge.zero_grad()
        judge_loss.backward()
        opt_judge.step()

        says_drawn = judge(drawn)
        draw_loss = F.binary_cross_entropy_with_logits(says_drawn, ot.ones_like(says_drawn))
        opt_draw.zero_grad()
        draw_loss.backward()
        opt_draw.step()
        return judge_loss.item(), draw_loss.item()

    return ot.compile(step) if compiled else step


def show(images: Tensor) -> str:
    """Images (n, PIXELS) beside each other, as text."""
    inks = ((images.cpu().numpy() + 1) * (len(INKS) / 2)).astype(int).clip(0, len(INKS) - 1)
    side = int(PIXELS**0.5)
    rows = np.array(list(INKS))[inks].reshape(-1, side, side).transpose(1, 0, 2)
    return "\n".join("  ".join("".join(line) for line in row) for row in rows)


@click.command(help=__doc__)
@options(steps=2000, batch=64, lr=2e-4)
def main(
    device: str, compiled: bool, steps: int, batch: int, lr: float, seed: int, out: Path | None
) -> None:
    ot.manual_seed(seed)
    out = out or Path("runs/gan")
    generator = Generator().manual_seed(seed)
    training = tensors(digits(seed)[0])
    loader = DataLoader(training, batch, shuffle=True, drop_last=True, generator=generator)
    draw, judge = artist(WIDTH).to(device), critic(WIDTH).to(device)
    opt_draw, opt_judge = (
        optim.Adam(model.parameters(), lr=lr, betas=(0.5, 0.999)) for model in (draw, judge)
    )
    step = duel(draw, judge, opt_draw, opt_judge, compiled)
    judged: list[float] = []
    with Bar(steps, "images") as bar:
        for x, _ in islice(epochs(loader), steps):
            noise = ot.randn(batch, NOISE, generator=generator).to(device)
            judge_loss, draw_loss = step(x.flatten(1).to(device), noise)
            judged.append(judge_loss)
            bar.advance(draw_loss, batch)
    with ot.no_grad():
        drawings = show(draw(ot.randn(6, NOISE, generator=generator).to(device)))
    curves = {"artist": bar.losses, "critic": judged}
    plot(out / "loss.png", "GAN", {k: dict(enumerate(v, start=1)) for k, v in curves.items()})
    (out / "drawings.txt").write_text(drawings + "\n", encoding="utf-8")
    console.print(drawings, markup=False)


if __name__ == "__main__":
    main()
