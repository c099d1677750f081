"""Generated Triton kernels in Triton's interpreter against the reference one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kernel_accesses import twice
from kernel_cases import CASES
from kernel_table import Array, Case, compute, f32, f64, same_bits, sample, start
from ostinato.codegen.triton.emit.functions import bound_of
from ostinato.codegen.triton.emit.kernel import emit
from ostinato.codegen.triton.emit.tiles import Tuning
from ostinato.ir.scalar.expression import argument, cast, make
from ostinato.ir.scalar.functions import BOUNDS, expand
from ostinato.ir.scalar.numpy import evaluate
from scalar_kernels import COUNT, Row, casts, functions, kinds, number
from test_scalar_functions import truth, ulps
from triton_agreement import check_kernel, run
from triton_runner import Interpreter


@pytest.mark.parametrize("count", (1, 7, 16, 100))
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_kernels_agree_with_the_reference(triton: Interpreter, case: Case, count: int) -> None:
    check_kernel(triton, case.build(count), case.sampled(count))


@pytest.mark.parametrize("tuning", [Tuning(rows=4, block=8), Tuning(rows=1, block=16)])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_other_tiles_give_the_same(triton: Interpreter, case: Case, tuning: Tuning) -> None:
    check_kernel(triton, case.build(50), case.sampled(50), tuning)


def run_one(triton: Interpreter, row: Row) -> Array:
    """What the kernel of a row stores."""
    return run(triton, row.kernel, [*row.arrays, row.empty])[-1]


def test_every_kind_means_in_triton_what_it_means_in_numpy(triton: Interpreter) -> None:
    for row in kinds():
        assert same_bits(run_one(triton, row), row.wanted), row.name


def test_casts_mean_in_triton_what_they_mean_in_numpy(triton: Interpreter) -> None:
    for row in casts():
        assert same_bits(number(run_one(triton, row), row.dtype), row.wanted), row.name


@pytest.mark.parametrize("dtype", [f32, f64], ids=lambda d: d.name)
def test_functions_in_triton_equal_their_expansions(triton: Interpreter, dtype: Any) -> None:
    """In bits, or within their bounds where the hardware has a part of them."""
    rows = list(functions(dtype))
    assert len(rows) >= 9
    for kind, row in rows:
        ours = run_one(triton, row)
        if bound_of(kind, dtype) == BOUNDS[kind][dtype.name]:
            assert same_bits(ours, evaluate([expand(row.root)], row.arrays)[0]), kind


@pytest.mark.parametrize("kind", ["erf", "exp", "sigmoid", "tanh"])
def test_functions_by_the_hardware_keep_their_bounds(triton: Interpreter, kind: str) -> None:
    """NumPy's own 2 ** x is within one unit in the interpreter, as the GPU's is."""
    x = np.concatenate([np.linspace(-86.5, 88.7, COUNT - 45), np.geomspace(1e-30, 20.0, 40),
                        [0.0, np.inf, -np.inf, np.nan, 88.73]]).astype("float32")  # fmt: skip
    ours = run_one(triton, Row(f"{kind}_0", make(kind, argument(0, f32)), (f32,), f32, [x]))
    with np.errstate(all="ignore"):
        wanted = truth(kind, x)
        assert float(ulps(ours, wanted).max()) <= bound_of(kind, f32)
    assert np.array_equal(np.isnan(ours), np.isnan(x))


def planted(triton: Interpreter, name: str, change: tuple[str, str], count: int = 50) -> None:
    """Runs the kernel called `name` with a part of its source changed, and compares."""
    case = next(c for c in CASES if c.name == name)
    kernel, before = case.build(count), replace(case, finite=True).sampled(count)
    check_kernel(triton, kernel, before)
    check_kernel(triton, kernel, before, change=change)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("flat", ("(x + y) * x, mask=exists)", "(x + y) * x)"), "stores outside of buffers"),
        ("column_sums", ("i * 50", "i * 49"), "buffer 1"),
        ("softmax", ("tl.where(exists, x, float(\"-inf\"))", "x * 0.0 + 1e9"), "buffer 1"),
        ("softmax", ("program * 50", "program * 49"), "stores outside|buffer 1"),
        ("column_sums", ("tl.where(is_row, x, 0.0)", "x"), "buffer 1"),
        ("embedding", ("% 10", "% 9"), "buffer 2"),
        ("masked", (", other=7.0", ", other=6.0"), "buffer 1"),
    ],
)  # fmt: skip
def test_planted_errors_are_found(
    triton: Interpreter, name: str, change: tuple[str, str], message: str
) -> None:
    with pytest.raises((AssertionError, RuntimeError), match=message):
        planted(triton, name, change)


def test_a_kernel_with_one_buffer_twice_stores_in_the_order_of_its_text(
    triton: Interpreter,
) -> None:
    kernel = twice(COUNT)
    ours = np.arange(COUNT, dtype=np.float32)
    assert emit(kernel).launch.aliased == (0, 1)
    assert emit(kernel).source.count("tl.debug_barrier()") == 1
    assert same_bits(run(triton, kernel, [ours, ours])[0], ours * 2 + 1)


@pytest.mark.parametrize("count", (600, 1024, 2048, 2560, 5000))
def test_several_blocks_of_a_program_end_where_the_axis_does(
    triton: Interpreter, count: int
) -> None:
    b = start("powers", {"x": f32, "s": f64, "o": f32}, count, vector=True)
    x, s, o = b.buffers
    a, c, power = argument(0, f32), argument(1, f64), b.load(s, {})
    base = compute(b, make("pow", argument(0, f64), c), power, power)
    scaled = compute(b, cast(make("pow", argument(0, f64), c), f32), base, power)
    b.store(compute(b, a * argument(1, f32), b.load(x, {b.index: 1}), scaled), o, {b.index: 1})
    kernel = b.finish()
    assert "range(0, 4 * BLOCK, BLOCK)" in emit(kernel).source or count < 1024
    before = [sample(f32, count, 1), np.array([0.9]), np.zeros(count, np.float32)]
    check_kernel(triton, kernel, before)
