"""A compiled forward belongs to the tape outside: values and gradients against torch, what is kept
for backward, and what is refused."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF

import ostinato as ot
import ostinato.nn.functional as F
from both_libraries import close, pairs, weighted
from ostinato import nn, optim

SHAPES = ((4, 6), (6,), (6, 6))

FORWARDS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "one op": lambda lib, x, b, w: x * b,
    "a chain": lambda lib, x, b, w: ((x + b).tanh() * x).exp().sin(),
    "a layer": lambda lib, x, b, w: (x @ w + b).relu(),
    "two layers": lambda lib, x, b, w: ((x @ w).tanh() @ w.t() + b).sigmoid(),
    "gelu": lambda lib, x, b, w: (F if lib is ot else TF).gelu(x @ w) * b,
    "softmax": lambda lib, x, b, w: lib.softmax(x @ w, -1) * b,
    "log_softmax": lambda lib, x, b, w: lib.log_softmax(x * b, -1),
    "layer norm": lambda lib, x, b, w: (F if lib is ot else TF).layer_norm(x @ w, (6,), b, b),
    "reductions": lambda lib, x, b, w: (x * b).sum(0) + x.mean(1, keepdim=True) * w.amax(),
    "variance": lambda lib, x, b, w: (x @ w).var(1) + x.std(1),
    "views": lambda lib, x, b, w: lib.cat([x.t()[1:5], w[:4, :4]], 1).reshape(4, -1)[:, ::3] * b[2],
    "rows picked": lambda lib, x, b, w: w[lib.tensor([1, 0, 3])] * b + w[lib.tensor([2, 2, 1])],
    "where": lambda lib, x, b, w: lib.where(x > 0, x * b, -x),
    "a result twice": lambda lib, x, b, w: (x * b + w.sum()) * (x * b),
    "in place inside": lambda lib, x, b, w: (x * 2).mul_(b).add_(w.sum()).exp(),
    "a detached factor": lambda lib, x, b, w: x * b.detach() + (x * w.sum().detach()),
    "cumsum": lambda lib, x, b, w: (x * b).cumsum(1),
}


@pytest.mark.parametrize("name", FORWARDS)
def test_gradients_through_a_compiled_forward_are_torchs(name: str) -> None:
    fn = FORWARDS[name]
    compiled = ot.compile(lambda x, b, w: fn(ot, x, b, w))
    for seed in (0, 10):
        ours, theirs = pairs(*SHAPES, seed=seed)
        y, want = compiled(*ours), fn(torch, *theirs)
        close(y, want)
        assert y.requires_grad and not y.is_leaf
        weighted(ot, y * y).backward()
        weighted(torch, want * want).backward()
        for a, b in zip(ours, theirs, strict=True):
            assert (a.grad is None) == (b.grad is None)
            if b.grad is not None:
                close(a.grad, b.grad)
    assert len(compiled.variants) == 1


@pytest.mark.parametrize("frozen", range(3))
def test_only_what_requires_grad_gets_a_gradient(frozen: int) -> None:
    fn = FORWARDS["two layers"]
    compiled = ot.compile(lambda x, b, w: fn(ot, x, b, w))
    ours, theirs = pairs(*SHAPES)
    ours[frozen].requires_grad = theirs[frozen].requires_grad = False
    weighted(ot, compiled(*ours)).backward()
    weighted(torch, fn(torch, *theirs)).backward()
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if i == frozen:
            assert a.grad is None
        else:
            assert b.grad is not None
            close(a.grad, b.grad)


def results(lib: Any, x: Any, w: Any) -> tuple[Any, ...]:
    h = x @ w
    return h.tanh(), h.sum(1), h.detach() * 2, h.argmax(1), h > 0, (x * x).mean()


@pytest.mark.parametrize("used", [(0,), (1,), (5,), (0, 5), (0, 1, 5)])
def test_of_several_results_any_may_be_used(used: tuple[int, ...]) -> None:
    compiled = ot.compile(lambda x, w: results(ot, x, w))
    ours, theirs = pairs((3, 4), (4, 5))
    got, want = compiled(*ours), results(torch, *theirs)
    assert [g.requires_grad for g in got] == [w.requires_grad for w in want]
    sum((weighted(ot, got[i]) for i in used), start=ot.tensor(0.0)).backward()
    sum((weighted(torch, want[i]) for i in used), start=torch.tensor(0.0)).backward()
    for a, b in zip(ours, theirs, strict=True):
        assert (a.grad is None) == (b.grad is None)
        if b.grad is not None:
            close(a.grad, b.grad)


def test_compiled_functions_follow_one_another_and_eager_ops() -> None:
    ours, theirs = pairs((3, 4), (4,))
    f = ot.compile(lambda x, b: (x * b).sin())
    y = f(f(ours[0], ours[1]) + ours[1].exp(), ours[1])
    t = ((theirs[0] * theirs[1]).sin() + theirs[1].exp()) * theirs[1]
    weighted(ot, y).backward()
    weighted(torch, t.sin()).backward()
    for a, b in zip(ours, theirs, strict=True):
        assert b.grad is not None
        close(a.grad, b.grad)


def net(lib: Any) -> Any:
    """Two layers and a norm, of either library."""
    make: Any = nn if lib is ot else torch.nn
    return make.Sequential(
        make.Linear(6, 16), make.GELU(), make.LayerNorm(16), make.Linear(16, 5)
    ).double()


def nets() -> tuple[Any, torch.nn.Module]:
    torch.manual_seed(0)
    ours, theirs = net(ot), net(torch)
    with ot.no_grad():
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            a.copy_(ot.from_numpy(b.detach().numpy().copy()))
    return ours, theirs


@pytest.mark.parametrize("way", ["a function", "a module"])
def test_a_model_is_compiled_and_trained_outside(way: str) -> None:
    ours, theirs = nets()
    model = ot.compile(ours) if way == "a module" else ot.compile(lambda x: ours(x))
    opt, opt2 = optim.AdamW(ours.parameters(), 0.05), torch.optim.AdamW(theirs.parameters(), 0.05)
    target = np.array([0, 3, 2, 4, 1, 1, 0])
    for seed in range(6):
        x = np.random.default_rng(seed).standard_normal((7, 6))
        opt.zero_grad()
        opt2.zero_grad()
        loss = F.cross_entropy(model(ot.from_numpy(x)), ot.from_numpy(target))
        want = TF.cross_entropy(theirs(torch.tensor(x)), torch.tensor(target))
        loss.backward()
        want.backward()
        opt.step()
        opt2.step()
        close(loss, want)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(a, b)
    assert len(model.variants) == 1


def test_gradients_accumulate_over_calls() -> None:
    (w,), (v,) = pairs((4,))
    compiled = ot.compile(lambda x: (x * w * w).sum())
    for seed in range(4):
        (x,), (z,) = pairs((4,), seed=seed + 5)
        compiled(x).backward()
        (z * v * v).sum().backward()
    assert v.grad is not None
    close(w.grad, v.grad)


def test_dropout_has_one_mask_for_both_ways() -> None:
    drop = nn.Dropout(0.5)
    compiled = ot.compile(lambda x: drop(x * 3) * x)
    masks: list[Any] = []
    for _ in range(2):
        x = ot.ones(1000).requires_grad_()
        y = compiled(x)
        y.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), 2 * y.detach().numpy())
        masks.append(y.detach().numpy() != 0)
    assert 300 < masks[0].sum() < 700
    assert (masks[0] != masks[1]).any()


def test_an_argument_changed_in_place_has_the_gradient_of_the_change() -> None:
    def change(x: Any, w: Any) -> Any:
        x.mul_(w)
        return x.exp()

    ours, theirs = pairs((4,), (4,))
    compiled = ot.compile(change)
    a, b = ours[0] * 1, theirs[0] * 1
    y, want = compiled(a, ours[1]), change(b, theirs[1])
    close(a, b)
    (weighted(ot, y) + weighted(ot, a * a)).backward()
    (weighted(torch, want) + weighted(torch, b * b)).backward()
    for g, t in zip(ours, theirs, strict=True):
        assert t.grad is not None
        close(g.grad, t.grad)


def test_state_changed_in_place_is_kept_as_it_was_for_backward() -> None:
    (w,), (v,) = pairs((4,))
    state, other = ot.ones(4, dtype=ot.float64), torch.ones(4, dtype=torch.float64)

    def step(w: Any, state: Any, no_grad: Any) -> Any:
        y = w * (state * 1)
        with no_grad():
            state.mul_(0.5).add_(w)
        return y

    compiled = ot.compile(lambda w: step(w, state, ot.no_grad))
    for _ in range(3):
        compiled(w).exp().sum().backward()
        step(v, other, torch.no_grad).exp().sum().backward()
        close(state, other)
        assert v.grad is not None
        close(w.grad, v.grad)


def test_without_grad_nothing_is_kept_or_tied() -> None:
    ours, _ = pairs(*SHAPES)
    compiled = ot.compile(lambda x, b, w: FORWARDS["gelu"](ot, x, b, w))
    with ot.no_grad():
        assert not compiled(*ours).requires_grad
    (variant,) = compiled.variants
    assert variant.built.backward is None
    assert compiled(*ours).requires_grad
    assert len(compiled.variants) == 2
    detached = compiled(*(t.detach() for t in ours))
    assert not detached.requires_grad


def test_a_graph_that_is_retained_gives_its_gradient_again() -> None:
    (x,), (t,) = pairs((4,))
    y, z = ot.compile(lambda x: x * x)(x).sum(), (t * t).sum()
    for _ in range(3):
        y.backward(retain_graph=True)
        z.backward(retain_graph=True)
    assert t.grad is not None
    close(x.grad, t.grad)
    again = ot.autograd.gradients(y, [x])
    close(again[0], 2 * t)


def test_both_programs_come_from_one_entry_of_the_cache(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))

    def gradient() -> tuple[Any, Any]:
        (x,), _ = pairs((5,))
        compiled = ot.compile(lambda x: (x.sin() * x).sum())
        compiled(x).backward()
        return compiled, x.grad.numpy()

    compiled, want = gradient()
    assert "loaded" not in str(compiled.explain())
    (entry,) = tmp_path.iterdir()
    compiled, got = gradient()
    assert "loaded from the cache" in str(compiled.explain())
    np.testing.assert_array_equal(got, want)
    entry.write_bytes(entry.read_bytes()[:-5])
    with pytest.warns(UserWarning, match="is rebuilt"):
        compiled, got = gradient()
    assert "loaded" not in str(compiled.explain())
    np.testing.assert_array_equal(got, want)


def test_threads_call_one_compiled_function() -> None:
    compiled = ot.compile(lambda x, w: (x @ w).tanh())
    found: dict[int, Any] = {}

    def work(seed: int) -> None:
        (x, w), _ = pairs((20, 30), (30, 10), seed=seed)
        for _ in range(20):
            x.grad = w.grad = None
            weighted(ot, compiled(x, w)).backward()
        found[seed] = (x.grad, w.grad)

    work(0)
    threads = [threading.Thread(target=work, args=(10 * i,)) for i in range(1, 4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for seed, grads in found.items():
        _, (x, w) = pairs((20, 30), (30, 10), seed=seed)
        weighted(torch, (x @ w).tanh()).backward()
        for got, want in zip(grads, (x.grad, w.grad), strict=True):
            assert want is not None
            close(got, want)


def test_what_backward_keeps_goes_with_the_results() -> None:
    """A result that its own gradient reads is no part of a circle."""
    w = ot.ones(3, requires_grad=True)
    compiled = ot.compile(lambda x: ot.exp(w * x))
    compiled(ot.ones(3))  # whose tensors the capture knows
    array = np.ones(3, np.float32)
    result = compiled(ot.from_numpy(array))
    seen = weakref.ref(array)
    del array
    assert result.requires_grad and seen() is not None
    del result
    assert seen() is None
