"""Small forms of five examples and of their twins in PyTorch: one step each, from equal weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import beam
import experts
import gan
import lstm
import numpy as np
import ode
import torch
from models import Config, LanguageModel
from training import training_step

import ostinato as ot
import torch_programs as twins
from ostinato import optim
from torch_models import TorchLanguageModel, copy_weights

Array = Any
Run = Callable[[int], Any]

TINY = Config(dim=16, heads=2, layers=2, classes=12, length=10, batch=3)
TEXT = np.random.default_rng(0).integers(0, TINY.classes, 400)


@dataclass(frozen=True)
class Sides:
    """A program of ours and its twin, which have equal weights: `ours(i)` and `theirs(i)` take
    step i and say what it came to. Their models have the same names of parameters. `step` is the
    function of ours that may be compiled."""

    step: Any
    ours: Run
    theirs: Run
    models: list[tuple[Any, torch.nn.Module]]


Case = Callable[[bool], Sides]


def paired(ours: Any, theirs: torch.nn.Module) -> tuple[Any, Any]:
    copy_weights(ours, theirs)
    return ours, theirs


def both(*arrays: Array) -> tuple[list[Any], list[Any]]:
    """Arrays as our tensors and as PyTorch's."""
    return [ot.tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]


def an_lstm(compiled: bool) -> Sides:
    torch.manual_seed(0)
    sizes = (TINY.classes, 8, 16, 2)
    model, twin = paired(lstm.Reader(*sizes), twins.Reader(*sizes))
    step = lstm.reading_step(model, optim.AdamW(model.parameters(), lr=1e-2), compiled)
    other = twins.reading_step(twin, torch.optim.AdamW(twin.parameters(), lr=1e-2))
    return Sides(
        step,
        _carrying(step, model.start(3), ot.tensor(TEXT)),
        _carrying(other, twin.start(3), torch.tensor(TEXT)),
        [(model, twin)],
    )


def _carrying(step: Any, start: Any, text: Any) -> Run:
    """Steps through chunks of a text, with the state between them."""
    chunks: Iterator[Any] = lstm.chunks(text, 3, 6)
    kept = [start]

    def run(_: int) -> Any:
        loss, kept[0] = step(*next(chunks), kept[0])
        return loss, *kept[0]

    return run


def some_experts(compiled: bool) -> Sides:
    torch.manual_seed(0)
    theirs = twins.ExpertModel(TINY, experts.EXPERTS, experts.TOP, experts.SPARE, experts.BALANCE)
    model, twin = paired(experts.ExpertModel(TINY), theirs)
    # The bias of keys has a gradient of rounding errors alone, which Adam would scale up.
    step = training_step(model, optim.SGD(model.parameters(), lr=0.5), compiled)
    other = twins.training_step(twin, torch.optim.SGD(twin.parameters(), lr=0.5))
    batches = [both(*_excerpts(seed)) for seed in range(8)]
    return Sides(
        step, lambda i: step(*batches[i][0]), lambda i: other(*batches[i][1]), [(model, twin)]
    )


def _excerpts(seed: int) -> tuple[Array, Array]:
    starts = np.random.default_rng(seed).integers(0, 300, (TINY.batch, 1))
    places = starts + np.arange(TINY.length)
    return TEXT[places], TEXT[places + 1]


def a_gan(compiled: bool) -> Sides:
    torch.manual_seed(0)
    draw = paired(gan.artist(24), twins.artist(gan.NOISE, 24, gan.PIXELS))
    judge = paired(gan.critic(24), twins.critic(gan.PIXELS, 24))
    options: dict[str, Any] = {"lr": 1e-2, "betas": (0.5, 0.999)}
    opts = [optim.Adam(m.parameters(), **options) for m in (draw[0], judge[0])]
    others = [torch.optim.Adam(m.parameters(), **options) for m in (draw[1], judge[1])]
    step = gan.duel(draw[0], judge[0], opts[0], opts[1], compiled)
    other = twins.duel(draw[1], judge[1], *others)
    batches = [both(*_images(seed)) for seed in range(8)]
    return Sides(
        step, lambda i: step(*batches[i][0]), lambda i: other(*batches[i][1]), [draw, judge]
    )


def _images(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(-1, 1, (5, gan.PIXELS)).astype(np.float32)
    return pixels, rng.standard_normal((5, gan.NOISE), dtype=np.float32)


def an_ode(compiled: bool) -> Sides:
    torch.manual_seed(0)
    law, twin = paired(ode.Motion(8), twins.Motion(8))
    step = ode.learning_step(law, optim.Adam(law.parameters(), lr=0.1), 1.0, compiled)
    opt = torch.optim.Adam(twin.parameters(), lr=0.1)
    other = twins.learning_step(twin, opt, 1.0, ode.TOLERANCE)
    batches = [both(*_places(seed)) for seed in range(8)]
    return Sides(
        step, lambda i: step(*batches[i][0]), lambda i: other(*batches[i][1]), [(law, twin)]
    )


def _places(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    now, later = rng.uniform(-2, 2, (2, 4, 2)).astype(np.float32)
    return now, later


def a_beam_search(compiled: bool) -> Sides:
    torch.manual_seed(0)
    model, twin = paired(LanguageModel(TINY), TorchLanguageModel(TINY))
    step, other = beam.growing_step(model, compiled), twins.growing_step(twin)
    return Sides(
        step,
        _growing(step, ot, beam.empty_cache(model, 3), ot.no_grad),
        _growing(other, torch, twins.empty_cache(twin, 3), torch.no_grad),
        [(model, twin)],
    )


def _growing(step: Any, library: Any, cache: Any, no_grad: Any) -> Run:
    """Steps of a search with three beams, which are alike at first."""
    kept: list[Any] = [library.full((3,), 1), library.tensor([0.0, -np.inf, -np.inf]), cache]

    def run(i: int) -> Any:
        with no_grad():
            tokens, scores, cache = kept
            *said, tokens, scores, cache = step(tokens, scores, library.tensor(i), cache)
        kept[:] = tokens, scores, cache
        return said

    return run


CASES: dict[str, Case] = {
    "LSTM": an_lstm,
    "experts": some_experts,
    "GAN": a_gan,
    "ODE": an_ode,
    "beam search": a_beam_search,
}
