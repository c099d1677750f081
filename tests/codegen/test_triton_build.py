"""Triton source becomes cubins: without a GPU, in processes of their own, cached and checked."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import triton

from ostinato import CompileError
from ostinato.codegen import cache
from ostinato.codegen.kernel_code import triton_codes
from ostinato.codegen.triton import client
from ostinato.codegen.triton.build import build, job_of
from ostinato.codegen.triton.container import pack, records
from ostinato.codegen.triton.cubin import resources
from ostinato.codegen.triton.kernel import Launch, Parameter, TritonKernel
from ostinato.compiler.compiled import _expect_compiling

SCALE = """import triton
import triton.language as tl


@triton.jit
def {name}(x, y, SIZE: tl.constexpr):
    i = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    tl.store(y + i, tl.load(x + i) * {factor})
"""
LAUNCH = Launch(
    programs=4,
    num_warps=2,
    num_stages=1,
    parameters=(Parameter("x", "*fp32", 0), Parameter("y", "*fp32", 1)),
    constants=(("SIZE", 256),),
)


def kernel(name: str = "scale", factor: float = 2.0) -> TritonKernel:
    return TritonKernel(name, SCALE.format(name=name, factor=factor), LAUNCH)


def with_body(*lines: str, warps: int = 2) -> TritonKernel:
    """A kernel that does nothing but `lines`."""
    head = SCALE.format(name="scale", factor=1).partition("    i =")[0]
    source = head + "".join(f"    {line}\n" for line in lines)
    return TritonKernel("scale", source, replace(LAUNCH, num_warps=warps))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv(cache.DIRECTORY, str(tmp_path))
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that the compile server was asked for."""
    names: list[str] = []
    compile_all = client.compile_all

    def spy(jobs: Any) -> Any:
        names.extend(job.name for job in jobs)
        return compile_all(jobs)

    monkeypatch.setattr(client, "compile_all", spy)
    return names


def architectures(cubin: bytes) -> tuple[int, int]:
    """The bytes of an ELF header's flags that hold the compute capability, of old and of new."""
    flags = struct.unpack_from("<I", cubin, 48)[0]
    return flags & 0xFF, flags >> 8 & 0xFF


@pytest.mark.parametrize("cc", [80, 90, 100])
def test_a_kernel_compiles_for_a_gpu_that_is_not_there(folder: Path, cc: int) -> None:
    (built,) = build([kernel()], cc)
    assert cc in architectures(built.cubin)
    assert (built.symbol, built.warps, built.shared) == ("scale", 2, 0)
    # Two pointers and two that Triton adds for scratch memory; SIZE is none.
    assert built.resources.parameters == 4
    assert 4 < built.resources.registers < 64
    assert built.resources.local_bytes == 0
    assert b"scale" in built.cubin


def test_codes_tell_what_the_cubin_says(folder: Path) -> None:
    # Transposed by way of shared memory; a thread holds 32 elements.
    transposed = with_body(
        "a, b = tl.arange(0, 64)[:, None], tl.arange(0, 64)",
        "tl.store(y + a + b * 64, tl.load(x + a * 64 + b))",
        warps=4,
    )
    code = triton_codes([transposed], 90)["scale"]
    told = (code.language, code.source, code.threads, code.shared, code.stack)
    assert told == ("Triton", transposed.source, 4 * 32, 64 * 64 * 4, 0)
    assert code.registers is not None and 32 <= code.registers < 128


def dumped(cubin: Path) -> dict[str, int]:
    """What NVIDIA's own reader says that a kernel takes."""
    reader = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    told = subprocess.run(
        [reader, "--dump-resource-usage", cubin], capture_output=True, text=True, check=True
    ).stdout
    return {name: int(n) for name, n in re.findall(r"(REG|STACK):(\d+)", told)}


@pytest.mark.parametrize("cc", [80, 90])
def test_registers_and_stack_are_those_of_nvidias_reader(folder: Path, cc: int) -> None:
    bodies = {
        "few": ["tl.store(y, tl.load(x))"],
        "many": ["i = tl.arange(0, 16384)", "a = tl.load(x + i)", "tl.store(y + i, a / tl.sum(a))"],
    }
    found: list[int] = []
    for built in build([with_body(*lines, warps=1) for lines in bodies.values()], cc):
        (folder / "kernel.cubin").write_bytes(built.cubin)
        told = dumped(folder / "kernel.cubin")
        resources = built.resources
        assert told == {"REG": resources.registers, "STACK": resources.local_bytes}
        found.append(resources.local_bytes)
    assert found[0] == 0 < found[1], "so many elements a thread do not fit"


