"""LSTMs give the values and gradients of PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
from ostinato import nn
from test_nn import check_gradients, leaves, numpy_of, pair


def check(ours: list[Any], theirs: list[Any]) -> None:
    """Values are alike, and the sum of their squares is differentiated."""
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(numpy_of(a), numpy_of(b), rtol=1e-4, atol=1e-6)
    for outputs in (ours, theirs):
        total: Any = sum((t * t).sum() for t in outputs)
        total.backward()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("has_state", [False, True])
def test_sequences(layers: int, batch_first: bool, has_state: bool) -> None:
    ours, theirs = pair(lambda n: n.LSTM(4, 6, layers, batch_first=batch_first))
    x, y = leaves((3, 5, 4) if batch_first else (5, 3, 4))
    states = [leaves((layers, 3, 6), seed) for seed in (2, 3)] if has_state else []
    a, (h, c) = ours(x, tuple(s for s, _ in states) or None)
    b, (i, d) = theirs(y, tuple(s for _, s in states) or None)
    check([a, h, c], [b, i, d])
    check_gradients(ours, theirs, [(x, y), *states])


@pytest.mark.parametrize("has_state", [False, True])
def test_single_steps(has_state: bool) -> None:
    ours, theirs = pair(lambda n: n.LSTMCell(4, 6))
    x, y = leaves((3, 4))
    states = [leaves((3, 6), seed) for seed in (2, 3)] if has_state else []
    check(
        list(ours(x, tuple(s for s, _ in states) or None)),
        list(theirs(y, tuple(s for _, s in states) or None)),
    )
    check_gradients(ours, theirs, [(x, y), *states])


def test_weights_start_within_the_bound_of_the_hidden_size() -> None:
    ot.manual_seed(0)
    for layer in (nn.LSTM(3, 16, 2), nn.LSTMCell(3, 16)):
        drawn = np.concatenate([numpy_of(p).ravel() for p in layer.parameters()])
        assert 0.24 < np.abs(drawn).max() <= 0.25 and abs(drawn.mean()) < 0.02


def test_repr_is_pytorchs() -> None:
    for make in (
        lambda n: n.LSTM(3, 4, 2),
        lambda n: n.LSTM(3, 4, batch_first=True),
        lambda n: n.LSTMCell(3, 4),
    ):
        assert repr(make(nn)) == repr(make(torch.nn))
