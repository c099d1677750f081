"""Dumps for the tests of the viewer: a training step, and a function differentiated outside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import nn, optim


def dump(folder: Path) -> None:
    """Leaves what `OSTINATO_DUMP` makes of two functions in `folder`, with the single rewrites of
    the training step."""
    with patch.dict(os.environ, {"OSTINATO_DUMP": str(folder)}):
        _differentiate()
        os.environ["OSTINATO_DUMP_REWRITES"] = "1"
        _train()


def _train() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3))
    opt = optim.AdamW(model.parameters(), lr=1e-2)

    @ot.compile
    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss.detach()

    step(ot.randn(6, 4), ot.randint(0, 3, (6,)))


def _differentiate() -> None:
    @ot.compile
    def scaled(x: Any) -> Any:
        return (F.softmax(x, dim=-1) * 2).sum()

    scaled(ot.randn(5, 7, requires_grad=True)).backward()
