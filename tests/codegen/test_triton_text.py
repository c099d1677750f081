"""The text of generated Triton kernels, and that it compiles for every GPU that is supported.

`pytest tests/codegen/test_triton_text.py --update-golden` writes the text anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusion_cases import floats, op
from kernel_cases import CASES
from kernel_pointwise import flat
from ostinato.codegen import cache
from ostinato.codegen.triton.build import build
from ostinato.codegen.triton.emit.batch import emit_launchable
from ostinato.codegen.triton.emit.kernel import emit
from ostinato.codegen.triton.kernel import TritonKernel
from ostinato.ir.dialects.kernel import BatchOp, FuncOp
from ostinato.ir.dtypes import int16
from ostinato.ir.errors import CompileError
from ostinato.passes.target import CUDA
from test_batch import batched, batches, updates
from test_lower import LOOPS, kernels, lowered

GOLDEN = Path(__file__).parent / "golden" / "triton"


def case(name: str, count: int) -> TritonKernel:
    """A kernel of the table."""
    return emit(next(c for c in CASES if c.name == name).build(count))


def streamed() -> TritonKernel:
    """Rows whose columns are added up: the first of two kernels."""
    build_region, inputs, _ = LOOPS["rows and columns"]
    return emit(kernels(lowered(build_region, *inputs, target=CUDA))[0])


def long_rows() -> TritonKernel:
    """A softmax over more elements than a program holds."""
    return emit(kernels(lowered(lambda x: op("softmax", x, dim=-1), floats(2, 20000),
                                target=CUDA))[0])  # fmt: skip


def batch() -> TritonKernel:
    """Three updates in one launch."""
    g = batched(updates(3))
    named = {k.sym_name.data: k for k in g.module.ops if isinstance(k, (FuncOp, BatchOp))}
    return emit_launchable(batches(g)[0].sym_name.data, named)


KERNELS: dict[str, Callable[[], TritonKernel]] = {
    "flat": lambda: case("flat", 100_000),
    "softmax": lambda: case("softmax", 1000),
    "moments": lambda: case("moments", 64),
    "column_sums": lambda: case("column_sums", 64),
    "embedding": lambda: case("embedding", 256),
    "masked": lambda: case("masked", 30),
    "streamed": streamed,
    "long_rows": long_rows,
    "batch": batch,
}


@pytest.mark.parametrize("name", KERNELS)
def test_the_text_is_what_it_was(name: str, request: pytest.FixtureRequest) -> None:
    made = KERNELS[name]()
    launch = made.launch
    text = f"# grid {launch.programs}, {launch.num_warps} warps, {dict(launch.constants)}\n"
    path = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + made.source)
    assert text + made.source == path.read_text()


@pytest.mark.parametrize("name", KERNELS)
def test_lines_fit_and_compile_as_python(name: str) -> None:
    source = KERNELS[name]().source
    assert max(map(len, source.splitlines())) <= 100
    compile(source, name, "exec")


MANY = np.broadcast_to(np.uint8(1), ((1 << 31) + 24,))
"""More elements than 32 bits count, in one byte of memory."""

BEYOND: dict[str, Callable[[Any], Any]] = {
    "flat": lambda x: op("add", op("mul", x, x), x),
    "converted": lambda x: op("to", x, dtype=int16),
    "copied": lambda x: op("clone", x),
    "chosen": lambda x: op("where", op("gt", x, op("neg", x)), x, op("neg", x)),
    "transposed": lambda x: op("reshape", op("permute", op("reshape", x, shape=(2, MANY.size // 2)),
                                             dims=(1, 0)), shape=(MANY.size,)),
    "halves": lambda x: op("sum", op("reshape", x, shape=(2, MANY.size // 2)), dim=(0,),
                           keepdim=False),
    "rows": lambda x: op("amax", op("reshape", x, shape=(MANY.size // 8, 8)), dim=(1,),
                         keepdim=False),
    "sliced": lambda x: op("neg", op("slice", x, dim=0, start=1, stop=MANY.size, step=1)),
    "added up": lambda x: op("sum", x, dim=(0,), keepdim=False),
}  # fmt: skip


def test_more_elements_than_32_bits_count_compile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.DIRECTORY, str(tmp_path))
    made = [
        emit(kernel) for fn in BEYOND.values() for kernel in kernels(lowered(fn, MANY, target=CUDA))
    ]
    assert len(made) >= len(BEYOND) - 1
    assert len(build(made, 90)) == len(made)


@pytest.mark.parametrize("cc", [80, 90, 100])
def test_kernels_compile_without_a_gpu_and_spill_nothing(
    cc: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.DIRECTORY, str(tmp_path))
    made = [k() for k in KERNELS.values()]
    for kernel, built in zip(made, build(made, cc), strict=True):
        assert built.resources.local_bytes == 0, kernel.name
        assert built.resources.parameters == len(kernel.launch.parameters) + 2


def test_a_kernel_needs_a_name_that_python_has() -> None:
    kernel = flat(5)
    kernel.sym_name = type(kernel.sym_name)("a.b")
    with pytest.raises(CompileError) as error:
        emit(kernel)
    assert str(error.value) == "triton: the name a.b; give the kernel a Python identifier"
