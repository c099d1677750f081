"""Kernels of lowered regions in Triton's interpreter against the reference one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fusion_cases import SMALL, TARGETS, floats, op, prepared, random_region, transformer_step
from graph_cases import Graph, random_graph
from kernel_table import Array, same_bits
from ostinato.codegen.triton.emit.batch import emit_batch
from ostinato.codegen.triton.emit.kernel import emit
from ostinato.ir.dialects.kernel import BatchOp, FuncOp, ReduceOp
from ostinato.ir.dialects.program import LaunchOp
from ostinato.ir.interpret import program
from ostinato.ir.interpret.kernel import run_kernel
from ostinato.passes.pipeline import Options, run_passes
from ostinato.passes.target import CUDA
from test_lower import COMPILED, LOOPS, kernels, lowered
from triton_agreement import assert_agree, check_kernel, run
from triton_runner import Interpreter, Job, places_of


def check_region(triton: Interpreter, g: Graph, most: int = 1 << 14) -> int:
    """Runs a lowered region; each of its kernels also in Triton, on the same memory, if no buffer
    has more elements than `most`. Returns how many launches there were."""
    launches = 0

    def both(kernel: FuncOp, buffers: list[Array]) -> None:
        nonlocal launches
        launches += 1
        before = [b.copy() for b in buffers]
        run_kernel(kernel, buffers)
        if max(b.size for b in buffers) <= most:
            assert_agree(kernel, run(triton, kernel, before), buffers)

    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(program, "run_kernel", both)
        g.run()
    return launches


@pytest.mark.parametrize("name", LOOPS | COMPILED)
def test_kernels_of_regions_agree(triton: Interpreter, name: str) -> None:
    build, inputs = (LOOPS | COMPILED)[name][:2]
    assert check_region(triton, lowered(build, *inputs, target=CUDA))


@pytest.mark.parametrize("target", TARGETS | {"cuda": CUDA})
@pytest.mark.parametrize("seed", range(40, 44))
def test_kernels_of_random_regions_agree(triton: Interpreter, seed: int, target: str) -> None:
    g = prepared(random_region(seed))
    run_passes(g.module, ["fuse", "lower"], Options((TARGETS | {"cuda": CUDA})[target]))
    assert check_region(triton, g)


@pytest.mark.parametrize("seed", range(60, 72))
def test_kernels_of_random_graphs_agree(triton: Interpreter, seed: int) -> None:
    g = prepared(random_graph(seed, size=16))
    run_passes(g.module, ["fuse", "lower"], Options(CUDA))
    check_region(triton, g)


@pytest.mark.parametrize("target", [CUDA, SMALL], ids=["cuda", "small"])
def test_kernels_of_a_training_step_agree(triton: Interpreter, target: Any) -> None:
    g = prepared(transformer_step(layers=1))
    run_passes(g.module, ["fuse", "lower"], Options(target))
    assert check_region(triton, g) > 10


def run_batch(
    triton: Interpreter, batch: BatchOp, kernels: dict[str, FuncOp], buffers: Sequence[Array]
) -> list[Array]:
    """The buffers after a batch."""
    made = emit_batch(batch, kernels)
    types = [p.type.lstrip("*") for p in made.launch.parameters]
    job = Job(made.name, made.source, made.launch.programs, {}, types, places_of(buffers),
              list(buffers))  # fmt: skip
    return triton.run(job)


@pytest.mark.parametrize("planned", [False, True])
def test_batches_of_a_training_step_agree(triton: Interpreter, planned: bool) -> None:
    g = prepared(transformer_step(layers=2))
    names = ["fuse", "lower", "batch", *(["plan_memory"] if planned else [])]
    run_passes(g.module, names, Options(CUDA), verify=True)
    kernels = {k.sym_name.data: k for k in g.module.ops if isinstance(k, FuncOp)}
    batches = {b.sym_name.data: b for b in g.module.ops if isinstance(b, BatchOp)}
    assert len(batches) >= 3
    assert max(len(b.members) for b in batches.values()) > 20
    plain = program._Run._launch
    seen: list[str] = []

    def both(self: Any, op: LaunchOp) -> None:
        batch = batches.get(op.kernel_name)
        values = [*op.arguments, *op.into]
        copies: dict[int, Array] = {}
        before = [
            copies.setdefault(self.values[v].ctypes.data, np.array(self.values[v]).reshape(-1))
            for v in values
        ]
        plain(self, op)
        if batch is None:
            return
        seen.append(op.kernel_name)
        after = [self.values[v].reshape(-1) for v in (*values, *op.outputs)]
        before += [np.zeros_like(a) for a in after[len(before) :]]
        written = written_by(batch, kernels)
        ours = run_batch(triton, batch, kernels, before)
        for i in written:
            if not same_bits(ours[i], after[i]):
                np.testing.assert_allclose(ours[i], after[i], 2e-5, 2e-5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program._Run, "_launch", both)
        g.run()
    assert sorted(seen) == sorted(batches)


def written_by(batch: BatchOp, kernels: dict[str, FuncOp]) -> set[int]:
    """The buffers that a batch stores to."""
    found: set[int] = set()
    for m in batch.members:
        func = kernels[m.kernel]
        stored = {o.operands[1] for o in func.walk() if o.name == "kernel.store"}
        found |= {n for n, b in zip(m.buffers, func.buffers, strict=True) if b in stored}
    return found


LONG = replace(CUDA, pieces=1)
"""Rows are not cut, so that a few show what many do."""


def long_loss(x: Any, t: Any) -> Any:
    """A loss and its gradient over rows that a program does not hold."""
    one = op("full", (), 1.0)
    return op("cross_entropy", x, t), op("cross_entropy_backward", one, x, t, -100, "mean", 0.0)


def long_rows(build: Any, *inputs: Any) -> tuple[Graph, FuncOp]:
    """A lowered region and its kernel with the loop over the longest rows."""
    g = lowered(build, *inputs, target=LONG)
    return g, next(k for k in kernels(g) if any(isinstance(o, ReduceOp) and "max" in o.kinds
                                                for o in k.walk()))  # fmt: skip


def test_long_rows_are_read_twice_and_agree(triton: Interpreter) -> None:
    x = floats(3, 20000) * 5
    x[1, :9000] = -np.inf
    x[2] = x[2, ::-1]
    targets = np.array([7, 19999, -100])
    g, kernel = long_rows(long_loss, x, targets)
    assert emit(kernel).source.count("range(0, 20000, BLOCK)") == 1
    assert sum(emit(k).source.count("range(0, 20000, BLOCK)") for k in kernels(g)) == 2
    assert check_region(triton, g, most=x.size)
    assert np.isfinite(g.run()[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_long_rows_of_no_numbers_give_none(triton: Interpreter, value: float) -> None:
    x = floats(2, 20000)
    x[0] = value if value < 0 else np.where(np.arange(20000) == 5, value, x[0])
    _, kernel = long_rows(lambda a: op("softmax", a, dim=-1), x)
    before = [x.reshape(-1), np.zeros(x.size, np.float32)]
    reference = check_kernel(triton, kernel, before)
    assert np.isnan(reference[1][:20000]).any()
