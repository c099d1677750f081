"""Times of five of the examples: a step compiled, eager, and of the twin in PyTorch, one after the
other on the same data in each of many rounds; ratios are medians of those within a round."""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from measure import Rounds, in_rounds  # isort: skip  # the examples are found from here on
import beam
import experts
import gan
import lstm
import minigpt
import numpy as np
import ode
import torch
from models import LanguageModel
from training import training_step

import ostinato as ot
import torch_programs as twins
from ostinato import optim
from torch_models import TorchLanguageModel, copy_weights

CLASSES = 128  # as many characters as a corpus has
SIDES = ("compiled", "eager", "torch")
LEAST, MOST = 4, 40  # rounds for one that is asked for
SPENT = 0.2  # seconds of that
WARM_UP = 24  # the ODE's regions are found by and by
Step = Callable[[], object]
Made = tuple[Any, Step]  # the function that may be compiled, and a call of it


@dataclass(frozen=True)
class Found:
    """Seconds of a step of each side, and how many breaks the compiled one has."""

    rounds: Rounds
    breaks: int


def programs(rounds: int) -> Iterator[tuple[str, Found]]:
    """Measures one program after the other."""
    for name, make in PROGRAMS.items():
        made: list[Made] = [make(ot, True), make(ot, False), make(torch, False)]
        sides = {s: finished(s, step) for s, (_, step) in zip(SIDES, made, strict=True)}
        for _ in range(WARM_UP):
            of_all(sides)
        count = rounds * max(LEAST, min(MOST, int(SPENT / of_all(sides))))
        yield name, Found(in_rounds(sides, count, 1), len(made[0][0].breaks))


def of_all(sides: Mapping[str, Step]) -> float:
    """The seconds of a step of every side; short ones scatter more, so they get more rounds."""
    started = time.perf_counter()
    for step in sides.values():
        step()
    return time.perf_counter() - started


def finished(side: str, step: Step) -> Step:
    """A call that waits for its work where a GPU does it."""
    if torch.get_default_device().type == "cpu":
        return step
    wait = torch.cuda.synchronize if side == "torch" else ot.cuda.synchronize

    def call() -> object:
        result = step()
        wait()
        return result

    return call


def of_twin(ours: Any, theirs: torch.nn.Module) -> Any:
    """Our model with the weights of PyTorch's."""
    copy_weights(ours, theirs)
    return ours


def an_lstm(library: Any, compiled: bool) -> Made:
    """Chunks of random text."""
    sizes = (CLASSES, lstm.DIM, lstm.HIDDEN, lstm.LAYERS)
    torch.manual_seed(0)
    model: Any = twins.Reader(*sizes)
    if library is torch:
        opt: Any = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        step = twins.reading_step(model, opt)
    else:
        model = of_twin(lstm.Reader(*sizes), model)
        step = lstm.reading_step(model, optim.AdamW(model.parameters(), lr=1e-3), compiled)
    text = library.tensor(np.random.default_rng(0).integers(0, CLASSES, 20_000))
    chunks = lstm.chunks(text, 16, lstm.CHUNK)
    state = [model.start(16)]

    def call() -> object:
        loss, state[0] = step(*next(chunks), state[0])
        return loss

    return step, call


def some_experts(library: Any, compiled: bool) -> Made:
    """One batch of random text."""
    config = replace(experts.MIXTURE, classes=CLASSES)
    given = (experts.EXPERTS, experts.TOP, experts.SPARE, experts.BALANCE)
    torch.manual_seed(0)
    model: Any = twins.ExpertModel(config, *given)
    if library is torch:
        opt: Any = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        step: Any = twins.training_step(model, opt)
    else:
        model = of_twin(experts.ExpertModel(config), model)
        step = training_step(model, optim.AdamW(model.parameters(), lr=1e-3), compiled)
    shape = (2, config.batch, config.length)
    x, y = library.tensor(np.random.default_rng(0).integers(0, CLASSES, shape))
    return step, lambda: step(x, y)


def a_gan(library: Any, compiled: bool) -> Made:
    """One batch of random pixels."""
    torch.manual_seed(0)
    draw: Any = twins.artist(gan.NOISE, gan.WIDTH, gan.PIXELS)
    judge: Any = twins.critic(gan.PIXELS, gan.WIDTH)
    options: dict[str, Any] = {"lr": 2e-4, "betas": (0.5, 0.999)}
    if library is torch:
        opts = [torch.optim.Adam(m.parameters(), fused=True, **options) for m in (draw, judge)]
        step: Any = twins.duel(draw, judge, opts[0], opts[1])
    else:
        draw = of_twin(gan.artist(gan.WIDTH), draw)
        judge = of_twin(gan.critic(gan.WIDTH), judge)
        adams = [optim.Adam(m.parameters(), **options) for m in (draw, judge)]
        step = gan.duel(draw, judge, adams[0], adams[1], compiled)
    rng = np.random.default_rng(0)
    real = library.tensor(rng.uniform(-1, 1, (64, gan.PIXELS)).astype(np.float32))
    noise = library.tensor(rng.standard_normal((64, gan.NOISE), dtype=np.float32))
    return step, lambda: step(real, noise)


def an_ode(library: Any, compiled: bool) -> Made:
    """Batches of places on the spiral, the same for all sides."""
    torch.manual_seed(0)
    law: Any = twins.Motion(ode.WIDTH)
    span = ode.SPAN / ode.TIMES * ode.EVERY
    if library is torch:
        opt: Any = torch.optim.Adam(law.parameters(), lr=3e-3, fused=True)
        step: Any = twins.learning_step(law, opt, span, ode.TOLERANCE)
    else:
        law = of_twin(ode.Motion(ode.WIDTH), law)
        step = ode.learning_step(law, optim.Adam(law.parameters(), lr=3e-3), span, compiled)
    places = library.tensor(ode.spiral().cpu().numpy())
    rng = np.random.default_rng(0)

    def call() -> object:
        starts = library.tensor(rng.integers(0, ode.TIMES - ode.EVERY, ode.BATCH))
        return step(places[starts], places[starts + ode.EVERY])

    return step, call


def a_beam_search(library: Any, compiled: bool) -> Made:
    """Characters one after the other, from the first place on again where there is no more."""
    config = replace(minigpt.MINIGPT, classes=CLASSES)
    torch.manual_seed(0)
    model: Any = TorchLanguageModel(config)
    if library is torch:
        step: Any = twins.growing_step(model)
        cache: Any = twins.empty_cache(model, beam.BEAMS)
    else:
        model = of_twin(LanguageModel(config), model)
        step = beam.growing_step(model, compiled)
        cache = beam.empty_cache(model, beam.BEAMS)
    kept: list[Any] = [library.full((beam.BEAMS,), 1), library.zeros(beam.BEAMS), cache]
    places = [library.tensor(i) for i in range(config.length)]
    count = [0]

    def call() -> object:
        with library.no_grad():
            place = places[count[0] % len(places)]
            *said, kept[0], kept[1], kept[2] = step(kept[0], kept[1], place, kept[2])
        count[0] += 1
        return said

    return step, call


PROGRAMS: dict[str, Callable[[Any, bool], Made]] = {
    "LSTM": an_lstm,
    "experts": some_experts,
    "GAN": a_gan,
    "ODE": an_ode,
    "beam search": a_beam_search,
}
