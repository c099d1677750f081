"""Many sequence lengths through one function, against one compiled for each length."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from measure import in_pairs  # isort: skip  # the examples are found from here on
from models import Config, LanguageModel
from training import training_step

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import optim

COUNT, LEAST, MOST = 20, 16, 256
CONFIG = Config(dim=64, heads=4, layers=2, classes=128, length=2 * MOST, batch=8)
CALLS = 4


@dataclass(frozen=True)
class Lengths:
    """Seconds of a call for each length, of the one function and of one compiled for the length;
    and how many variants the one function has."""

    any_size: dict[int, float]
    static: dict[int, float]
    ratios: dict[int, float]
    """How much longer a call of the one function takes than one of the other beside it."""
    variants: int


def lengths(rounds: int) -> Iterator[tuple[str, Lengths]]:
    """Measures one function after the other."""
    order = random.Random(0).sample(range(LEAST, MOST + 1), COUNT)
    for name, make in FUNCTIONS.items():
        fn = make()
        shared = ot.compile(fn)
        for n in order:
            shared(*tokens(n))
        found = Lengths({}, {}, {}, len(shared.ledger))
        for n in sorted(order):
            given = tokens(n)
            one, own = (functools.partial(ended, f, given) for f in (shared, ot.compile(fn)))
            found.any_size[n], found.static[n], found.ratios[n] = in_pairs(one, own, rounds * CALLS)
        yield name, found


def ended(compiled: Callable[..., Any], given: tuple[Any, Any]) -> None:
    """A call, until it has ended."""
    compiled(*given)
    if given[0].device.type == "cuda":
        ot.cuda.synchronize()


def tokens(length: int) -> tuple[Any, Any]:
    """Random sequences, and what follows each token."""
    x = ot.randint(0, CONFIG.classes, (CONFIG.batch, length + 1))
    return x[:, :-1].clone(), x[:, 1:].clone()


def a_forward() -> Callable[..., Any]:
    """A language model's probabilities, without gradients."""
    model = LanguageModel(CONFIG)

    def forward(x: Any, y: Any) -> Any:
        with ot.no_grad():
            return F.softmax(model.logits(x), -1).mean(1)

    return forward


def a_step() -> Callable[..., Any]:
    """A training step of it."""
    model = LanguageModel(CONFIG)
    return training_step(model, optim.AdamW(model.parameters(), lr=1e-3), compiled=False)


FUNCTIONS = {"forward": a_forward, "training step": a_step}
