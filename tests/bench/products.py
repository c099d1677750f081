"""The matrix products of one training step, alone: what no fusion can save."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from models import Config, ImageConfig


def layers(config: Config) -> Iterator[tuple[int, int, int, bool]]:
    """Rows, columns in and out of each linear layer, and whether its input has a gradient."""
    dim, rows = config.dim, config.batch * config.length
    for _ in range(config.layers):
        yield rows, dim, 3 * dim, True
        yield rows, dim, dim, True
        yield rows, dim, 4 * dim, True
        yield rows, 4 * dim, dim, True
    if isinstance(config, ImageConfig):
        patches = config.batch * (config.image // config.patch) ** 2
        yield patches, config.channels * config.patch**2, dim, False
        yield config.batch, dim, config.classes, True
    else:
        yield rows, dim, config.classes, True


def pairs(library: Any, config: Config) -> Iterator[tuple[Any, Any]]:
    """Operands of every product, forward and backward, with the transpositions that a step has."""
    randn: Callable[..., Any] = library.randn
    for rows, into, out, input_gradient in layers(config):
        x, weight, grad = randn(rows, into), randn(out, into), randn(rows, out)
        yield x, weight.t()
        yield grad.t(), x
        if input_gradient:
            yield grad, weight
    heads, depth = config.batch * config.heads, config.dim // config.heads
    for _ in range(config.layers):
        q, k, v, grad = (randn(heads, config.length, depth) for _ in range(4))
        scores = randn(heads, config.length, config.length)
        yield q, k.transpose(1, 2)
        yield scores, v
        yield grad, v.transpose(1, 2)
        yield scores.transpose(1, 2), grad
        yield scores, k
        yield scores.transpose(1, 2), q


def all_products(library: Any, config: Config) -> Callable[[], None]:
    """A function that computes every product of a step once."""
    operands = list(pairs(library, config))
    matmul, no_grad = library.matmul, library.no_grad

    def run() -> None:
        with no_grad():
            for a, b in operands:
                matmul(a, b)

    return run