def test_alignment_is_assumed_only_where_the_launch_says_so(folder: Path) -> None:
    aligned = kernel()
    parameters = tuple(replace(p, aligned=False) for p in LAUNCH.parameters)
    free = replace(aligned, launch=replace(LAUNCH, parameters=parameters))
    with_vectors, without = (b.cubin for b in build([aligned, free], 90))
    # The cubin holds its PTX for debuggers.
    assert (b"ld.global.v4" in with_vectors, b"ld.global.v4" in without) == (True, False)


def test_equal_sources_give_equal_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build([kernel()], 90)
    monkeypatch.setenv(cache.DIRECTORY, "0")
    assert build([kernel()], 90)[0].cubin == first[0].cubin


def test_only_what_changed_is_compiled(folder: Path, asked: list[str]) -> None:
    build([kernel("one"), kernel("two")], 90)
    assert sorted(asked) == ["one", "two"]
    asked.clear()
    build([kernel("one"), kernel("two", 3.0), kernel("two", 3.0)], 90)
    assert asked == ["two"]
    asked.clear()
    build([kernel("one")], 80)
    assert asked == ["one"]


VARIANTS = {
    "warps": replace(LAUNCH, num_warps=4),
    "stages": replace(LAUNCH, num_stages=2),
    "constants": replace(LAUNCH, constants=(("SIZE", 512),)),
    "fusion": replace(LAUNCH, fp_fusion=True),
    "alignment": replace(LAUNCH, parameters=(replace(LAUNCH.parameters[0], aligned=False),
                                             LAUNCH.parameters[1])),
    "types": replace(LAUNCH, parameters=(Parameter("x", "*fp16", 0), LAUNCH.parameters[1])),
}  # fmt: skip


@pytest.mark.parametrize("launch", VARIANTS.values(), ids=VARIANTS)
def test_all_that_a_cubin_depends_on_is_in_the_job(launch: Launch) -> None:
    changed = replace(kernel(), launch=launch)
    assert job_of(changed, 90).text != job_of(kernel(), 90).text


def test_a_grid_is_no_reason_to_compile_again() -> None:
    changed = replace(kernel(), launch=replace(LAUNCH, programs=9))
    assert job_of(changed, 90) == job_of(kernel(), 90)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:200] + b"?" + b[201:]])
def test_a_damaged_cubin_is_built_again(folder: Path, asked: list[str], damage: Any) -> None:
    (good,) = build([kernel()], 90)
    (entry,) = folder.iterdir()
    entry.write_bytes(damage(entry.read_bytes()))
    with pytest.warns(UserWarning, match="digest"):
        (again,) = build([kernel()], 90)
    assert again.cubin == good.cubin
    assert asked == ["scale", "scale"]
    assert build([kernel()], 90)[0].cubin == good.cubin
    assert len(asked) == 2


REFUSED = {
    "unknown": (with_body("tl.no_such_thing(x)"), "scale does not compile: .*no_such_thing"),
    "shared": (
        # Transposed by way of shared memory.
        with_body(
            "a, b = tl.arange(0, 128)[:, None], tl.arange(0, 256)",
            "tl.store(y + a + b * 128, tl.load(x + a * 256 + b))",
            warps=8,
        ),
        "scale takes 131072 bytes of shared memory; sm_86 has 101376 for a block",
    ),
    "crash": (
        TritonKernel("scale", "import os\nos._exit(1)\n", LAUNCH),
        "compiling scale crashed; its source:\nimport os",
    ),
}


