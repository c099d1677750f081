"""Runs the tests of tests/fake_cuda, each file in its own process on the fake driver."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from watched_tests import INSIDE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "fake_cuda"
ENVIRONMENT = {
    "fake_direct.py": {"OSTINATO_ALLOCATOR": "direct"},
    "fake_steps.py": {"OSTINATO_GRAPH": "0"},
    "fake_history.py": {"OSTINATO_MEMORY_HISTORY": "1"},
}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake driver, built."""
    made = tmp_path_factory.mktemp("fake_cuda") / "libcuda.so"
    native = ROOT / "runtime" / "native"
    sources = [str(p) for p in sorted(FOLDER.glob("*.cpp"))]
    sources += [str(FOLDER.parent / "cuda_on_cpu/cublaslt.cpp"), str(native / "core/dtype.cpp")]
    flags = ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-fPIC", f"-I{FOLDER.parent}"]
    headers = [f"-I{native}"]
    headers += [f"-isystem{f}/include" for f in (_cuda_packages(), "/usr/local/cuda") if f]
    subprocess.run(["g++", "-shared", *flags, *headers, "-o", str(made), *sources], check=True)
    return made


def _cuda_packages() -> str:
    script = ROOT / "runtime" / "native" / "generate" / "cuda_root.py"
    return subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("file", sorted(p.name for p in FOLDER.glob("fake_*.py")))
def test_on_the_fake_driver(file: str, library: Path) -> None:
    environment = {
        **os.environ,
        "OSTINATO_LIBCUDA": str(library),
        "OSTINATO_LIBCUBLASLT": str(library),
        **ENVIRONMENT.get(file, {}),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", INSIDE,
               str(FOLDER / file)]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_driver() -> None:
    script = (
        "import ostinato as ot\n"
        "print(ot.cuda.is_available(), ot.cuda.device_count())\n"
        "for f in (lambda: ot.zeros(2, device='cuda'), lambda: ot.ones(2).to('cuda:1'),\n"
        "          lambda: ot.ones(2).pin_memory(), lambda: ot.cuda.Stream(),\n"
        "          lambda: ot.cuda.set_device(0), lambda: ot.cuda.memory_allocated()):\n"
        "    try:\n"
        "        f()\n"
        "    except ot.DeviceError as error:\n"
        "        print(error)\n"
    )
    environment = {**os.environ, "OSTINATO_LIBCUDA": "libnone.so"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    first, *errors = done.stdout.splitlines()
    assert first == "False 0"
    assert errors == 6 * [
        "cuda: libnone.so cannot be opened; a CUDA device needs an NVIDIA GPU and its driver, "
        'release 580 or newer; install them, or use device="cpu"'
    ]


def test_a_driver_of_an_older_release(library: Path) -> None:
    script = "import ostinato as ot\nprint(ot.cuda.is_available())\not.zeros(2, device='cuda')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "OSTINATO_LIBCUDA": str(library), "FAKE_CUDA_VERSION": "12040"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n"
    assert f"DeviceError: cuda: {library} is too old: it is of CUDA 12.4; a CUDA" in done.stderr


def test_a_driver_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "libold.so"
    (tmp_path / "old.c").write_text("int cuInit(unsigned flags) { return (int)flags; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", old, tmp_path / "old.c"], check=True)
    script = "import ostinato as ot\not.zeros(2, device='cuda')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "OSTINATO_LIBCUDA": str(old)},
        capture_output=True,
        text=True,
    )
    assert f"DeviceError: cuda: {old} is too old: it lacks cuGetErrorName; " in done.stderr


NVTX = """
#include <cstdio>
int depth = 0;
extern "C" int nvtxRangePushA(const char* name) { return std::printf("push %s\\n", name), depth++; }
extern "C" int nvtxRangePop() { return std::puts("pop"), --depth; }
extern "C" void nvtxMarkA(const char* name) { std::printf("mark %s\\n", name); }
"""


def test_ranges_reach_nvidias_extension(tmp_path: Path) -> None:
    (tmp_path / "nvtx.cpp").write_text(NVTX)
    made = tmp_path / "libnvToolsExt.so.1"
    subprocess.run(["g++", "-shared", "-fPIC", "-o", made, tmp_path / "nvtx.cpp"], check=True)
    script = (
        "from ostinato.cuda import nvtx\n"
        "with nvtx.range('step'):\n"
        "    assert nvtx.range_push('inner') == 1\n"
        "    nvtx.mark('here')\n"
        "    assert nvtx.range_pop() == 1\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["push step", "push inner", "mark here", "pop", "pop"]
