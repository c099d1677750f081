"""The memory plan: offsets, peaks, writing in place, planted errors; and the serialised Program."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, UnitAttr, i64

from fusion_cases import (
    SMALL,
    close,
    floats,
    op,
    prepared,
    random_region,
    transformer_step,
    written,
)
from graph_cases import Graph, graph
from ostinato.codegen.program import serialize
from ostinato.ir.dialects.kernel import FuncOp
from ostinato.ir.dialects.program import (
    ArenaOp,
    CallOp,
    InputOp,
    LaunchOp,
    OutputOp,
)
from ostinato.ir.errors import IRError
from ostinato.ir.graph import SHARES, main_of
from ostinato.passes.memory.check import check_plan
from ostinato.passes.memory.place import ALIGNMENT, Block, place
from ostinato.passes.pipeline import Options, run_passes

# Placing.


def live_bytes(blocks: list[Block]) -> int:
    """The most bytes that live at one time: no plan needs less."""
    times = range(max(b.end for b in blocks) + 1)
    return max(
        sum(-(-b.size // ALIGNMENT) * ALIGNMENT for b in blocks if b.start <= t <= b.end)
        for t in times
    )


def random_blocks(seed: int, count: int) -> list[Block]:
    chooser = random.Random(seed)
    made: list[Block] = []
    for _ in range(count):
        start = chooser.randrange(40)
        size = chooser.choice([1, 64, 100, 1000, 4096, 70000])
        made.append(Block(size, start, start + chooser.randrange(1, 12)))
    return made


@pytest.mark.parametrize("seed", range(30))
def test_blocks_that_live_together_do_not_overlap(seed: int) -> None:
    blocks = random_blocks(seed, 40)
    top = place(blocks)
    for i, a in enumerate(blocks):
        assert a.number % ALIGNMENT == 0
        assert a.number >= 0
        assert a.number + a.size <= top
        for b in blocks[:i]:
            if a.start <= b.end and b.start <= a.end:
                assert a.number + a.size <= b.number or b.number + b.size <= a.number
    assert live_bytes(blocks) <= top <= 1.25 * live_bytes(blocks)


def test_a_chain_takes_two_blocks_of_memory() -> None:
    blocks = [Block(640, i, i + 1) for i in range(9)]
    assert place(blocks) == 2 * 640


def test_a_gap_is_taken_where_the_smallest_fits() -> None:
    low, high = Block(6400, 0, 9), Block(6400, 0, 9)
    between = [Block(640, 0, 3), Block(1280, 0, 3)]
    late = [Block(640, 5, 9), Block(1280, 5, 9)]
    assert place([low, high, *between, *late]) == 2 * 6400 + 1280 + 640
    assert {b.number for b in late} == {b.number for b in between}


def test_of_two_gaps_the_smaller_is_taken() -> None:
    wide, narrow = Block(64 * 1000, 0, 3), Block(64 * 500, 0, 3)
    above = [Block(64 * 900, 0, 9), Block(64 * 400, 0, 9)]
    late = Block(64 * 300, 5, 9)
    assert place([wide, narrow, *above, late]) == 64 * 2800
    assert (wide.number, narrow.number, late.number) == (0, 64 * 1900, 64 * 1900)


def test_nothing_takes_nothing() -> None:
    assert place([]) == 0


# Plans of regions.


def planned(g: Graph, options: Options | None = None) -> tuple[ModuleOp, ModuleOp]:
    """(stage `kernels`, stage `planned`) of a region at stage `simplified`; `g` is the latter."""
    expected = g.run()
    run_passes(g.module, ["fuse", "lower"], options, verify=True)
    before = g.module.clone()
    run_passes(g.module, ["plan_memory"], options, verify=True)
    check_plan(before, g.module)
    close(g.run(), expected)
    return before, g.module


def arena_bytes(module: ModuleOp) -> int:
    """The size of the arena."""
    size = main_of(module).attributes["program.arena_bytes"]
    assert isinstance(size, IntegerAttr)
    return size.value.data


def made(module: ModuleOp, kind: type[Any]) -> list[Any]:
    """The ops of a kind in `@main`, in order."""
    return [o for o in main_of(module).body.block.ops if isinstance(o, kind)]


def test_a_chain_of_products_takes_two_buffers() -> None:
    def build(x: Any) -> Any:
        y = x
        for _ in range(6):
            y = op("matmul", y, x)
        return y

    _, module = planned(prepared(graph(build, floats(32, 32))))
    assert arena_bytes(module) == 2 * 32 * 32 * 4


def test_a_pointwise_kernel_writes_over_what_dies() -> None:
    def build(x: Any) -> Any:
        y = op("matmul", x, x)
        return op("matmul", op("tanh", y), x)

    _, module = planned(prepared(graph(build, floats(32, 32))))
    assert arena_bytes(module) == 32 * 32 * 4
    (kernel,) = [k for k in module.ops if isinstance(k, FuncOp)]
    assert kernel.aliased_numbers == (0, 1)


def shared_bytes(g: Graph, reuse: bool) -> bool:
    """Whether two blocks of the plan of a region share bytes."""
    module = g.module.clone()
    run_passes(module, ["fuse", "lower", "plan_memory"], Options(SMALL, reuse=reuse), verify=True)
    spans = set[tuple[int, int]]()
    for o in made(module, ArenaOp):
        bits = o.memory.type.element_type.bitwidth
        start = o.offset.value.data
        spans.add((start, start + math.prod(o.memory.type.get_shape()) * max(bits // 8, 1)))
    ordered = sorted(spans)
    return any(a[0] < b[0] < a[1] or b[0] == a[0] for a, b in itertools.pairwise(ordered))


def test_without_reuse_no_two_blocks_share_memory() -> None:
    regions = [prepared(random_region(seed)) for seed in range(100, 106)]
    assert not any(shared_bytes(g, reuse=False) for g in regions)
    assert any(shared_bytes(g, reuse=True) for g in regions)


def test_what_is_read_later_is_not_written_over() -> None:
    def build(x: Any) -> Any:
        y = op("matmul", x, x)
        z = op("tanh", y)
        return op("matmul", z, y)

    _, module = planned(prepared(graph(build, floats(32, 32))))
    assert arena_bytes(module) == 2 * 32 * 32 * 4


def test_results_lie_in_fresh_memory() -> None:
    _, module = planned(prepared(graph(lambda x: (op("exp", x), op("neg", x)), floats(6, 5))))
    assert arena_bytes(module) == 0
    assert [o.index.value.data for o in made(module, OutputOp)] == [0, 1]


W, G = floats(16, 16), floats(16, 16, seed=1)
X = floats(3)

# (region, written, inputs, copies): what is written back lies in its argument, or is copied there.
WRITES: dict[str, tuple[Callable[..., Any], list[tuple[int, int]], tuple[Any, ...], int]] = {
    "update": (lambda w, g: [w - g * 0.1], [(0, 0)], (W, G), 0),
    "product over an unused argument": (
        lambda w, g: [op("matmul", g, g)], [(0, 0)], (W, G), 0),
    "product of itself": (lambda w, g: [op("matmul", w, g)], [(0, 0)], (W, G), 1),
    "transposed into itself": (
        lambda w, g: [op("transpose", w, dim0=0, dim1=1)], [(0, 0)], (W, G), 1),
    "exchange": (lambda w, g: [g, w], [(0, 0), (1, 1)], (W, G), 1),
    "old value returned": (lambda w, g: [w - g, w], [(0, 0)], (W, G), 0),
    "new value returned": (
        lambda w, g: (lambda y: [y, y])(w - g), [(0, 0)], (W, G), 0),
    "old and new value read": (
        lambda w, g: (lambda y: [y, op("matmul", y, w)])(w - op("matmul", g, w)),
        [(0, 0)], (W, G), 1),
    "unchanged": (lambda w, g: [w], [(0, 0)], (W, G), 0),
    "row of itself": (
        lambda w, g: [w - op("sum", w, dim=(1,), keepdim=True)], [(0, 0)], (W, G), 0),
    "column of itself": (
        lambda w, g: [w - op("sum", w, dim=(0,), keepdim=True)], [(0, 0)], (W, G), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_results_are_written_back_in_place_where_nothing_reads_the_old_elements(name: str) -> None:
    build, writes, inputs, copies = WRITES[name]
    g = prepared(written(build, writes, *inputs))
    _, module = planned(g)
    found = [o for o in made(module, CallOp) if o.callee.data == "clone"]
    assert len(found) == copies
    spec = serialize(module)
    for result, argument in writes:
        assert spec["outputs"][result]["writes"] == argument


def test_a_training_step_writes_all_state_in_place() -> None:
    g = prepared(transformer_step(layers=1))
    _, module = planned(g)
    calls = {o.callee.data for o in made(module, CallOp)}
    assert "clone" not in calls
    spec = serialize(module)
    fresh = [o for o in spec["outputs"] if o["writes"] is None and o["input"] is None]
    assert len(fresh) == 1
    assert fresh[0]["sizes"] == []


@pytest.mark.parametrize("seed", range(100, 112))
def test_plans_of_random_regions(seed: int) -> None:
    planned(prepared(random_region(seed)), Options(SMALL))


# Planted errors.


def products(x: Any, y: Any) -> Any:
    a = op("matmul", x, y)
    b = op("matmul", a, y)
    c = op("matmul", a, b)
    return op("exp", op("matmul", op("tanh", c), b)) + op("matmul", b, a)


def arenas(module: ModuleOp) -> list[ArenaOp]:
    return made(module, ArenaOp)


def move(o: ArenaOp, offset: int) -> None:
    o.offset = IntegerAttr(offset, i64)


def overlapping(module: ModuleOp) -> None:
    first, second = arenas(module)[:2]
    move(second, first.offset.value.data)


def half_overlapping(module: ModuleOp) -> None:
    first, second = arenas(module)[:2]
    move(second, first.offset.value.data + ALIGNMENT)


def unaligned(module: ModuleOp) -> None:
    move(arenas(module)[0], 4)


def beyond(module: ModuleOp) -> None:
    move(arenas(module)[-1], arena_bytes(module))


def exchanged(module: ModuleOp) -> None:
    """Two calls, the later of which reads what the earlier makes."""
    first, second = made(module, CallOp)[:2]
    second.detach()
    main_of(module).body.block.insert_op_before(second, first)


def shortened(module: ModuleOp) -> None:
    last = made(module, LaunchOp)[-1]
    last.detach()


def misplaced(module: ModuleOp) -> None:
    """The result is stored in the arena instead."""
    (output,) = made(module, OutputOp)
    into = arenas(module)[0].memory
    output.memory.replace_all_uses_with(into)


def not_aliased(module: ModuleOp) -> None:
    for k in module.ops:
        if isinstance(k, FuncOp):
            k.properties.pop("aliased", None)


PLANTED = [overlapping, half_overlapping, unaligned, beyond, exchanged, shortened, misplaced,
           not_aliased]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED, ids=lambda f: f.__name__)
def test_planted_errors_are_found(plant: Callable[[ModuleOp], None]) -> None:
    before, module = planned(prepared(graph(products, floats(16, 16), floats(16, 16, seed=1))))
    plant(module)
    with pytest.raises(IRError, match="plan: "):
        check_plan(before, module)


def test_a_write_to_the_wrong_argument_is_found() -> None:
    g = prepared(written(lambda w, g: [w - g], [(0, 0)], W, G))
    before, module = planned(g)
    uses = made(module, InputOp)
    (launch,) = made(module, LaunchOp)
    other = next(o for o in uses if o.argument is main_of(module).args[1])
    launch.operands[len(launch.arguments)] = other.memory
    with pytest.raises(IRError, match="plan: "):
        check_plan(before, module)


# The serialised Program.


def test_serialised_program() -> None:
    def build(x: Any, y: Any, scale: Any) -> Any:
        z = op("matmul", x, op("transpose", y, dim0=0, dim1=1))
        return op("exp", z * scale), op("argmax", z, dim=1), y

    g = prepared(graph(build, floats(4, 6), floats(5, 6), 0.5))
    main_of(g.module).attributes[SHARES] = UnitAttr()
    _, module = planned(g)
    spec = serialize(module)
    assert json.loads(json.dumps(spec)) == spec
    assert spec["format"] == 3
    assert spec["arena"] == arena_bytes(module) == 128
    assert spec["inputs"] == [
        {"dtype": "float32", "sizes": [4, 6], "strides": [6, 1], "number": False, "host": False},
        {"dtype": "float32", "sizes": [5, 6], "strides": [6, 1], "number": False, "host": False},
        {"dtype": "float64", "sizes": [], "strides": [], "number": True, "host": False},
    ]
    assert [(o["dtype"], o["sizes"], o["writes"], o["input"]) for o in spec["outputs"]] == [
        ("float32", [4, 5], None, None),
        ("int64", [4], None, None),
        ("float32", [5, 6], None, 1),
    ]
    product, *rest = spec["instructions"]
    x, y, z = (spec["tensors"][i] for i in (*product["operands"], *product["results"]))
    assert product["op"] == "matmul"
    assert product["attrs"] == []
    assert (x["space"], x["index"], x["strides"], x["start"]) == ("input", 0, [6, 1], 0)
    assert (y["space"], y["index"], y["sizes"], y["strides"]) == ("input", 1, [6, 5], [1, 6])
    assert (z["space"], z["offset"]) == ("arena", 0)
    launch = next(i for i in rest if i["kind"] == "launch")
    assert launch["kernel"] in spec["kernels"]
    assert launch["extent"] == 20
    assert launch["lines"][0] == "model.py:12"
    call = next(i for i in rest if i["kind"] == "call")
    assert call["op"] == "argmax"
    assert call["attrs"] == [1, False]


def test_serialised_attributes_and_absent_operands() -> None:
    def build(q: Any, weights: Any, rng: Any) -> Any:
        drawn = op("multinomial", weights, 3, replacement=True, rng=rng)
        return op("scaled_dot_product_attention", q, q, q), drawn, op("cumsum", weights, dim=0)

    inputs = floats(2, 4, 8), np.abs(floats(5)), np.array([1, 2])
    _, module = planned(prepared(graph(build, *inputs)))
    calls = {i["op"]: i for i in serialize(module)["instructions"] if i["kind"] == "call"}
    attention = calls["attention"]
    assert attention["operands"][3] == -1
    assert attention["attrs"] == [False, pytest.approx(8**-0.5)]
    assert len(attention["results"]) == 2
    assert calls["multinomial"]["attrs"] == [3, True]
    assert calls["cumsum"]["attrs"] == [0]


def test_serialised_constants() -> None:
    """Empty tensors are made by native ops, which take numbers from memory."""
    _, module = planned(prepared(graph(lambda x: (op("full", (0, 2), 2.5), x * 2.0), X)))
    spec = serialize(module)
    assert spec["constants"] == [{"dtype": "float64", "value": 2.5}]
    (call,) = [i for i in spec["instructions"] if i["kind"] == "call"]
    assert spec["tensors"][call["operands"][0]]["space"] == "constant"
