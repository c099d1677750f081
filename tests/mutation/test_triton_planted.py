"""Wrong rewrites in the generator of Triton kernels make wrong numbers, which Triton's interpreter
shows; tests/gpu/test_planted.py has the check of a compiled function report the same ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato.codegen.triton.templates import TEMPLATES
from ostinato.compiler.captured import to_module
from ostinato.passes.pipeline import Options, run_passes
from ostinato.passes.target import CUDA, Kernels
from planted_passes import Wrong
from planted_triton import WRONG
from triton_program import GpuProgram
from triton_runner import Interpreter

TARGET = replace(CUDA, kernels={name: Kernels(t.take, t.scratch) for name, t in TEMPLATES.items()})


def results(triton: Interpreter, fn: Any, args: Any) -> list[Any]:
    """What the kernels for a GPU make of a call, as they are generated now."""
    compiled = ot.compile(fn)
    before = [a.numpy().copy() for a in args]
    compiled(*args)
    region = compiled.variants[0].region
    module = to_module(region)
    run_passes(module, options=Options(TARGET))
    given = {id(t): x for t, x in zip(args, before, strict=True)}
    tensors = [region.values[v][4] for v in region.inputs]
    inputs = [given[id(t)] if id(t) in given else t.detach().numpy() for t in tensors]
    return GpuProgram(module).run(triton, inputs)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: w.name)
def test_a_wrong_kernel_makes_wrong_numbers(triton: Interpreter, wrong: Wrong) -> None:
    expected = results(triton, *wrong.program())
    with wrong.planted():
        found = results(triton, *wrong.program())
    assert any(not np.allclose(a, b, 1e-4) for a, b in zip(found, expected, strict=True))
    again = results(triton, *wrong.program())
    for a, b in zip(again, expected, strict=True):
        np.testing.assert_array_equal(a, b)
