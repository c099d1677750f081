"""Lowering: the loops of kernels, how they are shared and named, and that LLVM runs them alike."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation

from fusion_cases import (
    CPU,
    SMALL,
    TARGETS,
    close,
    floats,
    integers,
    op,
    prepared,
    random_region,
    transformer_step,
)
from graph_cases import Graph, graph, same_bits
from ostinato.codegen.llvm.backend import LLVMBackend
from ostinato.codegen.llvm.load import LoadedKernels
from ostinato.ir.dialects.kernel import ForOp, FuncOp, LoadOp, LocalOp, ReduceOp
from ostinato.ir.dialects.program import CallOp, LaunchOp
from ostinato.ir.dtypes import bfloat16, float32
from ostinato.ir.graph import main_of
from ostinato.ir.interpret import program
from ostinato.ir.locations import lines_of
from ostinato.passes.pipeline import Options, run_passes
from ostinato.passes.target import Target

Array = Any


def lowered(build: Callable[..., Any], *inputs: Any, target: Target = CPU) -> Graph:
    """A region at stage `kernels`."""
    g = prepared(graph(build, *inputs))
    run_passes(g.module, ["fuse", "lower"], Options(target), verify=True)
    return g


def kernels(g: Graph) -> list[FuncOp]:
    """The kernels of a module, in order."""
    return [k for k in g.module.ops if isinstance(k, FuncOp)]


def launched(g: Graph) -> list[str]:
    """The kernel of each launch, in order."""
    return [o.kernel_name for o in main_of(g.module).body.block.ops if isinstance(o, LaunchOp)]


def shape(kernel: FuncOp) -> str:
    """The loops of a kernel: `parallel 64 [max 48v, sum 48v, for 48v]`."""

    def inner(top: Operation) -> str:
        found: list[str] = []
        for o in top.regions[0].block.ops:
            if isinstance(o, (ForOp, ReduceOp)):
                kind = "for" if isinstance(o, ForOp) else "+".join(o.kinds)
                nested = inner(o)
                vector = "v" if o.vector is not None else ""
                found.append(f"{kind} {o.trip_count}{vector}{nested and f' [{nested}]'}")
        return ", ".join(found)

    vector = "v" if kernel.vector is not None else ""
    body = inner(kernel)
    return f"parallel {kernel.fixed_length}{vector}{body and f' [{body}]'}"


ROW_MAJOR = replace(CPU, strided_results=frozenset())
X, W = floats(64, 48), floats(48, seed=1)
PEAK = 100.0
"""An element so much larger than others makes exp overflow where it was not subtracted."""


def peaked(x: Array, *at: Any) -> Array:
    """A copy of `x` with `PEAK` added to one of its elements."""
    made = x.copy()
    made[at] += PEAK
    return made


def short_runs(x: Any) -> Any:
    """(64, 4, 12) to (64, 48), of which four elements are side by side in memory at no place."""
    return op("reshape", op("transpose", x, dim0=1, dim1=2), shape=(64, 48))


# (region, inputs, loops of each kernel)
LOOPS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], list[str]]] = {
    "flat": (lambda x: op("exp", x) + 1.0, (X,), ["parallel 3072v"]),
    "scalar": (lambda x: op("exp", x), (floats(),), ["parallel 1v"]),
    "broadcast over rows": (lambda x, w: x + w, (X, W), ["parallel 64 [for 48v]"]),
    "softmax": (
        lambda x: op("softmax", x, dim=-1),
        (peaked(X, 0, -1),),
        ["parallel 64 [max 48v, sum 48v, for 48v]"],
    ),
    "sum of rows": (lambda x: op("sum", x, dim=(1,)), (X,), ["parallel 64 [sum 48v]"]),
    "sum of columns": (
        lambda x: op("sum", x, dim=(0,)),
        (X,),
        ["parallel 1 [for 48v [sum 64]]"],
    ),
    "middle axis": (
        lambda x: op("amax", x, dim=(1,)),
        (floats(6, 5, 128),),
        ["parallel 12 [for 64v [max 5]]"],
    ),
    "long columns": (
        lambda x: op("sum", x, dim=(0,)),
        (floats(512, 128),),
        ["parallel 16 [for 128v, for 32 [for 128v]]", "parallel 2 [for 64v [sum 16]]"],
    ),
    "everything": (
        lambda x: op("sum", x),
        (floats(1 << 17),),
        ["parallel 8 [sum 16384v]", "parallel 1 [sum 8v]"],
    ),
    "rows and columns": (
        lambda x: (op("softmax", x, dim=-1), op("sum", x, dim=(0,))),
        (peaked(floats(256, 64), 1, -1),),
        [
            "parallel 16 [for 64v, for 16 [max 64v, sum 64v, for 64v]]",
            "parallel 1 [for 64v [sum 16]]",
        ],
    ),
    "parts side by side": (
        lambda x: op("cat", [op("exp", x), x + 1.0, x * 2.0, x * 3.0], dim=1),
        (X,),
        ["parallel 64 [for 48v]"],
    ),
    "parts one after the other": (
        lambda x: op("cat", [op("exp", x), x + 1.0, x * 2.0, x * 3.0], dim=0),
        (X,),
        ["parallel 3072v"],
    ),
    "parts read in short runs": (
        lambda x: op("cat", [short_runs(x) * float(i) for i in range(4)], dim=1),
        (floats(64, 4, 12),),
        ["parallel 3072v"],
    ),
    "heads side by side": (
        lambda x: op(
            "softmax", op("reshape", op("transpose", x, dim0=1, dim1=2), shape=(10, 64)), dim=-1
        ),
        (peaked(floats(2, 4, 5, 16), 0, -1, 0, -1),),
        ["parallel 10 [max 4 [max 16v], sum 4 [sum 16v], for 4 [for 16v]]"],
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops(name: str) -> None:
    build, inputs, expected = LOOPS[name]
    assert [shape(k) for k in kernels(lowered(build, *inputs))] == expected


# (region, inputs, the fewest and most iterations that are worth a thread)
GRAINS: dict[str, tuple[Callable[..., Any], tuple[Array, ...], int, int]] = {
    "plain": (lambda x: x + 1.0, (X,), 16384, 16384),
    "costly": (lambda x: op("tanh", op("exp", x)), (X,), 3000, 8000),
    "plain rows": (lambda x, w: x + w, (X, W), 341, 341),
    "costly rows": (lambda x, w: op("tanh", x) / w, (X, W), 50, 120),
    "passes over rows": (lambda x: op("softmax", x, dim=-1), (X,), 30, 120),
    "columns": (lambda x: op("sum", x, dim=(0,)), (floats(100, 64),), 2, 2),
    "costly columns": (lambda x: op("sum", op("exp", x), dim=(0,)), (floats(100, 64),), 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAINS)
def test_costly_elements_are_worth_a_thread_sooner(name: str) -> None:
    build, inputs, least, most = GRAINS[name]
    (kernel,) = kernels(lowered(build, *inputs))
    assert kernel.grain is not None
    assert least <= kernel.grain.value.data <= most


def test_costly_values_are_kept_between_passes_and_cheap_ones_are_not() -> None:
    (kernel,) = kernels(lowered(lambda x: op("softmax", x, dim=-1), X))
    assert sum(isinstance(o, LocalOp) for o in kernel.walk()) == 1
    assert sum(o.name == "math.exp" for o in kernel.walk()) == 1
    (kernel,) = kernels(lowered(lambda x: op("var", x, dim=(1,)), X))
    assert not any(isinstance(o, LocalOp) for o in kernel.walk())


def test_what_a_pass_stored_is_read_back() -> None:
    """The sum is an output; later passes read it instead of its two operands."""

    def build(x: Any, y: Any) -> Any:
        h = x + y
        return h, op("softmax", h, dim=-1)

    (kernel,) = kernels(lowered(build, X, X * 2))
    adds = sum(o.name == "arith.addf" for o in kernel.walk())
    assert adds == 1
    loads = Counter(k.buffer for k in kernel.walk() if isinstance(k, LoadOp))
    x, y, stored = (loads[b] for b in kernel.buffers[:3])
    assert (x, y, stored) == (1, 1, 1)


def test_rows_too_long_for_scratch_are_computed_again() -> None:
    long = floats(2, 40000)
    (kernel,) = kernels(lowered(lambda x: op("softmax", x, dim=-1), long))
    assert not any(isinstance(o, LocalOp) for o in kernel.walk())
    assert sum(o.name == "math.exp" for o in kernel.walk()) == 2


def test_equal_fusions_share_a_kernel() -> None:
    def build(*xs: Any) -> Any:
        return [op("softmax", op("matmul", x, x), dim=-1) for x in xs]

    g = lowered(build, *(floats(8, 8, seed=i) for i in range(4)))
    assert len(kernels(g)) == 1
    assert launched(g) == ["amax_sum_div_0"] * 4


@pytest.mark.parametrize(
    "pair",
    [(0.0, -0.0), (2.0, 3.0), (float("inf"), float("-inf"))],
    ids=str,
)
def test_fusions_with_other_literals_do_not_share_a_kernel(pair: tuple[float, float]) -> None:
    def build(x: Any, y: Any) -> Any:
        return op("matmul", x, x) * pair[0], op("matmul", y, y) * pair[1]

    g = lowered(build, floats(8, 8), floats(8, 8, seed=1))
    assert len(set(launched(g))) == 2
    a, b = g.run()
    expected = [np.signbit((x @ x) * np.float32(p)) for x, p in zip(g.inputs, pair, strict=True)]
    np.testing.assert_array_equal(np.signbit(a), expected[0])
    np.testing.assert_array_equal(np.signbit(b), expected[1])


def test_layers_of_a_model_share_kernels() -> None:
    def count(layers: int) -> int:
        g = prepared(transformer_step(layers))
        run_passes(g.module, ["fuse", "lower"])
        return len(kernels(g))

    # The first and the last layer differ from those between.
    assert count(4) == count(3)


def test_kernels_are_named_after_what_they_do_and_have_lines() -> None:
    g = lowered(lambda x: op("gelu", x, approximate="tanh"), X)
    (kernel,) = kernels(g)
    assert kernel.sym_name == StringAttr("gelu_0")
    lines = {line.line.data for o in kernel.walk() for line in lines_of(o.location)}
    assert lines == {10}
    (launch,) = [o for o in main_of(g.module).body.block.ops if isinstance(o, LaunchOp)]
    assert [line.line.data for line in lines_of(launch.location)] == [10]


def test_in_place_pairs_are_those_that_read_an_element_before_they_store_it() -> None:
    def pairs(build: Callable[..., Any], *inputs: Any) -> list[tuple[int, int]]:
        block = main_of(lowered(build, *inputs).module).body.block
        (launch,) = [o for o in block.ops if isinstance(o, LaunchOp)]
        return launch.reusable

    assert pairs(lambda x: op("exp", x), X) == [(0, 1)]
    assert pairs(lambda x, y: (x + y, x * y), X, X * 2) == [(0, 2), (0, 3), (1, 2), (1, 3)]
    # Read at other elements than are stored.
    assert pairs(lambda x: op("transpose", x, dim0=0, dim1=1) * 1.0, floats(8, 8)) == []
    # Read once more after the store: y is stored in the first pass, x read in the last.
    assert pairs(lambda x: (x * 2.0, op("softmax", x, dim=-1)), X) == [(0, 2)]
    # The sum of columns adds up in its result from the start on.
    assert pairs(lambda x: op("sum", x, dim=(0,)), floats(1, 8)) == [(0, 1)]


def test_masked_gathers_give_nan_outside() -> None:
    g = lowered(lambda x, i: op("index_select", x, dim=0, index=i), X, np.array([3, 64, -1, 0]))
    (found,) = g.run()
    np.testing.assert_array_equal(found[[0, 3]], X[[3, 0]])
    assert np.isnan(found[1:3]).all()


def test_layouts_save_a_copy() -> None:
    def build(q: Any, w: Any) -> Any:
        a = op("scaled_dot_product_attention", q, q, q)
        rows = op("reshape", op("transpose", a, dim0=1, dim1=2), shape=(2, 8, 12))
        return op("matmul", rows, w), op("exp", a)

    inputs = floats(2, 3, 8, 4), floats(12, 5, seed=1)
    found: dict[str, Graph] = {}
    for name, target in (("row-major", ROW_MAJOR), ("any", CPU)):
        g = lowered(build, *inputs, target=target)
        found[name] = g
        close(g.run(), prepared(graph(build, *inputs)).run())
    assert len(launched(found["row-major"])) == 2
    assert len(launched(found["any"])) == 1
    calls = [o for o in main_of(found["any"].module).walk() if isinstance(o, CallOp)]
    assert calls[0].strides == [(96, 4, 12, 1), ()]


# LLVM.


def run_compiled(g: Graph) -> list[Array]:
    """The results with kernels compiled; everything else is interpreted."""
    loaded = LoadedKernels(LLVMBackend().build(kernels(g)))

    def run(kernel: FuncOp, buffers: list[Array]) -> None:
        pointers = (ctypes.c_void_p * len(buffers))(*(b.ctypes.data for b in buffers))
        address = loaded.addresses[kernel.sym_name.data]
        entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
        extent = kernel.fixed_length
        middle = extent // 2
        # Two threads at most take a half each; the second half first shows that order is free.
        entry(ctypes.addressof(pointers), middle, extent)
        entry(ctypes.addressof(pointers), 0, middle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "run_kernel", run)
        return g.run()


COMPILED: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    name: (build, inputs) for name, (build, inputs, _) in LOOPS.items()
} | {
    "loss": (
        lambda x, t: (
            op("cross_entropy", x, t),
            op("cross_entropy_backward", op("full", (), 1.0), x, t, -100, "mean", 0.1),
        ),
        (X, integers(64, below=48)),
    ),
    "padded": (lambda x: op("pad", op("exp", x), pad=(1, 2, 3, 0), value=2.0), (X,)),
    "drawn": (
        lambda x, rng: op("dropout", op("gelu", x), 0.25, rng=rng),
        (X, np.array([7, 11])),
    ),
    "gathered": (
        lambda x, i: op("softmax", op("index_select", x, dim=0, index=i), dim=-1),
        (X, integers(33, below=64)),
    ),
    "half": (
        lambda x: op("to", op("softmax", op("to", x, dtype=bfloat16), dim=-1), dtype=float32),
        (X,),
    ),
}


@pytest.mark.parametrize("target", [CPU, SMALL], ids=["cpu", "small"])
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_kernels_give_the_interpreter_s_bits(name: str, target: Target) -> None:
    build, inputs = COMPILED[name]
    g = lowered(build, *inputs, target=target)
    same_bits(run_compiled(g), g.run())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(20, 26))
def test_compiled_random_regions_give_the_interpreter_s_bits(seed: int, target: str) -> None:
    g = prepared(random_region(seed))
    run_passes(g.module, ["fuse", "lower", "plan_memory"], Options(TARGETS[target]))
    same_bits(run_compiled(g), g.run())


def test_a_compiled_training_step_gives_the_interpreter_s_bits() -> None:
    g = prepared(transformer_step(layers=1))
    run_passes(g.module, ["fuse", "lower", "plan_memory"], Options(CPU))
    same_bits(run_compiled(g), g.run())
