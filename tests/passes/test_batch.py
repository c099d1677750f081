"""Batching: which launches become one, in which order, and that the region means the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from xdsl.utils.exceptions import VerifyException

from fusion_cases import SMALL, close, floats, op, prepared, steps, transformer_step, written
from graph_cases import Graph, graph
from ostinato.ir.dialects.kernel import BatchOp, FuncOp, Member
from ostinato.ir.dialects.program import LaunchOp
from ostinato.ir.errors import IRError
from ostinato.ir.graph import main_of
from ostinato.ir.text import parse_module, print_module
from ostinato.passes.memory.check import check_plan
from ostinato.passes.pipeline import Options, run_passes
from ostinato.passes.target import CPU, CUDA, Target

BATCHING = replace(SMALL, most_batched=1000)


def batched(g: Graph, target: Target = CUDA) -> Graph:
    """`g`, at stage `simplified`, batched: each pass verified."""
    run_passes(g.module, ["fuse", "lower", "batch"], Options(target), verify=True)
    return g


def batches(g: Graph) -> list[BatchOp]:
    """The batches of a module."""
    return [b for b in g.module.ops if isinstance(b, BatchOp)]


def launches(g: Graph) -> list[LaunchOp]:
    """The launches of a module, in order."""
    return [o for o in main_of(g.module).body.block.ops if isinstance(o, LaunchOp)]


def updates(count: int) -> Graph:
    """`count` parameters of different sizes, each changed in place."""
    parameters = [floats(3 + i, seed=i) for i in range(count)]
    gradients = [floats(3 + i, seed=50 + i) for i in range(count)]

    def build(*x: Any) -> Any:
        return [op("exp", p) * 0.1 + g for p, g in zip(x[:count], x[count:], strict=True)]

    return prepared(written(build, [(i, i) for i in range(count)], *parameters, *gradients))


def test_updates_of_parameters_become_one_launch() -> None:
    g = updates(5)
    expected = g.run()
    batched(g)
    (batch,) = batches(g)
    assert len(batch.members) == 5
    assert [o.kernel_name for o in launches(g)] == [batch.sym_name.data]
    close(g.run(), expected)


def test_a_training_step_means_the_same_and_has_few_launches() -> None:
    g = prepared(transformer_step(layers=2))
    expected = g.run()
    apart = prepared(transformer_step(layers=2))
    run_passes(apart.module, ["fuse", "lower"], Options(CUDA))
    batched(g)
    assert len(launches(g)) < len(launches(apart)) // 2
    text = print_module(g.module)
    assert print_module(parse_module(text)) == text
    close(g.run(), expected)
    before = g.module.clone()
    run_passes(g.module, ["plan_memory"], Options(CUDA), verify=True)
    check_plan(before, g.module)
    close(g.run(), expected)


@pytest.mark.parametrize("target", [BATCHING, CUDA], ids=["small", "cuda"])
def test_every_parameter_is_updated_in_place(target: Target) -> None:
    g = batched(prepared(transformer_step(layers=1)), target)
    run_passes(g.module, ["plan_memory"], Options(target), verify=True)
    assert "clone" not in steps(g)


def test_what_two_kernels_of_a_batch_read_is_not_overwritten() -> None:
    def build(x: Any, y: Any, z: Any) -> Any:
        return op("mul", x, z), op("mul", y, z)

    g = batched(prepared(graph(build, floats(4), floats(5), floats())))
    (batch,) = batches(g)
    shared = set(batch.members[0].buffers) & set(batch.members[1].buffers)
    (launch,) = launches(g)
    assert len(shared) == 1
    assert shared.isdisjoint(a for a, _ in launch.reusable)
    assert len(launch.reusable) == 2


def test_launches_that_a_call_waits_for_stay_apart() -> None:
    def build(x: Any, y: Any) -> Any:
        return op("matmul", op("exp", x), op("exp", y)), op("exp", x), op("exp", y)

    g = batched(prepared(graph(build, floats(3, 4), floats(4, 5))))
    waited = {o.owner for c in main_of(g.module).body.block.ops if c.name == "program.call"
              for o in c.operands}  # fmt: skip
    names = {o.kernel_name for o in waited if isinstance(o, LaunchOp)}
    assert names.isdisjoint(b.sym_name.data for b in batches(g))


def test_there_is_a_limit_and_a_target_without_batches() -> None:
    (whole,) = batches(batched(updates(5)))
    each = whole.count.value.data // 5
    limited = batched(updates(5), replace(CUDA, most_batched=2 * each))
    assert [len(b.members) for b in batches(limited)] == [2, 2]
    assert len(launches(limited)) == 3
    assert not batches(batched(updates(5), CPU))


def test_kernels_that_need_each_other_are_in_different_batches() -> None:
    def build(*x: Any) -> Any:
        once = [op("exp", a) for a in x]
        return [*once, *(op("sum", a, dim=(0,)) for a in once)]

    g = batched(prepared(graph(build, floats(4, 3), floats(5, 3))))
    close(g.run(), graph(build, floats(4, 3), floats(5, 3)).run())


def test_a_batch_reads_back() -> None:
    batch = BatchOp("both", 3, [Member("a", (0, 2)), Member("b", (1, 2))])
    batch.verify_()
    assert batch.members == [Member("a", (0, 2)), Member("b", (1, 2))]


@pytest.mark.parametrize(
    ("count", "members", "message"),
    [
        (1, [], "kernel.batch: as many lists of buffers as kernels, one at least"),
        (3, [Member("a", (0, 2))],
         "kernel.batch: its kernels use buffers [0, 2]; they must use each of 3"),
    ],
)  # fmt: skip
def test_malformed_batches_are_refused(count: int, members: list[Member], message: str) -> None:
    with pytest.raises(VerifyException) as error:
        BatchOp("x", count, members).verify_()
    assert str(error.value) == message


def test_a_plan_in_which_kernels_of_a_batch_meet_is_found() -> None:
    g = batched(updates(2))
    before = g.module.clone()
    run_passes(g.module, ["plan_memory"], Options(CUDA))
    check_plan(before, g.module)
    for kernel in g.module.ops:
        if isinstance(kernel, FuncOp):
            kernel.aliased = None
    with pytest.raises(IRError, match="overlap"):
        check_plan(before, g.module)
    assert np.all(np.isfinite(g.run()[0]))


def test_sizes_that_are_no_whole_vectors_do_not_slow_down_the_others() -> None:
    sizes = (16, 10, 32, 11)
    parameters = [floats(n, seed=n) for n in sizes]
    g = batched(prepared(graph(lambda *x: [op("exp", p) for p in x], *parameters)))
    kernels = {k.sym_name.data: k for k in g.module.ops if isinstance(k, FuncOp)}
    found = [[kernels[m.kernel].fixed_length for m in b.members] for b in batches(g)]
    assert sorted(map(sorted, found)) == [[10, 11], [16, 32]]
