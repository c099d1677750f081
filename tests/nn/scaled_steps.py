"""Training in float16 whose gradients overflow in some steps, in Ostinato and in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ostinato import nn as our_nn
from ostinato import optim as our_optim

NUMBERS = np.random.default_rng(5)
W = NUMBERS.standard_normal((4, 8)).astype("float32")
X = NUMBERS.standard_normal((6, 8)).astype("float32")
# Of the inputs of each step: float16 holds 65504 at most.
FACTORS = (1.0, 1.0, 3e4, 1.0, 1.0, 1.0, 3e4, 1.0)


def scaled_steps(
    lib: Any, device: str, compiled: Callable[[Any], Any]
) -> tuple[list[tuple[float, Any]], int]:
    """The scale and the weights after each step, and how many variants were compiled."""
    ours = lib.__name__ == "ostinato"
    nn, optim = (our_nn, our_optim) if ours else (lib.nn, lib.optim)
    weight = nn.Parameter(lib.tensor(W).to(device))
    opt = optim.SGD([weight], lr=0.05)
    scaler = lib.amp.GradScaler(device, init_scale=1024.0, growth_interval=3)

    def losses(x: Any) -> Any:
        with lib.autocast(device, lib.float16):
            loss = (nn.functional.linear(x, weight) ** 2).mean()
        scaler.scale(loss).backward()
        return loss.detach()

    run = compiled(losses)
    seen: list[tuple[float, Any]] = []
    for factor in FACTORS:
        opt.zero_grad()
        run(lib.tensor(X * np.float32(factor)).to(device))
        scaler.step(opt)
        scaler.update()
        seen.append((scaler.get_scale(), weight.detach().cpu().numpy().copy()))
    return seen, len(getattr(run, "variants", ()))
