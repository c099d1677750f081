"""Sums of the slices of a tensor become the tensor."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graph_cases import graph, same_bits
from ostinato.ir.graph import main_of
from ostinato.ir.op import OPS
from ostinato.passes.join_slices import join_slices
from test_join_products import arrays, summed


def scattered(values: Any, order: Any, count: int, dim: int = 1) -> list[Any]:
    """Slices of zeros, value i at order[i] along `dim`."""
    shape = [2, 3]
    shape.insert(dim, count)
    zeros = OPS["full"](tuple(shape), 0.0)
    return [OPS["select_scatter"](zeros, v, dim, at) for v, at in zip(values, order, strict=False)]


def padded(values: Any, starts: Any, total: int, value: float = 0.0) -> list[Any]:
    """Values (2, 3) with columns around them."""
    return [
        OPS["pad"](v, pad=(at, total - at - 3), value=value)
        for v, at in zip(values, starts, strict=False)
    ]


FOUR = arrays(4, 2, 3)
JOINED: dict[str, Any] = {
    "slices": lambda *v: summed(scattered(v, (0, 1, 2, 3), 4)),
    "out of order, from the end": lambda *v: summed(scattered(v, (2, -4, -1, 1), 4, dim=0)),
    "with another term": lambda *v: summed(scattered(v, range(4), 4)) + OPS["full"]((2, 4, 3), 1.5),
    "columns": lambda *v: summed(padded(v, (9, 0, 3, 6), 12)),
}
LEFT: dict[str, Any] = {
    "one is missing": lambda *v: summed(scattered(v, range(4), 5)),
    "one comes twice": lambda *v: summed(scattered(v, (0, 1, 2, 2), 3)),
    "too few": lambda *v: summed(scattered(v[:3], range(3), 3)),
    "not on zeros": lambda *v: summed(
        [OPS["select_scatter"](OPS["full"]((2, 4, 3), 1.0), x, 1, i) for i, x in enumerate(v)]),
    "used elsewhere": lambda *v: (summed(s := scattered(v, range(4), 4)), *s),
    "columns overlap": lambda *v: summed(padded(v, (0, 2, 5, 8), 11)),
    "columns in ones": lambda *v: summed(padded(v, (0, 3, 6, 9), 12, 1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", [*JOINED, *LEFT])
def test_sums_of_slices(name: str) -> None:
    g = graph((JOINED | LEFT)[name], *FOUR)
    expected = g.run()
    before = g.names()
    join_slices(main_of(g.module))
    g.module.verify()
    if name in LEFT:
        assert g.names() == before
    else:
        assert g.names().count("cat") == 1
        assert not {"select_scatter", "pad"} & set(g.names())
    same_bits(g.run(), expected)


def test_a_zero_keeps_its_sign() -> None:
    values = [np.full((2, 3), -0.0, "float32") for _ in range(4)]
    g = graph(JOINED["slices"], *values)
    join_slices(main_of(g.module))
    assert np.signbit(g.run()[0]).all()
