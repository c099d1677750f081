"""What the CPU computes of a region for a GPU, and how its values get there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, UnitAttr

from fusion_cases import floats, op, prepared, steps, through_all_stages, written
from graph_cases import Graph, graph
from ostinato.codegen.program import serialize
from ostinato.ir.dialects.program import SLOT_BYTES, CallOp, LaunchOp, UploadOp
from ostinato.ir.dtypes import float32, float64
from ostinato.ir.errors import IRError
from ostinato.ir.graph import HOST, main_of
from ostinato.passes.fusion.types import shape_of
from ostinato.passes.memory.check import check_plan
from ostinato.passes.pipeline import Options, run_passes
from ostinato.passes.split import split
from ostinato.passes.target import CUDA

STATE = np.array([7, 40], "int64")
TWO = np.array(2.0, "float64")


def on_host(g: Graph, *arguments: int) -> Graph:
    """`g` with some arguments in the CPU's memory."""
    func = main_of(g.module)
    if arguments:
        func.arg_attrs = ArrayAttr(
            [DictionaryAttr({HOST: UnitAttr()} if i in arguments else {})
             for i in range(len(func.args))]
        )  # fmt: skip
    return g


@dataclass(frozen=True)
class Case:
    """A region, its arguments on the host, the calls that the CPU makes and what is uploaded."""

    build: Callable[..., Any]
    inputs: Sequence[Any]
    hosted: tuple[int, ...]
    calls: list[str]
    uploads: int
    writes: tuple[tuple[int, int], ...] = ()


def drawn(x: Any, state: Any) -> Any:
    """Two draws, and the state after them."""
    first = op("rand", size=(4, 6), dtype=float32, rng=state)
    later = op("rng_advance", state, count=24)
    second = op("randn", size=(4, 6), dtype=float32, rng=later)
    return x + first * second, op("rng_advance", later, count=24)


CASES = {
    "a number is read where it lies": Case(lambda x, a: x * a, [floats(4, 6), 0.5], (1,), [], 1),
    "products of numbers are the CPU's": Case(
        lambda x, a, b: x * (a * b + 1.0), [floats(4, 6), 0.5, 3.0], (1, 2), ["mul", "add"], 1),
    "a tensor of one element goes along": Case(
        lambda x, a: x * op("sqrt", a), [floats(4, 6), TWO], (1,), ["sqrt"], 1),
    "a random state is advanced, read twice and written back": Case(
        drawn, [floats(4, 6), STATE], (1,), ["rng_advance", "rng_advance", "clone"], 2, ((1, 1),)),
    "a number that the device makes is the device's": Case(
        lambda x, a: op("sum", x, dim=None, keepdim=False) * a, [floats(4, 6), 0.5], (1,), [], 1),
    "a tensor made from a number is the device's": Case(
        lambda x, a: x + op("full", size=(4, 6), fill_value=a, dtype=float32), [floats(4, 6), 0.5],
        (1,), [], 1),
    "a number spread over axes is the device's": Case(
        lambda x, a: op("matmul", op("expand", op("to", a, dtype=float32), size=(4, 6)), x),
        [floats(6, 3), TWO], (1,), ["to"], 1),
    "what the CPU computes may be returned": Case(
        lambda x, a: (x * a, a + 1.0), [floats(4, 6), TWO], (1,), ["add"], 1),
    "a tensor of the device takes a number": Case(
        lambda x, a, t: (x * a, op("to", a, dtype=float64) * 2.0),
        [floats(4, 6), 0.5, TWO], (1,), ["to", "mul"], 2, ((1, 2),)),
    "nothing on the host": Case(lambda x, a: x * a, [floats(4, 6), 0.5], (), [], 0),
}  # fmt: skip


def lowered(case: Case) -> Graph:
    """The region at stage `planned`, checked at every stage."""
    made = (written(case.build, case.writes, *case.inputs) if case.writes
            else graph(case.build, *case.inputs))  # fmt: skip
    return through_all_stages(prepared(on_host(made, *case.hosted), CUDA), CUDA)


@pytest.mark.parametrize("name", CASES)
def test_the_cpu_computes_what_follows_from_numbers_alone(name: str) -> None:
    case = CASES[name]
    g = lowered(case)
    block = list(main_of(g.module).body.block.ops)
    hosted = [o for o in block if isinstance(o, CallOp) and HOST in o.attributes]
    assert [o.callee.data for o in hosted] == case.calls
    uploads = [o for o in block if isinstance(o, UploadOp)]
    assert sum(len(o.arguments) for o in uploads) == case.uploads
    first = next((i for i, o in enumerate(block) if isinstance(o, LaunchOp)), len(block))
    assert all(block.index(o) < first for o in uploads)


def test_without_a_host_kernels_compute_all_of_it() -> None:
    g = through_all_stages(prepared(graph(lambda x, a, b: x * (a * b + 1.0), floats(4), 2.0, 3.0)))
    assert set(steps(g)) == {"launch"}


def test_slots_lie_side_by_side_and_stay_aligned() -> None:
    spec = serialize(
        lowered(CASES["a random state is advanced, read twice and written back"]).module
    )
    (upload,) = [i for i in spec["instructions"] if i["kind"] == "upload"]
    tensors = [spec["tensors"][t] for t in upload["results"]]
    places = [t["offset"] + 8 * t["start"] for t in tensors]
    assert places == [places[0], places[0] + SLOT_BYTES]
    assert places[0] % 64 == 0
    assert {t["space"] for t in tensors} == {"arena"}


def test_the_program_says_what_lies_on_the_host() -> None:
    spec = serialize(lowered(CASES["what the CPU computes may be returned"]).module)
    assert [i["host"] for i in spec["inputs"]] == [False, True]
    assert [o["host"] for o in spec["outputs"]] == [False, True]
    state = serialize(
        lowered(CASES["a random state is advanced, read twice and written back"]).module
    )
    assert state["host"] > 0
    assert [o["writes"] for o in state["outputs"]] == [None, 1]


def test_a_plan_whose_kernel_reads_the_host_is_refused() -> None:
    g = prepared(on_host(graph(lambda x, a: x * a, floats(4), 0.5), 1), CUDA)
    run_passes(g.module, ["fuse", "lower"], Options(CUDA))
    before = g.module.clone()
    run_passes(g.module, ["plan_memory"], Options(CUDA))
    check_plan(before, g.module)
    (launch,) = [o for o in main_of(g.module).body.block.ops if isinstance(o, LaunchOp)]
    (upload,) = [o for o in main_of(g.module).body.block.ops if isinstance(o, UploadOp)]
    at = list(launch.operands).index(upload.into[0])
    launch.operands[at] = upload.arguments[0]
    with pytest.raises(IRError, match="touches memory of the host"):
        check_plan(before, g.module)


def test_backward_keeps_states_on_the_host() -> None:
    def joint(x: Any, state: Any, g: Any) -> Any:
        later = op("rng_advance", state, count=24)
        keep = op("rand", size=(4, 6), dtype=float32, rng=later)
        return x * keep, g * keep

    region = on_host(graph(joint, floats(4, 6), STATE, floats(4, 6)), 1)
    parts = split(prepared(region, CUDA).module, 2, 1, target=replace(CUDA, byte_cost=1.0))
    backward = main_of(parts.backward)
    given: Any = backward.arg_attrs
    hosted = [HOST in a.data for a in given.data]
    shapes = [shape_of(a) for a in backward.args]
    assert [shape for shape, host in zip(shapes, hosted, strict=True) if host] == [(2,)]
