"""Learns the law of motion of a spiral from where a point on it is at some times.

The law is a small network, and what it says of later times is the solution of a differential
equation (Chen et al. 2018). The solver chooses the length of each step by an estimate of its error:
the pair of orders 3 and 2 of Bogacki and Shampine (1989).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from training import Bar, console, options, plot

import ostinato as ot
from ostinato import Generator, Tensor, nn, optim

WIDTH, TIMES, SPAN, EVERY = 50, 200, 8.0, 5
TOLERANCE, BATCH = 3e-3, 16
Law = Callable[[Tensor], Tensor]
Step = Callable[[Tensor, Tensor], float]


class Motion(nn.Module):
    """The velocity at a place: what the network learns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(2, width), nn.Linear(width, 2)

    def forward(self, y: Tensor) -> Tensor:
        """Places (n, 2) to velocities (n, 2)."""
        return self.outer(ot.tanh(self.inner(y**3)))


def true_motion(y: Tensor) -> Tensor:
    """The velocity that is to be learnt: a spiral inwards."""
    return y**3 @ ot.tensor([[-0.1, 2.0], [-2.0, -0.1]])


def solve(law: Law, y: Tensor, span: float, tolerance: float) -> Tensor:
    """Where y (n, 2) is after `span`, moving with the velocity that `law` gives."""
    t, h = 0.0, span
    k1 = law(y)
    while t < span:
        h = min(h, span - t)
        k2 = law(y + h / 2 * k1)
        k3 = law(y + h * 3 / 4 * k2)
        moved = y + h / 9 * (2 * k1 + 3 * k2 + 4 * k3)
        k4 = law(moved)
        away = h / 72 * (-5 * k1 + 6 * k2 + 8 * k3 - 9 * k4)
        error = away.abs().amax().item()
        if error < tolerance:
            t, y, k1 = t + h, moved, k4
        h *= min(4.0, max(0.2, 0.9 * (tolerance / max(error, 1e-12)) ** (1 / 3)))
    return y


def learning_step(law: Motion, opt: optim.Optimizer, span: float, compiled: bool) -> Step:
    """One step from places (n, 2) and where they are `span` later to the loss."""

    def step(y: Tensor, later: Tensor) -> float:
        loss = (solve(law, y, span, TOLERANCE) - later).abs().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss.item()

    return ot.compile(step) if compiled else step


def spiral() -> Tensor:
    """Places (TIMES, 2) on the spiral, equally far apart in time."""
    places = [ot.tensor([[2.0, 0.0]])]
    for _ in range(TIMES - 1):
        places.append(solve(true_motion, places[-1], SPAN / TIMES, 1e-5))
    return ot.cat(places)


@click.command(help=__doc__)
@options(steps=300, batch=BATCH, lr=3e-3)
def main(
    device: str, compiled: bool, steps: int, batch: int, lr: float, seed: int, out: Path | None
) -> None:
    ot.manual_seed(seed)
    out = out or Path("runs/ode")
    generator = Generator().manual_seed(seed)
    places = spiral().to(device)
    law = Motion(WIDTH).to(device)
    opt = optim.Adam(law.parameters(), lr=lr)
    step = learning_step(law, opt, SPAN / TIMES * EVERY, compiled)
    with Bar(steps, "places") as bar:
        for _ in range(steps):
            starts = ot.randint(0, TIMES - EVERY, (batch,), generator=generator).to(device)
            bar.advance(step(places[starts], places[starts + EVERY]), batch)
    with ot.no_grad():
        whole = solve(law, places[:1], SPAN, TOLERANCE)
    off = np.abs((whole - places[-1:]).cpu().numpy()).max()
    console.print(f"after {SPAN:g} s the learnt spiral is off by {off:.3f}")
    plot(out / "loss.png", "neural ODE", {"training": dict(enumerate(bar.losses, start=1))})


if __name__ == "__main__":
    main()
