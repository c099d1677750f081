"""Leaves and flags at the edge of a region: its own leaves, functional gradients inside it, what it
leaves on the tape, and which flags it may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
from both_libraries import close, pair, pairs, weighted


def test_what_a_capture_leaves_behind_belongs_to_the_tape() -> None:
    ours, theirs = pairs((3, 4), (4,))
    with ot.capture():
        h = ours[0] * ours[1]
        y = h.exp().sum(1)
    t = (theirs[0] * theirs[1]).exp().sum(1)
    close(y, t)
    assert not h.is_leaf
    (weighted(ot, y) + weighted(ot, h)).backward()
    (weighted(torch, t) + weighted(torch, theirs[0] * theirs[1])).backward()
    for a, b in zip(ours, theirs, strict=True):
        assert b.grad is not None
        close(a.grad, b.grad)


def cubed(x: Any) -> Any:
    return (x * x * x).sum()


def own_leaf(x: Any, w: Any) -> Any:
    z = x.detach().clone().requires_grad_()
    (z * w).sum().backward()
    return z.grad


def own_zeros(x: Any, w: Any) -> Any:
    lib: Any = ot if isinstance(x, ot.Tensor) else torch
    z = lib.zeros(4, requires_grad=True)
    for _ in range(2):
        ((z + x.detach()) * w.detach()).exp().sum().backward()
    return z.grad


def detached_view(x: Any, w: Any) -> Any:
    z = x.detach()
    z.requires_grad = True
    loss = (z * w.detach() + x.detach()).square().sum()
    loss.backward()
    return loss.detach(), z.grad, x * 2


OWN: dict[str, Callable[..., Any]] = {
    "a leaf that the region makes": own_leaf,
    "one that it makes from nothing": own_zeros,
    "a view of an input": detached_view,
}


@pytest.mark.parametrize("name", OWN)
def test_a_region_has_leaves_of_its_own(name: str) -> None:
    x, tx = pair(4)
    w, tw = pair(4, seed=1)
    fn = ot.compile(OWN[name])
    for _ in range(3):
        for given in (w, tw):
            given.grad = None
        same = fn(x, w), OWN[name](tx, tw)
        for a, b in zip(*((s if isinstance(s, tuple) else (s,)) for s in same), strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)
        assert (w.grad is None) == (tw.grad is None)
        if tw.grad is not None:
            np.testing.assert_allclose(w.grad.numpy(), tw.grad.numpy(), rtol=1e-12)
    assert x.grad is None and len(fn.variants) == 1


FUNCTIONAL: dict[str, Callable[[Any], Any]] = {
    "grad": ot.grad(cubed),
    "value_and_grad": lambda x: ot.value_and_grad(cubed)(x)[1],
    "vjp": lambda x: ot.vjp(cubed, x)[1](ot.tensor(1.0, dtype=ot.float64))[0],
}


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functional_gradients_are_captured(name: str) -> None:
    fn = ot.compile(FUNCTIONAL[name])
    for seed in (0, 1):
        array = np.random.default_rng(seed).standard_normal(5)
        np.testing.assert_allclose(fn(ot.from_numpy(array)).numpy(), 3 * array**2, rtol=1e-12)
    assert len(fn.variants) == 1


@pytest.mark.parametrize("on", [True, False])
def test_a_region_changes_no_flag_of_what_is_outside(on: bool) -> None:
    w = ot.ones(2, requires_grad=not on)

    def sets(x: Any) -> Any:
        w.requires_grad_(on)
        return x * w

    with pytest.raises(ot.CaptureError) as refusal:
        ot.compile(sets)(ot.ones(2))
    assert str(refusal.value) == (
        "capture: a change of requires_grad of a tensor from outside would not be repeated by a "
        "replay; do it outside the compiled function "
        f"(at {__file__}:{sets.__code__.co_firstlineno + 1})"
    )
    assert w.requires_grad is not on


def test_a_result_of_a_region_keeps_its_flag() -> None:
    def sets(x: Any) -> Any:
        y = x * 2
        y.requires_grad = False
        return y

    with pytest.raises(RuntimeError, match="the result of a recorded op keeps it"):
        ot.compile(sets)(ot.ones(2, requires_grad=True))
