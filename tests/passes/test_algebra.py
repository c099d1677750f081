"""Algebraic rewrites: each pair of sides is equal, is applied, and a wrong one is found."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graph_cases import IR_OPS, Graph, graph, same_bits
from ostinato.ir.dtypes import (
    DTYPES,
    bool_,
    float32,
    float64,
    int32,
    int64,
)
from ostinato.ir.graph import main_of
from ostinato.ir.interpret.arrays import ArrayTensor, convert
from ostinato.ir.locations import lines_of
from ostinato.ir.op import OPS
from ostinato.ir.stages import verify
from ostinato.passes.algebra import PAIRS, Pair, is_symmetric, pairs_for
from ostinato.passes.rewriter import erase_dead
from ostinato.passes.simplify import simplify

X = np.arange(1.0, 7.0, dtype="float32").reshape(2, 3)

# Special values come first, so that short arrays have them.

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 1e-3, -3.7, 6.25, 250.0]


def values(dtype: Any, seed: int, special: bool) -> ArrayTensor:
    """Numbers of a dtype, every pair of special ones among them for seeds 0 and 1."""
    if dtype is bool_:
        pool = np.arange(2)
    elif dtype.is_floating_point:
        pool = np.array(SPECIAL if special else [0.3, 1.7, 2.5, 0.9, 3.1])
    else:
        pool = np.arange(-128, 128, 5) if dtype.signed else np.arange(0, 256, 5)
    n = len(pool)
    every = np.stack([np.repeat(pool, n), np.tile(pool, n)])[seed % 2]
    if seed >= 2:
        every = np.random.default_rng(seed).choice(pool, n * n)
    return ArrayTensor(convert(every, dtype), dtype)


def operands_of(pair: Pair, dtype: Any, special: bool = True) -> list[ArrayTensor]:
    """Arrays for the variables of a pair, conditions in columns against the others in rows."""
    return [
        ArrayTensor(np.array([[True], [False]]), bool_) if i < pair.conditions
        else values(dtype, i, special)
        for i in range(pair.variables)
    ]  # fmt: skip


def side(pair: Pair, index: int, arrays: list[Any]) -> Graph:
    """One side of a pair as a graph, without what only the other side needs."""
    g = graph(lambda *xs: pair.build(*xs)[index], *arrays)
    erase_dead(main_of(g.module).body.block)
    return g


def holds_for(pair: Pair) -> list[Any]:
    """The dtypes for which both sides of a pair exist, with its own result."""
    found: list[Any] = []
    for dtype in DTYPES:
        if not pair.holds(dtype):
            continue
        try:
            with np.errstate(all="ignore"):
                before, after = pair.build(*operands_of(pair, dtype))
        except TypeError:
            continue
        if before.dtype is after.dtype is dtype:
            found.append(dtype)
    return found


def check_pair(pair: Pair) -> None:
    """Asserts that both sides are equal: bit for bit if exact, else nearly on tame numbers."""
    for dtype in holds_for(pair):
        with np.errstate(all="ignore"):
            before, after = pair.build(*operands_of(pair, dtype, special=pair.exact))
        if pair.exact:
            same_bits(np.broadcast_arrays(after.array, before.array), [before.array] * 2)
        elif dtype in (float32, float64, int32, int64):
            np.testing.assert_allclose(after.array, before.array, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.name)
def test_pairs_are_equal(pair: Pair) -> None:
    assert holds_for(pair), "a pair that holds for no dtype"
    check_pair(pair)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.name)
def test_pairs_are_applied(pair: Pair) -> None:
    for dtype in holds_for(pair):
        if dtype.name == "bfloat16":
            continue
        arrays = [t.array for t in operands_of(pair, dtype, special=pair.exact)]
        arrays = [np.broadcast_to(a, np.broadcast_shapes(*(b.shape for b in arrays)))
                  for a in arrays]  # fmt: skip
        g, wanted = side(pair, 0, arrays), side(pair, 1, arrays)
        with np.errstate(all="ignore"):
            expected = g.run()
            simplify(g.module, fast_math=not pair.exact)
            verify(g.module, "simplified")
            assert g.names() == wanted.names()
            if pair.exact:
                same_bits(g.run(), expected)


@pytest.mark.parametrize("pair", [p for p in PAIRS if not p.exact], ids=lambda p: p.name)
def test_inexact_pairs_need_fast_math(pair: Pair) -> None:
    arrays = [t.array for t in operands_of(pair, float32)]
    g = side(pair, 0, arrays)
    before = g.names()
    simplify(g.module)
    assert g.names() == before


def wrong(name: str, build: Callable[..., Any], **flags: Any) -> Pair:
    return Pair(name, build, flags.pop("exact", True), lambda dtype: dtype is not bool_, **flags)


WRONG = [
    wrong("sides exchanged", lambda x, y: (OPS["sub"](x, y), OPS["sub"](y, x))),
    wrong("loses a sign", lambda x, y: (OPS["sub"](x, OPS["neg"](y)), OPS["sub"](x, y))),
    wrong("loses -0.0", lambda x: (OPS["add"](x, 0), x)),
    wrong("loses NaN", lambda x: (OPS["sub"](x, x), OPS["mul"](x, 0))),
    wrong("overflows", lambda x: (OPS["abs"](OPS["neg"](x)), OPS["abs"](OPS["add"](x, 1)))),
    wrong("nearly", lambda x: (OPS["exp"](OPS["log"](x)), x)),
    wrong("not even nearly", lambda x: (OPS["square"](x), OPS["mul"](x, 2)), exact=False),
]


@pytest.mark.parametrize("pair", WRONG, ids=lambda p: p.name)
def test_a_wrong_pair_is_found(pair: Pair) -> None:
    assert holds_for(pair)
    with pytest.raises(AssertionError):
        check_pair(pair)


def test_pairs_are_about_one_dtype() -> None:
    """-y wraps in int8: x - (-y) is not x + y where x is wider."""
    x, y = np.array([1], "int32"), np.array([-128], "int8")
    g = graph(lambda x, y: OPS["sub"](x, OPS["neg"](y)), x, y)
    simplify(g.module)
    assert g.names() == ["neg", "sub"]


def test_pairs_keep_shapes() -> None:
    g = graph(lambda x: x * OPS["full"]((4, 2, 3), 1.0), X)
    simplify(g.module)
    assert "mul" in g.names()
    g = graph(lambda x: x * OPS["full"]((2, 3), 1.0), X)
    simplify(g.module)
    assert g.names() == []


def test_a_pair_takes_over_the_lines_of_what_it_replaces() -> None:
    g = graph(lambda x, y: OPS["sub"](x, OPS["neg"](y)), X, X)
    lines = [op.location for op in main_of(g.module).body.block.ops][:2]
    simplify(g.module)
    assert list(lines_of(g.named("add").location)) == lines[::-1]


def test_rules_are_indexed_by_their_root() -> None:
    assert {p.name for p in pairs_for("neg", False)} == {"negated_twice"}
    assert {p.name for p in pairs_for("neg", True)} == {"negated_twice", "negated_difference"}
    assert sum(len(pairs_for(op.name, True)) for op in IR_OPS) == len(PAIRS)


def test_symmetric_ops_are_told_from_their_bodies() -> None:
    symmetric = {op.name for op in IR_OPS if is_symmetric(op)}
    assert {"add", "mul", "eq", "bitwise_xor"} <= symmetric
    assert not symmetric & {"sub", "div", "maximum", "pow", "lt", "sin"}
