"""Sums of thin products become one product, which is as near to the sum as rounding allows."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ostinato as ot
from graph_cases import Graph, graph
from ostinato import nn
from ostinato.ir.locations import lines_of
from ostinato.ir.op import OPS
from ostinato.passes.pipeline import run_passes

COUNT = 5
rng = np.random.default_rng(0)


def arrays(count: int, *shape: int) -> list[Any]:
    return [rng.standard_normal(shape, dtype=np.float32) for _ in range(count)]


def summed(products: list[Any]) -> Any:
    total = products[0]
    for p in products[1:]:
        total = total + p
    return total


def pairs(values: Any) -> list[Any]:
    """The products of the first half of some values with the second."""
    half = len(values) // 2
    return [OPS["matmul"](a, b) for a, b in zip(values[:half], values[half:], strict=True)]


def turned(values: Any) -> list[Any]:
    """`pairs`, the first half transposed."""
    half = len(values) // 2
    return pairs([*(OPS["transpose"](a, dim0=0, dim1=1) for a in values[:half]), *values[half:]])


THIN = arrays(COUNT, 30, 2) + arrays(COUNT, 2, 20)
TALL = arrays(COUNT, 2, 30) + arrays(COUNT, 2, 20)
JOINED: dict[str, tuple[Any, list[Any], list[str]]] = {
    "a sum": (lambda *v: summed(pairs(v)), THIN, ["cat", "cat", "matmul"]),
    "transposed": (lambda *v: summed(turned(v)), TALL, ["cat", "transpose", "cat", "matmul"]),
    "a tree": (
        lambda *v: summed(pairs(v)[:2]) + summed(pairs(v)[2:]), THIN, ["cat", "cat", "matmul"]),
    "among others": (
        lambda *v: v[-1] + summed(pairs(v[:-1])) + v[-1] * 2.0,
        [*THIN, *arrays(1, 30, 20)], ["mul", "cat", "cat", "matmul", "add", "add"]),
    "of several lengths": (
        lambda *v: summed(pairs(v)),
        [*arrays(4, 30, 2), *arrays(1, 30, 5), *arrays(4, 2, 20), *arrays(1, 5, 20)],
        ["cat", "cat", "matmul"]),
}  # fmt: skip
LEFT: dict[str, tuple[Any, list[Any]]] = {
    "too few": (lambda *v: summed(pairs(v)), THIN[:3] + THIN[-3:]),
    "thick": (lambda *v: summed(pairs(v)), arrays(COUNT, 30, 9) + arrays(COUNT, 9, 20)),
    "batches": (lambda *v: summed(pairs(v)), arrays(COUNT, 3, 30, 2) + arrays(COUNT, 3, 2, 20)),
    "used elsewhere": (lambda *v: (summed(p := pairs(v)), *p), THIN),
    "partial sums are used": (
        lambda *v: (a := summed(pairs(v)[:3]), a + summed(pairs(v)[3:])), THIN),
}  # fmt: skip


def joined(g: Graph) -> list[str]:
    run_passes(g.module, ["simplify", "join_products"], verify=True)
    return g.names()


@pytest.mark.parametrize("name", JOINED)
def test_sums_that_are_joined(name: str) -> None:
    build, inputs, names = JOINED[name]
    g = graph(build, *inputs)
    (expected,) = g.run()
    assert [n for n in joined(g) if n != "constant"] == names
    np.testing.assert_allclose(g.run()[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LEFT)
def test_sums_that_stay(name: str) -> None:
    build, inputs = LEFT[name]
    g = graph(build, *inputs)
    run_passes(g.module, ["simplify"])
    before = g.names()
    assert joined(g) == before


def test_what_is_joined_has_the_lines_of_all() -> None:
    build, inputs, _ = JOINED["a sum"]
    g = graph(build, *inputs)
    joined(g)
    lines = list(lines_of(g.named("matmul").location))
    assert len(lines) == COUNT + 1  # of the products, and where the sum ends


def test_a_recurrent_weight_gets_its_gradient_from_one_product() -> None:
    ot.manual_seed(0)
    cell, x = nn.LSTMCell(3, 32), ot.randn(6, 2, 3)

    def step(x: Any) -> Any:
        state = cell(x[0])
        for i in range(1, 6):
            state = cell(x[i], state)
        state[0].sum().backward()
        return cell.weight_hh.grad

    eager = step(x).numpy().copy()
    for p in cell.parameters():
        p.grad = None
    compiled = ot.compile(step)
    np.testing.assert_allclose(compiled(x).numpy(), eager, rtol=1e-4, atol=1e-6)
    products = [compiled.ir(stage).count("ot.matmul") for stage in ("decomposed", "fused")]
    assert products[0] - products[1] == 5  # of six steps
