"""Captured functions against the same functions run eagerly, and what a capture refuses."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot

SCALE = 3.0


class Holder:
    """Something with an attribute that user code reads."""

    def __init__(self) -> None:
        self.rate = 0.5
        self.count = 0


def values(*shape: int, seed: int = 0) -> Any:
    return ot.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-6, atol=1e-6)


PROGRAMS: dict[str, Callable[..., Any]] = {
    "pointwise": lambda x, y: (x * y + 1).tanh(),
    "row softmax": lambda x, y: ot.softmax(x, dim=-1) * y,
    "layer norm": lambda x, y: ot.layer_norm(x, (5,), None, None) + y,
    "reductions": lambda x, y: (x.sum(0), y.mean(), x.amax(1), (x * y).sum()),
    "product": lambda x, y: x @ y.t(),
    "views": lambda x, y: ot.cat([x[1:3], y.reshape(5, 4).t()[:2]], 0),
    "two results of one value": lambda x, y: (x + y, (x + y) * 2),
    "a result that is an input": lambda x, y: (x, y + 1),
    "nested structure": lambda x, y: {"a": [x + 1, None], "b": (y, 2)},
    "where": lambda x, y: ot.where(x > y, x, -y),
    "integers": lambda x, y: (x > 0).sum(1) + 1,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_compiled_function_gives_what_the_eager_one_gives(name: str) -> None:
    fn = PROGRAMS[name]
    compiled = ot.compile(fn)
    for seed in range(3):
        x, y = values(4, 5, seed=seed), values(4, 5, seed=seed + 10)
        want, got = fn(x, y), compiled(x, y)
        if isinstance(want, dict):
            want, got = (want["a"][0], want["b"][0]), (got["a"][0], got["b"][0])
        if not isinstance(want, tuple):
            want, got = (want,), (got,)
        for w, g in zip(want, got, strict=True):
            same(w, g)
    assert len(compiled.variants) == 1


def test_results_of_old_replays_stay() -> None:
    double = ot.compile(lambda x: x * 2)
    kept = [double(ot.tensor([float(i)])) for i in range(20)]
    assert [k.item() for k in kept] == [2.0 * i for i in range(20)]


def test_a_training_step_is_one_region() -> None:
    def make() -> tuple[Any, Any, Callable[..., Any]]:
        w = values(3, 5, seed=5).requires_grad_()
        velocity = ot.zeros_like(w.detach())

        def step(x: Any, rate: float) -> Any:
            loss = ((x @ w.t()).tanh() ** 2).mean()
            loss.backward()
            with ot.no_grad():
                velocity.mul_(0.9).add_(w.grad)
                w.sub_(velocity * rate)
            w.grad = None
            return loss.detach()

        return w, velocity, step

    w, _, eager = make()
    w2, _, plain = make()
    compiled = ot.compile(plain)
    for i in range(6):
        x = values(7, 5, seed=i)
        same(eager(x, 0.1 * (i + 1)), compiled(x, 0.1 * (i + 1)))
        same(w, w2)
    assert w2.grad is None
    assert len(compiled.variants) == 1


def test_gradients_accumulate_over_replays_as_eagerly() -> None:
    w = values(4, seed=3).requires_grad_()
    w2 = w.detach().clone().requires_grad_()
    backward = ot.compile(lambda x: (x * w2 * w2).sum().backward())
    for i in range(4):
        x = values(4, seed=i)
        (x * w * w).sum().backward()
        backward(x)
        same(w.grad, w2.grad)


def test_two_training_steps_are_one_region() -> None:
    def make() -> tuple[Any, Callable[..., Any]]:
        w = values(3, 5, seed=5).requires_grad_()

        def steps(x: Any) -> Any:
            for _ in range(2):
                w.grad = None
                ((x @ w.t()).tanh() ** 2).mean().backward()
                with ot.no_grad():
                    w.sub_(w.grad)
            return (w * w).sum()

        return w, steps

    w, eager = make()
    w2, plain = make()
    compiled = ot.compile(plain)
    for seed in range(3):
        x = values(7, 5, seed=seed)
        want, got = eager(x), compiled(x)
        same(want, got)
        same(w, w2)
        same(w.grad, w2.grad)
        for loss, leaf in ((want, w), (got, w2)):
            leaf.grad = None
            loss.backward()
        same(w.grad, w2.grad)


def test_numbers_stay_live() -> None:
    @ot.compile
    def decayed(x: Any, lr: float, t: int) -> Any:
        return x * (lr * t**0.5)

    x = values(4)
    for t in range(1, 6):
        same(decayed(x, 0.1 * t, t), x * (0.1 * t * t**0.5))
    assert len(decayed.variants) == 1


def test_a_number_that_escapes_is_a_guard() -> None:
    @ot.compile
    def rooted(x: Any, t: int) -> Any:
        return x * math.sqrt(t)

    x = values(4)
    for t in (1, 2, 2, 3, 1):
        same(rooted(x, t), x * math.sqrt(t))
    assert len(rooted.variants) == 3


def test_attributes_globals_and_cells_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder()
    cell = 2.0

    @ot.compile
    def scaled(x: Any) -> Any:
        return (x * holder.rate + SCALE) * cell

    x = values(4)
    same(scaled(x), (x * 0.5 + 3.0) * 2.0)
    holder.rate = 0.25
    same(scaled(x), (x * 0.25 + 3.0) * 2.0)
    monkeypatch.setitem(globals(), "SCALE", 7.0)
    same(scaled(x), (x * 0.25 + 7.0) * 2.0)
    cell = 4.0
    same(scaled(x), (x * 0.25 + 7.0) * 4.0)
    assert len(scaled.variants) == 1


holder = Holder()
losses: list[Any] = []


def counts(x: Any) -> Any:
    holder.count += 1
    return x + 1


def appends(x: Any) -> Any:
    losses.append(x)
    return x + 1


def draws(x: Any) -> Any:
    return x * random.random()


def prints(x: Any) -> Any:
    print("now")
    return x


def needs_value(x: Any) -> Any:
    return x.item()


def branches(x: Any) -> Any:
    return x if x.sum() > 0 else -x


NAMES = ["scale"]


def looks_up(x: Any) -> Any:
    scale = getattr(Holder, NAMES[0], 0.3)
    return x * scale


REFUSED = {
    "a counter": (counts, "a write to `count`"),
    "a list of losses": (appends, "a call of `list.append`"),
    "a random number": (draws, "a call of `Random.random`"),
    "print": (prints, "a call of `print`"),
    "a value": (needs_value, "`.item()` needs a value now"),
    "a branch": (branches, "the truth of a tensor (`if`, `while`, `bool()`) needs a value now"),
    "a number without a source": (looks_up, "neither a literal nor read from"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_replay_could_not_repeat_is_refused(name: str) -> None:
    fn, message = REFUSED[name]
    with pytest.raises(ot.CaptureError) as caught:
        ot.compile(fn, verify="trust")(values(1))
    assert message in str(caught.value)
    line = fn.__code__.co_firstlineno
    assert any(f"test_capture.py:{line + i}" in str(caught.value) for i in range(5))


def test_a_region_without_a_function() -> None:
    w = values(4).requires_grad_()
    x = values(4, seed=1)
    with ot.capture() as region:
        loss = (x * w).exp().sum()
        loss.backward()
    same(loss, (x * w.detach()).exp().sum())
    same(w.grad, (x * w.detach()).exp() * x)
    assert "ot.gradient" in region.ir("captured")


def test_a_new_shape_is_a_new_variant_and_a_captured_function_inlines() -> None:
    inner = ot.compile(lambda x: x.sum(0))
    outer = ot.compile(lambda x: inner(x * 2))
    for n in (2, 3, 2):
        x = values(n, 4)
        same(outer(x), (x * 2).sum(0))
    assert len(outer.variants) == 2
    assert not inner.variants


def test_train_and_eval_are_variants_and_dropout_draws_anew() -> None:
    from ostinato import nn

    drop = nn.Dropout(0.5)
    compiled = ot.compile(lambda x: drop(x))
    x = ot.ones(1000)
    first, second = compiled(x), compiled(x)
    assert 300 < (first == 0).sum().item() < 700
    assert (first != second).any().item()
    drop.p = 0.9
    assert (compiled(x) == 0).sum().item() > 800
    drop.eval()
    same(compiled(x), x)
    drop.train()
    assert (compiled(x) == 0).any().item()
    assert len(compiled.variants) == 2


def test_random_numbers_are_those_of_eager_calls() -> None:
    def fn(x: Any) -> Any:
        return ot.dropout(x, 0.3, True) + ot.rand(1000)

    x = values(1000)
    ot.manual_seed(7)
    eager = [fn(x) for _ in range(3)]
    ot.manual_seed(7)
    compiled = ot.compile(fn)
    for want in eager:
        same(compiled(x), want)


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b"junk", lambda b: b[:-1] + b"!"])
def test_a_damaged_cache_entry_is_rebuilt(
    damage: Callable[[bytes], bytes], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    x = values(4)

    def fn(x: Any) -> Any:
        return x * 2 + 1

    same(ot.compile(fn)(x), fn(x))
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(damage(entry.read_bytes()))
    if entry.read_bytes().startswith(b"ostinato"):
        with pytest.warns(UserWarning, match="is rebuilt"):
            same(ot.compile(fn)(x), fn(x))
    else:
        with pytest.warns(UserWarning, match="is rebuilt"):
            same(ot.compile(fn)(x), fn(x))
    again = ot.compile(fn)
    same(again(x), fn(x))
    assert "loaded from the cache" in str(again.explain())


def test_a_cache_that_cannot_be_written_is_said_once(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("OSTINATO_CACHE", str(blocked / "cache"))
    x = values(3)
    with pytest.warns(UserWarning, match="not cached"):
        same(ot.compile(lambda x: x - 1)(x), x - 1)
