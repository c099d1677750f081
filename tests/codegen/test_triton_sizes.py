"""Triton kernels that take sizes, and Programs that launch them: what is made for a few sizes gives
for all what the reference interpreter does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ostinato as ot
import size_cases
from kernel_cases import CASES
from kernel_table import Case
from ostinato.codegen.triton.emit.sizes import Spread
from ostinato.codegen.triton.kernel import TritonKernel
from ostinato.codegen.triton.variants import KernelFamily, emit_family
from ostinato.compiler.captured import to_module
from ostinato.ir.interpret import module as interpreter
from ostinato.ir.interpret.kernel import run_kernel
from ostinato.ir.polynomial import BySize, Pieces, Polynomial, Total, number_at
from ostinato.passes.generalize import General
from size_cases import ANY
from test_generalize import COUNTS, PRIMES, SAMPLES, general
from test_sizes import train
from triton_agreement import assert_agree
from triton_families import GpuFamily
from triton_runner import Interpreter, Job, places_of

Array = NDArray[Any]
SPREAD = Spread([(2, PRIMES[-1])], [64], SAMPLES.sizes)


def variants(made: General, spread: Spread = SPREAD) -> list[tuple[int, TritonKernel]]:
    """The kernels for any size, each with the greatest that it is for."""
    family = KernelFamily({"any": made.sizes}, spread)
    return [(most, k) for most, (k,) in emit_family("any", {"any": made.kernel}, family).cases]


def run(
    triton: Interpreter, kernel: TritonKernel, buffers: Sequence[Array], count: int
) -> list[Array]:
    """The buffers after the kernel, for one size."""
    launch = kernel.launch
    sizes = [number_at(s.of, (count,)) for s in launch.sizes]
    assert all(n % s.divisor == 0 for n, s in zip(sizes, launch.sizes, strict=True))
    return triton.run(Job(
        kernel.name, kernel.source, number_at(launch.programs, (count,)), dict(launch.constants),
        [p.type.lstrip("*") for p in launch.parameters], places_of(buffers), list(buffers), sizes,
    ))  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_kernel_of_any_size_agrees_with_one_made_for_it(triton: Interpreter, case: Case) -> None:
    made = general(case.build)
    found = variants(made)
    assert all(k.launch.sizes for _, k in found)
    for count in COUNTS:
        kernel = next(k for most, k in found if count <= most)
        before = case.sampled(count)
        reference = [b.copy() for b in before]
        static = case.build(count)
        run_kernel(static, reference)
        assert_agree(static, run(triton, kernel, before, count), reference)


def called(fn: Any, given: Any, sizes: Sequence[int]) -> Any:
    """The compiled function, called with all sizes; its region has one Program."""
    compiled = ot.compile(fn)
    with ot.no_grad():
        for n in sizes:
            compiled(*given(n))
    return compiled


def check(triton: Interpreter, compiled: Any, sizes: Sequence[int]) -> GpuFamily:
    """Compares the Program for a GPU with the captured ops, for some of the sizes that came."""
    (family,) = {id(v.built.family): v.built.family for v in compiled.variants
                 if v.built.family is not None}.values()  # fmt: skip
    regions = {v.built.sizes: v.region for v in compiled.variants if v.built.family is family}
    found = GpuFamily(family)
    for n in sizes:
        given = found.inputs((n,))
        region = regions[found.domain.named((n,))]
        wanted = interpreter.run(to_module(region), [np.array(x) for x in given])
        ours = found.run(triton, (n,), [np.array(x) for x in given])
        for i, (a, b) in enumerate(zip(ours, wanted, strict=False)):
            scale = 2e-4 * max(float(np.abs(b).max(initial=0)), 1.0)
            np.testing.assert_allclose(a, b, 2e-4, scale, err_msg=f"result {i} for {n}")
    return found


@pytest.mark.parametrize("case", ANY, ids=lambda c: c.name)
def test_programs_of_any_size_agree(triton: Interpreter, case: size_cases.Case) -> None:
    sizes = (30, 64, 13, 16, 47, 200)
    check(triton, called(case.fn, case.given, sizes), sizes[1:])


def test_a_training_step_of_any_length_agrees(triton: Interpreter) -> None:
    compiled, _ = train(True)
    found = check(triton, compiled, (13, 64, 100))
    assert found.parts[0].batches, "the updates of parameters are one kernel"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("flat", ("at < n", "at <= n"), "stores outside of buffers"),
        ("softmax", ("program * n", "program * 64"), "stores outside|buffer 1"),
        ("softmax", ("exists = j < n", "exists = j < 64"), "stores outside|buffer 1"),
        ("column_sums", ("row * n0", "row * 64"), "buffer 1"),
    ],
)
def test_planted_errors_are_found(
    triton: Interpreter, name: str, change: tuple[str, str], message: str
) -> None:
    case = next(c for c in CASES if c.name == name)
    kernel = variants(general(case.build))[-1][1]
    assert change[0] in kernel.source
    wrong = replace(kernel, source=kernel.source.replace(*change, 1))
    before = case.sampled(100)
    reference = [b.copy() for b in before]
    static = case.build(100)
    run_kernel(static, reference)
    assert_agree(static, run(triton, kernel, before, 100), reference)
    with pytest.raises((AssertionError, RuntimeError), match=message):
        assert_agree(static, run(triton, wrong, before, 100), reference)


def test_rows_have_a_kernel_for_each_power_of_two_and_columns_one_for_all() -> None:
    softmax, columns = (next(c for c in CASES if c.name == n) for n in ("softmax", "column_sum"))
    found = variants(general(softmax.build))
    assert [most for most, _ in found] == [16, 32, 64, 128, 131]
    assert [dict(k.launch.constants)["BLOCK"] for _, k in found] == [16, 32, 64, 128, 256]
    assert len(variants(general(columns.build))) == 1


def test_numbers_that_depend_on_sizes() -> None:
    n, more = Polynomial(((1, (0,)),)), Polynomial(((4, (0, 1)), (6, ())))
    assert (more * n).at((3, 5)) == more.at((3, 5)) * 3 and (2 * more).divisor == 4
    assert more.divisor == 2 and more.bounds([(2, 3), (5, 7)]) == (46, 90)
    assert Pieces(more, 32, n).at((3, 5)) == 3 * 3
    assert Total((Pieces(n, 2), 4, n)).at((3,)) == 2 + 4 + 3
    cases = BySize(0, ((16, ["short", n]), (64, ["long", 2 * n])))
    assert [cases.at((k,)) for k in (16, 17)] == [["short", 16], ["long", 34]]
