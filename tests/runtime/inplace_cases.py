"""Programs that change tensors and views in place, written once for Ostinato and for torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import ostinato as ot

Program = Callable[[Any, Any, Any, Any], Any]
SHAPES = ((4, 6), (6,), (6, 6))


def leaves(seed: int = 0) -> tuple[list[Any], list[torch.Tensor]]:
    """The same leaves x, b and w in both libraries."""
    arrays = [np.random.default_rng(seed + i).standard_normal(s) for i, s in enumerate(SHAPES)]
    ours = [ot.from_numpy(a.copy()).requires_grad_() for a in arrays]
    return ours, [torch.tensor(a, requires_grad=True) for a in arrays]


def total(lib: Any, made: Any) -> Any:
    """One number that weights every element of every result differently."""
    results = made if isinstance(made, tuple) else (made,)
    loss = lib.zeros((), dtype=lib.float64)
    for y in results:
        weights = lib.arange(math.prod(y.shape), dtype=lib.float64).cos().reshape(tuple(y.shape))
        loss = loss * 2 + (y * y * weights).sum()
    return loss


def a_row(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h[0].mul_(b)
    return h


def an_element(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h[1, 2] = w[0, 0] * b[1]
    h[0, -1] = 3.0
    return h


def slices(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h[1:, ::2] = b[:3]
    h[:, 1:3] = w[:4, :2] * 3
    return h


def everything(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h, g = x * 2, x * 3
    h[...] = x * b
    g[:] = h
    return h, g


def added_rows(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h[2] += b
    h[:, 0] *= x[:, 1]
    return h


def view_base_view(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    v = h[0]
    h.mul_(w[:4])
    v.add_(b)
    return h, v


def views_of_views(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    v = h.t()[1:4]
    u = v[0]
    u.mul_(b[:4])
    return h, v * 2, u.sin()


def siblings(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    v, u = h[:3], h[1:]
    v.mul_(b)
    u.add_(x[1:] * b)
    return v, u, h


def buffer(lib: Any, x: Any, b: Any, w: Any) -> Any:
    made = lib.zeros(4, 6, dtype=lib.float64)
    row = made[2]
    made[1] = b
    made[2].add_(w[0])
    return made, row


def buffer_whole(lib: Any, x: Any, b: Any, w: Any) -> Any:
    made = lib.ones(4, 6, dtype=lib.float64)
    row = made[1:3]
    made.mul_(x)
    return row * b


def reshaped(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h.reshape(-1)[3:9].mul_(b)
    h.view(6, 4)[2:, 1] = 1.5
    return h


def axes(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h.unsqueeze(0)[0, 1].mul_(b)
    h.transpose(0, 1).squeeze()[0] = b[:4]
    h.permute(1, 0)[2:].tanh_()
    return h


def detached_alias(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    d = h.detach()
    d.mul_(3)
    return h.exp(), d * b


def without_grad(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    v = h[1]
    with lib.no_grad():
        h[0].mul_(5)
        v.add_(1)
    return h * b, v.sin()


def old_values_needed(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h.mul_(w[:4])
    h.div_(x.exp())
    return h


def recurrence(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    for i in range(1, 4):
        h[i] = (h[i - 1].clone() * b).tanh()
    return h


def constants(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h, g = x * 2, w * 2
    h[0] = 3.0
    h.view(6, 4)[2:, 1] = b.detach()[:4]
    g.fill_(1.5)
    return h, g


def composites(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h[1:3].clamp_(-1.0, 1.0)
    h[0].masked_fill_(b > 0, 2.0)
    h[:, :4].tril_()
    return h


def narrower(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = (x * 2).to(lib.float32)
    h[1] = b
    h[0].add_(b.to(lib.float32))
    return h.to(lib.float64)


def a_view_that_does_not_change(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    v = h[0]
    h[3].mul_(b)
    return v * b


PROGRAMS: dict[str, Program] = {
    f.__name__.replace("_", " "): f
    for f in (
        a_row, an_element, slices, everything, added_rows, view_base_view, views_of_views, siblings,
        buffer, buffer_whole, reshaped, axes, detached_alias, without_grad, old_values_needed,
        recurrence, constants,
        composites, narrower, a_view_that_does_not_change,
    )
}  # fmt: skip
