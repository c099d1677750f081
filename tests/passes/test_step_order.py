"""The order that steps of a Program keep when independent ones run side by side."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import networkx as nx
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import nn, optim
from step_conflicts import conflicts


def mlp_step() -> tuple[Any, list[Any]]:
    """A whole training step."""
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    opt = optim.AdamW(model.parameters(), lr=1e-3)

    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss.detach()

    return step, [ot.ones(4, 6), ot.zeros(4, dtype=ot.int64)]


def branches() -> tuple[Any, list[Any]]:
    """Two chains of products that have nothing in common but what they start from and end in."""

    def fn(x: Any, a: Any, b: Any) -> Any:
        left, right = x @ a, x @ b
        for _ in range(3):
            left, right = left @ a, right @ b
        return left + right

    return fn, [ot.ones(4, 4), ot.ones(4, 4), ot.ones(4, 4)]


def in_place() -> tuple[Any, list[Any]]:
    """A buffer that is read, then changed."""
    state = ot.ones(5, 5)

    def fn(x: Any) -> Any:
        y = state @ x
        state.add_(x.sum(0))
        return y

    return fn, [ot.ones(5, 5)]


CASES: dict[str, Callable[[], tuple[Any, list[Any]]]] = {
    "training step": mlp_step, "branches": branches, "in place": in_place,
}  # fmt: skip


def compiled(name: str) -> tuple[Any, dict[str, Any]]:
    """The Program of a case, and its specification."""
    fn, inputs = CASES[name]()
    step = ot.compile(fn)
    step(*inputs)
    (variant,) = step.variants
    return variant.built.program, variant.built.spec


@pytest.mark.parametrize("name", CASES)
def test_edges_are_the_fewest_that_order_what_meets(name: str) -> None:
    program, spec = compiled(name)
    wanted = nx.DiGraph(list(conflicts(spec)))
    assert set(program.edges()) == set(nx.transitive_reduction(wanted).edges)
    assert program.unordered(program.edges()) == []


@pytest.mark.parametrize("name", CASES)
def test_each_missing_edge_is_reported(name: str) -> None:
    program, _ = compiled(name)
    edges = program.edges()
    assert edges
    for missing in edges:
        assert missing in program.unordered([e for e in edges if e != missing])


def test_branches_are_not_ordered() -> None:
    program, spec = compiled("branches")
    order = nx.transitive_closure(nx.DiGraph(program.edges()))
    free = [
        (a, b)
        for a, b in combinations(range(len(spec["instructions"])), 2)
        if not order.has_edge(a, b) and not order.has_edge(b, a)
    ]
    assert free


def width(edges: list[tuple[int, int]], steps: int) -> int:
    """How many chains it takes to hold all steps (Dilworth: the most that can run at once)."""
    order = nx.transitive_closure(nx.DiGraph(edges))
    both = nx.Graph([((a, "from"), (b, "to")) for a, b in order.edges])
    left = {n for n in both if n[1] == "from"}
    return steps - len(nx.bipartite.maximum_matching(both, left)) // 2


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("name", CASES)
def test_steps_lie_in_few_lanes(name: str, lanes: int) -> None:
    program, spec = compiled(name)
    edges, steps = program.edges(lanes), len(spec["instructions"])
    assert program.unordered(edges) == []
    assert set(edges) == set(nx.transitive_reduction(nx.DiGraph(edges)).edges)
    assert width(edges, steps) == min(lanes, width(program.edges(), steps))
    assert program.edges(steps) == program.edges()


def test_in_three_lanes_the_longest_path_waits_for_no_side_branch() -> None:
    program, spec = compiled("training step")
    path = nx.dag_longest_path_length(nx.DiGraph(program.edges()))
    assert path < len(spec["instructions"]) - 1
    assert nx.dag_longest_path_length(nx.DiGraph(program.edges(3))) == path
