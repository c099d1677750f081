"""A backward graph for some of its cotangents: on random graphs the numbers of the whole one with
zeros for the others, and nothing of these where numbers are infinite."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from graph_cases import graph, random_graph
from ostinato.ir.graph import main_of
from ostinato.ir.interpret.module import run
from ostinato.ir.op import OPS
from ostinato.ir.stages import verify
from ostinato.passes.narrow import narrow
from test_split import AMONG, Case, joint


def kept_by(case: Case, parts: Any) -> list[Any]:
    """What backward is given besides cotangents."""
    given = case.graph.inputs[: case.inputs]
    made = run(parts.forward, given)
    return [(given if is_input else made)[i] for is_input, i in parts.kept]


def subsets(count: int) -> list[tuple[int, ...]]:
    """The ways to choose some of `count`, few of each number."""
    every = [s for n in range(1, count) for s in list(combinations(range(count), n))[:2]]
    return every[:4]


@pytest.mark.parametrize("seed", range(40))
def test_the_others_might_as_well_be_zeros(seed: int) -> None:
    with np.errstate(all="ignore"):
        case = joint(random_graph(seed, 14, AMONG))
        cotangents = case.graph.inputs[case.inputs :]
        for came in subsets(len(cotangents)):
            parts = case.split()
            kept = kept_by(case, parts)
            zeroed = [g if i in came else g * 0 for i, g in enumerate(cotangents)]
            want = run(parts.backward, [*kept, *zeroed])
            module = narrow(parts.backward, len(kept), came, range(len(want)))
            verify(module, "simplified")
            got = run(module, [*kept, *(cotangents[i] for i in came)])
            for a, b in zip(got, want, strict=True):
                finite = np.isfinite(b)
                np.testing.assert_allclose(a[finite], b[finite], rtol=1e-12, atol=1e-300)


def two_ways(x: Any, y: Any) -> tuple[Any, Any]:
    return OPS["log"](x), OPS["mul"](x, y)


def narrowed(came: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[Any, list[Any]]:
    """The backward module of `two_ways` at 0, and what it gives for cotangents of ones."""
    case = joint(graph(two_ways, np.zeros(3), np.full(3, 2.0)))
    parts = case.split()
    kept = kept_by(case, parts)
    module = narrow(parts.backward, len(kept), came, wanted)
    with np.errstate(all="ignore"):
        return module, run(module, [*kept, *(np.ones(3) for _ in came)])


def test_an_absent_cotangent_meets_no_infinity() -> None:
    _, (of_x, of_y) = narrowed((1,), (0, 1))
    np.testing.assert_array_equal(of_x, [2, 2, 2])
    np.testing.assert_array_equal(of_y, [0, 0, 0])
    _, (of_both, _) = narrowed((0, 1), (0, 1))
    assert np.isinf(of_both).all()


def test_what_only_others_lead_to_is_not_there() -> None:
    module, (of_x,) = narrowed((0,), (0,))
    names = [op.name for op in main_of(module).body.block.ops]
    assert "ot.mul" not in names and np.isinf(of_x).all()


def test_a_gradient_that_is_asked_for_all_the_same_is_zeros() -> None:
    _, (of_y,) = narrowed((0,), (1,))
    np.testing.assert_array_equal(of_y, [0, 0, 0])
