"""Functions that are called with many sizes: those that one variant serves, and those that it must
not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import nn

Arguments = tuple[Any, ...]
DIM = 24


@dataclass(frozen=True)
class Case:
    """A function, and its arguments for a size."""

    fn: Callable[..., Any]
    given: Callable[[int], Arguments]

    @property
    def name(self) -> str:
        """What a failing test is called."""
        return self.fn.__name__


def vectors(n: int) -> Arguments:
    """One sequence of vectors."""
    return (ot.randn(3, n, DIM),)


def rows(n: int) -> Arguments:
    """One matrix."""
    return (ot.randn(n, DIM),)


def line(n: int) -> Arguments:
    """Numbers in a row."""
    return (ot.randn(n),)


def two(n: int) -> Arguments:
    """Two sequences of one length."""
    return ot.randn(3, n, DIM), ot.randn(3, n, DIM)


weights = ot.randn(DIM, 2 * DIM)
table = ot.randn(512, DIM)
norm = nn.LayerNorm(DIM)


def place_tables() -> None:
    """Puts what functions look up where new tensors lie."""
    global weights, table, norm
    home = ot.empty(0).device
    weights, table, norm = weights.to(home), table.to(home), norm.to(home)


def pointwise(x: Any) -> Any:
    return (x * 2 + 1).sigmoid()


def projected(x: Any) -> Any:
    return F.gelu(x @ weights).sum(1), (x * x).mean()


def scores(x: Any, y: Any) -> Any:
    return F.softmax(x @ y.transpose(1, 2) / DIM**0.5, -1) @ y


def normed(x: Any) -> Any:
    return norm(x).mean(1)


def attended(x: Any, y: Any) -> Any:
    q, k = (t.reshape(3, t.shape[1], 2, DIM // 2).transpose(1, 2) for t in (x, y))
    return F.scaled_dot_product_attention(q, k, q, is_causal=True).transpose(1, 2).flatten(2)


def positions(x: Any) -> Any:
    return x + table[: x.shape[1]]


def reshaped(x: Any) -> Any:
    return x.reshape(-1, DIM // 2).sum(0), x.flatten(0, 1).amax(1)


def joined(x: Any) -> Any:
    return ot.cat([x, x[:, :1] * 0], 1) * 2


def counted(x: Any) -> Any:
    return x.sum(0) / x.shape[0]


def varied(x: Any) -> Any:
    return x.var(1) + x.std(1)


def made(x: Any) -> Any:
    return x + ot.arange(x.shape[0]) * 2


def several(x: Any) -> Any:
    return ot.stack([x, x + 1]).transpose(0, 1).reshape(-1)


def changed(x: Any) -> Any:
    x.mul_(2)
    return x.sum()


def fixed_view(x: Any) -> Any:
    return x[:8] * 2


ANY = [
    Case(pointwise, vectors), Case(projected, vectors), Case(scores, two), Case(normed, vectors),
    Case(attended, two), Case(positions, vectors), Case(reshaped, vectors), Case(joined, vectors),
    Case(counted, rows), Case(varied, vectors), Case(made, line), Case(several, line),
    Case(changed, rows), Case(fixed_view, line),
]  # fmt: skip


def halved(x: Any) -> Any:
    return x[: x.shape[0] // 2] * 2


def unrolled(x: Any) -> Any:
    total = x[0]
    for i in range(1, x.shape[0]):
        total = total + x[i]
    return total


def branched(x: Any) -> Any:
    return x * 2 if x.shape[0] > 20 else x - 1


def rooted(x: Any) -> Any:
    return x * x.shape[0] ** 0.5


def parity(x: Any) -> Any:
    return x * 2 if x.shape[0] % 2 else x - 1


def of_a_parameter(x: Any) -> Any:
    return x * table[0][: x.shape[0]] if x.shape[0] < DIM else x * 1


FIXED = [
    Case(halved, line), Case(unrolled, line), Case(branched, line), Case(rooted, line),
    Case(parity, line), Case(of_a_parameter, line),
]  # fmt: skip

SIZES: Sequence[int] = (30, 64, 13, 100, 16, 47, 33, 128, 11, 64, 30)
