"""Whole Programs for a GPU: planned memory, launches in place of calls, kernels and their names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fusion_cases import (
    close,
    floats,
    op,
    prepared,
    through_all_stages,
)
from graph_cases import Graph, graph
from ostinato.codegen.triton.container import records
from ostinato.codegen.triton.program import gpu_program
from ostinato.codegen.triton.templates import TEMPLATES
from ostinato.codegen.triton.templates.call import Settings
from ostinato.ir.dtypes import float32
from ostinato.ir.ops.attention import attention, attention_backward
from ostinato.passes.target import CUDA, Kernels
from triton_program import GpuProgram
from triton_runner import Interpreter

TARGET = replace(CUDA, kernels={name: Kernels(t.take, t.scratch) for name, t in TEMPLATES.items()})


def planned(g: Graph) -> Graph:
    return through_all_stages(prepared(g, TARGET), TARGET)


def attend(rows: int, causal: bool) -> Graph:
    """Self-attention with projections in one tensor, heads side by side, and its gradient."""

    def build(qkv: Any, grad: Any) -> Any:
        parts = op("permute", op("reshape", qkv, shape=(2, rows, 3, 2, 16)), dims=(2, 0, 3, 1, 4))
        query, key, value = (op("select", parts, dim=0, index=i) for i in range(3))
        out, logsumexp = attention(query, key, value, None, causal, 0.25)
        joined = op("reshape", op("permute", out, dims=(0, 2, 1, 3)), shape=(2, rows, 32))
        g = op("permute", op("reshape", grad, shape=(2, rows, 2, 16)), dims=(0, 2, 1, 3))
        back = attention_backward(g, query, key, value, out, logsumexp, None, causal, 0.25)
        return joined, *back

    return graph(build, floats(2, rows, 96), floats(2, rows, 32, seed=1))


@pytest.mark.parametrize(("rows", "kernels"), [(20, 2), (140, 3)])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_launched(triton: Interpreter, rows: int, kernels: int, causal: bool) -> None:
    g = planned(attend(rows, causal))
    program = GpuProgram(g.module)
    assert sum(name.startswith("attention_") for name in program.steps) == kernels
    assert all(step["kind"] == "launch" for step in program.spec["instructions"])
    close(program.run(triton, g.inputs), g.run())


def packed(rows: int, order: tuple[int, ...], axis: int, shared: bool = False) -> Graph:
    """The gradient of a tensor whose slices `order` along `axis` are query, key and value, and its
    sums of columns; where it is `shared`, a part of it is used elsewhere too."""

    def build(x: Any, g: Any) -> Any:
        out, logsumexp = attention(x, x, x, None, True, 0.25)
        parts = attention_backward(g, x, x, x, out, logsumexp, None, True, 0.25)
        size = list(x.shape)
        size.insert(axis, 3)
        zeros = op("full", tuple(size), 0.0, dtype=float32)
        scattered = [op("select_scatter", zeros, part, dim=axis, index=i)
                     for part, i in zip(parts, order, strict=True)]  # fmt: skip
        total = scattered[2] + scattered[0] + scattered[1]
        across = [0, 3, 1, 2, 4] if axis == 1 else [1, 3, 0, 2, 4]
        flat = op("reshape", op("permute", total, dims=tuple(across)), shape=(2, rows, 96))
        results = (flat, op("sum", flat, dim=(0, 1)))
        return (*results, parts[1] * 2.0) if shared else results

    return graph(build, floats(2, 2, rows, 16), floats(2, 2, rows, 16, seed=1))


@pytest.mark.parametrize(
    ("rows", "order", "axis", "shared", "stacked"),
    [(20, (0, 1, 2), 0, False, True), (140, (0, 1, 2), 1, False, True),
     (20, (1, 0, 2), 0, False, False), (20, (0, 1, 2), 0, True, False)],
)  # fmt: skip
def test_gradients_are_written_into_one_tensor(
    triton: Interpreter, rows: int, order: tuple[int, ...], axis: int, shared: bool, stacked: bool
) -> None:
    g = planned(packed(rows, order, axis, shared))
    program = GpuProgram(g.module)
    backward = [s for s in program.spec["instructions"] if "attention_backward" in s["kernel"]]
    written = {
        t for s in backward for t in s["tensors"] if 3 in program.spec["tensors"][t]["sizes"]
    }
    assert len(written) == stacked
    assert any("scatter" in name for name in program.steps) != stacked
    close(program.run(triton, g.inputs), g.run())


def test_a_program_comes_with_its_cubins() -> None:
    g = planned(attend(20, causal=True))
    spec, code, kernels = gpu_program(g.module, Settings(90))
    found = records(code)
    assert [r["name"] for r in found] == [k.name for k in kernels] == spec["kernels"]
    launched = [s for s in spec["instructions"] if s["kind"] == "launch"]
    by_name = {r["name"]: r for r in found}
    for step in launched:
        assert len(step["tensors"]) == len(by_name[step["kernel"]]["parameters"])
        assert 0 < step["writes"] < len(step["tensors"])


def test_a_call_that_kernels_do_not_take_becomes_its_body() -> None:
    wide = floats(1, 1, 4, 300)
    for x in (wide, wide[..., :8].astype("float64")):
        g = prepared(graph(lambda q: attention(q, q, q, None, False, 1.0)[0], x), TARGET)
        assert "attention" not in g.names()
        close(g.run(), graph(lambda q: attention(q, q, q, None, False, 1.0)[0], x).run())