@pytest.mark.parametrize(("wrong", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_built_is_refused(folder: Path, wrong: TritonKernel, message: str) -> None:
    with pytest.raises(CompileError, match=f"(?s)triton: {message}"):
        build([wrong], 86)
    assert build([kernel()], 86)[0].symbol == "scale"


def test_a_launch_that_does_not_fit_its_cubin_is_refused(folder: Path) -> None:
    build([kernel()], 90)
    (entry,) = folder.iterdir()
    stored = cache.load(entry.name)
    assert stored is not None
    other = build([with_third_pointer()], 90)[0]
    cache.store(entry.name, stored[0], other.cubin)
    with pytest.raises(CompileError, match="takes 5 parameters, its launch gives 4"):
        build([kernel()], 90)


def with_third_pointer() -> TritonKernel:
    source = kernel("third").source.replace("(x, y,", "(x, y, z,")
    parameters = (*LAUNCH.parameters, Parameter("z", "*fp32", 2))
    return TritonKernel("third", source, replace(LAUNCH, parameters=parameters))


def test_the_server_sees_neither_us_nor_torch_nor_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("PATH", "")
    client._stop()
    probe = "import os, sys\nraise RuntimeError(' '.join(['seen', *sys.modules, *os.environ]))\n"
    with pytest.raises(CompileError) as caught:
        build([TritonKernel("scale", probe, LAUNCH)], 90)
    seen = {name.partition(".")[0] for name in str(caught.value).split()}
    assert "triton" in seen
    assert not seen & {"ostinato", "torch", "TRITON_INTERPRET", "PATH"}
    assert build([kernel()], 90)


@pytest.mark.parametrize(("place", "running"), [("cuda:0", 1), ("cpu", 0)])
def test_the_server_starts_with_a_capture_on_a_gpu(place: str, running: int) -> None:
    client._stop()
    _expect_compiling([1.0, SimpleNamespace(device=place)])
    assert len(client._servers) == running


def test_a_server_that_was_killed_is_replaced(folder: Path) -> None:
    client.start()
    (server,) = client._servers
    server.process.kill()
    server.process.wait()
    assert build([kernel()], 90)
    (new,) = client._servers
    assert new.process.pid != server.process.pid
    assert not server.folder.exists()


def test_a_server_that_dies_at_work_is_told_of(folder: Path) -> None:
    client._stop()
    suicide = "import os\nos.kill(os.getppid(), 9)\n"
    with pytest.raises(CompileError, match="the compile server ended: status -9, it said nothing"):
        build([TritonKernel("scale", suicide, LAUNCH)], 90)
    assert build([kernel()], 90)


def test_nothing_is_left_of_a_process(tmp_path: Path) -> None:
    script = (
        "from ostinato.codegen.triton import client\n"
        "client.start()\n"
        "print(client._servers[0].process.pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)}, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_without_triton_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client._stop()
    monkeypatch.setattr(client, "find_spec", lambda name: None)
    with pytest.raises(CompileError, match=r"pip install ostinato\[gpu\]"):
        client.start()


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[bytes, list[bytes]]]:
    """A container of two kernels, and their cubins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.DIRECTORY, str(tmp_path_factory.mktemp("cache")))
        built = build([kernel("one"), kernel("two", 3.0)], 90)
    yield pack(built, "sm_90"), [b.cubin for b in built]


def test_a_container_gives_back_what_was_packed(container: tuple[bytes, list[bytes]]) -> None:
    data, cubins = container
    one, two = records(data)
    for record, cubin in zip((one, two), cubins, strict=True):
        found = data[record["offset"] : record["offset"] + record["size"]]
        assert found == cubin
        assert record["registers"] == resources(found).registers
    assert (one["name"], two["name"]) == ("one", "two")
    assert (one["warps"], one["shared"], one["alignment"]) == (2, 0, 16)
    assert one["parameters"] == 2 * [{"type": "*fp32", "aligned": True}]


@pytest.mark.parametrize("at", [0, 30, 90, 200, -1])
def test_a_damaged_container_is_refused(container: tuple[bytes, list[bytes]], at: int) -> None:
    damaged = bytearray(container[0])
    damaged[at] ^= 1
    for data in (bytes(damaged), container[0][:-1], b""):
        with pytest.raises(CompileError, match="damaged"):
            records(data)


def test_names_in_a_container_differ(folder: Path) -> None:
    built = build([kernel()], 90)
    with pytest.raises(CompileError, match="two kernels are named scale"):
        pack(built * 2, "sm_90")


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x02\x01" + bytes(58)])
def test_what_is_no_cubin_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a 64-bit|does not say"):
        resources(data)
