"""The CUDA kernels and their host side, run on the CPU by the stand-in of tests/cuda_on_cpu."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from on_cuda import COMPILED, EAGER, NOT_ON_STAND_IN
from ostinato.ir.op import OPS
from ostinato.runtime import _C
from watched_tests import INSIDE

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "build" / "dev" / "libcuda_on_cpu.so"
KERNELS = Path(_C.__file__).parent / "kernels"

# Ops that run on the CPU by a kernel and have none on CUDA.
WITHOUT_KERNEL = {
    "size_tensor": "its result is a number of the host",
}


def test_every_op_with_a_kernel_has_one_on_cuda_or_a_reason() -> None:
    missing = {name for name, *_, here, there in _C.schemas() if here and not there}
    assert missing == set(WITHOUT_KERNEL)
    assert missing <= set(OPS)


@pytest.mark.parametrize("table", [EAGER, NOT_ON_STAND_IN, COMPILED])
def test_tests_that_a_device_leaves_out_exist(table: dict[str, Iterable[str]]) -> None:
    for file, names in table.items():
        source = (ROOT / "tests" / file).read_text()
        for name in names:
            assert f"def {name.partition('[')[0]}(" in source, name


def on_the_stand_in(*command: str) -> subprocess.CompletedProcess[str]:
    """The outcome of Python run with the stand-in for a driver and for cuBLASLt."""
    if not STAND_IN.exists() or not KERNELS.is_dir():
        pytest.skip("this build has no stand-in for a GPU: OSTINATO_CUDA_ON_CPU")
    places = {"OSTINATO_LIBCUDA": str(STAND_IN), "OSTINATO_LIBCUBLASLT": str(STAND_IN)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT, env=os.environ | places, capture_output=True, text=True, timeout=580,
    )  # fmt: skip


FILES = {p.name for p in (ROOT / "tests/gpu").glob("test_*.py")}
# Generated kernels are machine code of a GPU; Triton's interpreter checks them (test_triton.py).
FOR_A_GPU = {"test_buckets.py", "test_company.py", "test_compiled.py", "test_graphs.py",
             "test_kernels.py", "test_large.py", "test_planted.py"}  # fmt: skip
# What is left out: the kernels of std and argmin are those of var and argmax.
CHOSEN = {
    "test_sizes.py": ("-k", "not std and not argmin"),
    "test_devices.py": ("-k", "not compiled"),
}
# One after the other, they take long.
PARTS = [f"test_spine.py::test_eager[{file}]" for file in EAGER]


@pytest.mark.parametrize("file", [*sorted(FILES - FOR_A_GPU - {"test_spine.py"}), *PARTS])
def test_the_gpu_tests_pass_on_the_stand_in(file: str) -> None:
    pytest_ = ("-m", "pytest", "-q", "-p", "no:cacheprovider", INSIDE)
    done = on_the_stand_in(*pytest_, *CHOSEN.get(file, ()), f"tests/gpu/{file}")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
