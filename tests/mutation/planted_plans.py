"""Errors in memory plans: places and steps of planned regions, and the code that places.

A changed plan that still computes what it did is none: there a block may lie elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise
from typing import Any

from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.ir import Operation

import test_plan_memory
from fusion_cases import floats, prepared, random_region
from graph_cases import Graph, graph, same_bits
from mutants import (
    Mutant,
    NoErrorAtAll,
    attribute,
    changes,
    functions_of,
    negated,
    off_by_one,
    other_axis,
    swapped,
)
from ostinato.ir.dialects.program import ArenaOp, CallOp, LaunchOp
from ostinato.ir.graph import main_of
from ostinato.passes.memory import place
from ostinato.passes.memory.check import check_plan
from ostinato.passes.pipeline import run_passes

Damage = Callable[[list[Operation]], None]

REGIONS: dict[str, Callable[[], Graph]] = {
    "products": lambda: graph(test_plan_memory.products, floats(16, 16), floats(16, 16, seed=1)),
    **{f"random {seed}": partial(random_region, seed) for seed in range(200, 206)},
}


def mutants() -> Iterator[Mutant]:
    """Those of every region, and those of the code that places blocks."""
    for name in REGIONS:
        _, planned, _ = _plans(name)
        for damage, change, damaged in _damages(_ops(planned)):
            planted = partial(attribute, _PLANTED, "damage", damaged)
            yield Mutant("plan", name, damage, change, planted, [partial(_check, name)])
    damages = {
        "negate": negated,
        "swap operands": swapped,
        "off by one": off_by_one,
        "wrong axis": other_axis,
    }
    for function in functions_of(place.place, place.__name__):
        for change in changes(function, damages):
            given = (function.__name__, change.damage, change.text, change.planted)
            yield Mutant("plan", *given, _placing())


@cache
def _plans(name: str) -> tuple[ModuleOp, ModuleOp, Graph]:
    """(stage `kernels`, stage `planned`, the region) of one of `REGIONS`."""
    g = prepared(REGIONS[name]())
    run_passes(g.module, ["fuse", "lower"])
    before = g.module.clone()
    run_passes(g.module, ["plan_memory"])
    return before, g.module.clone(), g


def _ops(module: ModuleOp) -> list[Operation]:
    return list(main_of(module).body.block.ops)


class _Planted:
    """What is done to the ops of a plan before it is checked."""

    damage: Damage | None = None


_PLANTED = _Planted()


def _check(name: str) -> None:
    before, planned, g = _plans(name)
    wrong = planned.clone()
    if _PLANTED.damage is not None:
        _PLANTED.damage(_ops(wrong))
    check_plan(before, wrong)
    same_bits(Graph(wrong, g.inputs).run(), Graph(planned, g.inputs).run())
    if _PLANTED.damage is not None:
        raise NoErrorAtAll("the region gives the same bits")


def _placing() -> list[Callable[[], None]]:
    blocks = test_plan_memory.test_blocks_that_live_together_do_not_overlap
    return [
        test_plan_memory.test_a_chain_takes_two_blocks_of_memory,
        test_plan_memory.test_a_gap_is_taken_where_the_smallest_fits,
        test_plan_memory.test_of_two_gaps_the_smaller_is_taken,
        test_plan_memory.test_nothing_takes_nothing,
        *(partial(blocks, seed) for seed in range(30)),
    ]


def _damages(ops: list[Operation]) -> Iterator[tuple[str, str, Damage]]:
    """(damage, change, what makes it to the ops of `@main`)."""
    arenas = [i for i, op in enumerate(ops) if isinstance(op, ArenaOp)]
    for i in arenas:
        yield "off by one", f"block {i} a line further", partial(_moved, i, place.ALIGNMENT)
    for j, i in pairwise(arenas):
        yield "swap operands", f"block {i} onto block {j}", partial(_stacked, i, j)
    steps = [i for i, op in enumerate(ops) if isinstance(op, (LaunchOp, CallOp))]
    for i, j in pairwise(steps):
        yield "swap operands", f"step {i} after step {j}", partial(_later, i, j)
    for i in steps:
        yield "drop a term", f"step {i}", partial(_dropped, i)
        for a in range(len(ops[i].operands) - 1):
            if ops[i].operands[a] is not ops[i].operands[a + 1]:
                yield (
                    "swap operands",
                    f"operands {a}, {a + 1} of step {i}",
                    partial(_exchanged, i, a),
                )


def _moved(i: int, bytes_: int, ops: list[Operation]) -> None:
    arena: Any = ops[i]
    arena.offset = IntegerAttr(arena.offset.value.data + bytes_, i64)


def _stacked(i: int, j: int, ops: list[Operation]) -> None:
    upper, lower = ops[i], ops[j]
    assert isinstance(upper, ArenaOp) and isinstance(lower, ArenaOp)
    upper.offset = lower.offset


def _later(i: int, j: int, ops: list[Operation]) -> None:
    block = ops[i].parent
    assert block is not None
    ops[i].detach()
    block.insert_op_after(ops[i], ops[j])


def _dropped(i: int, ops: list[Operation]) -> None:
    ops[i].detach()


def _exchanged(i: int, a: int, ops: list[Operation]) -> None:
    operands = ops[i].operands
    operands[a], operands[a + 1] = operands[a + 1], operands[a]
