"""The same leaves here and in torch, and how what comes of them is compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import ostinato as ot


def pair(*shape: int, seed: int = 0) -> tuple[Any, torch.Tensor]:
    """The same leaf in both libraries."""
    array = np.random.default_rng(seed).standard_normal(shape)
    return ot.from_numpy(array.copy()).requires_grad_(), torch.tensor(array, requires_grad=True)


def pairs(*shapes: Sequence[int], seed: int = 0) -> tuple[list[Any], list[torch.Tensor]]:
    """Leaves of these shapes in both libraries."""
    both = [pair(*shape, seed=seed + i) for i, shape in enumerate(shapes)]
    return [a for a, _ in both], [b for _, b in both]


def close(ours: Any, theirs: torch.Tensor, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=1e-12
    )


def weighted(lib: Any, y: Any) -> Any:
    """One number that weights every element of `y` differently."""
    weights = np.cos(np.arange(int(np.prod(y.shape)))).reshape(tuple(y.shape))
    given = ot.from_numpy(weights) if lib is ot else torch.tensor(weights)
    return (y * given).sum()
