"""`kernels()`: generated kernels as data, against counts made by hand and what was compiled."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import rich.console

import ostinato as ot
from ostinato.codegen.llvm.machine import host
from ostinato.compiler import built, lowered, passed
from ostinato.compiler.explain import KernelCode, Kernels
from ostinato.nn import functional as F

HERE = Path(__file__).name


def kernels_of(fn: Callable[..., Any], *args: Any, **options: Any) -> Kernels:
    compiled = ot.compile(fn, **options)
    compiled(*args)
    return compiled.kernels()


def chain(x: Any) -> Any:
    y = x.exp() * 2
    return y.flip(0) + y.sum(dim=0)


FIRST = chain.__code__.co_firstlineno


def test_a_kernel_tells_source_launches_and_lines() -> None:
    found = kernels_of(lambda x: x.exp() * 2, ot.randn(100, 50))
    (kernel,) = found
    assert (kernel.region, kernel.part, kernel.language) == ("variant 0", "forward", "LLVM")
    assert kernel.launches == (100 * 50,)
    assert kernel.grain is not None and kernel.grain > 0
    line = test_a_kernel_tells_source_launches_and_lines.__code__.co_firstlineno + 1
    assert kernel.lines == (f"{__file__}:{line}",)
    gpu = (kernel.threads, kernel.registers, kernel.shared, kernel.stack)
    assert gpu == (None,) * 4


PROGRAMS: dict[str, Callable[[], Any]] = {
    "reductions": lambda: called(chain, ot.randn(30, 40)),
    "gradients": lambda: differentiated(),
    "no gradients": lambda: called(lambda x, w: (x @ w).relu(), ot.randn(4, 5), ot.randn(5, 3)),
    "breaks": lambda: called(lambda x: x * 2 if (x.exp() + 1).sum().item() else x, ot.ones(3)),
    "any size": lambda: called(lambda x: F.softmax(x, dim=-1), ot.randn(4, 30), ot.randn(4, 64)),
    "buckets": lambda: bucketed(),
}


def called(fn: Callable[..., Any], *args: Any) -> Any:
    """The compiled function after a call; with two sizes of one argument, after two."""
    compiled: Any = ot.compile(fn)
    count = fn.__code__.co_argcount
    for i in range(0, len(args), count):
        compiled(*args[i : i + count])
    return compiled


def differentiated() -> Any:
    compiled: Any = ot.compile(lambda x, w: ((x @ w).tanh() * 3).sum())
    compiled(ot.randn(4, 5), ot.randn(5, 3, requires_grad=True)).backward()
    return compiled


def bucketed() -> Any:
    compiled: Any = ot.compile(lambda x: F.softmax(x, dim=-1), dims={"x": {1: ot.Bucket(8)}})
    compiled(ot.randn(4, 5))
    return compiled


def launched(compiled: Any) -> dict[tuple[str, str, str], tuple[int, tuple[str, ...]]]:
    """How often `explain` says that each kernel is launched, and for which lines."""
    told = compiled.explain()
    regions = [*told.variants, *(r for f in told.followed for r in f.regions)]
    return {
        (region.name, program.part, k.name): (k.launches, k.lines)
        for region in regions
        for program in region.programs
        for k in program.kernels
        if k.kind == "kernel"
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_kernel_that_is_launched_has_a_source_that_compiles(name: str) -> None:
    compiled = PROGRAMS[name]()
    found = compiled.kernels()
    told = {(k.region, k.part, k.name): (len(k.launches), k.lines) for k in found}
    assert told == launched(compiled) != {}
    for kernel in found:
        assert host().object_of(kernel.source)
        assert kernel.source.count("define void") == 1
        assert f"define void @{kernel.name}(" in kernel.source
        assert kernel.assembly is not None and f"\n{kernel.name}:\n" in kernel.assembly


def test_launches_of_any_size_are_those_of_the_size() -> None:
    found = PROGRAMS["any size"]().kernels()
    assert [k.launches for k in found] == [(4,), (4,)]
    one, any_ = (k.source for k in found)
    # Scratch memory for a row of the one size, and of the largest that may come.
    assert "[30 x float]" in one and "[257 x float]" in any_


def test_a_region_of_the_cache_has_the_same_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    first, second = (called(chain, ot.randn(30, 40)) for _ in range(2))
    assert second.explain().variants[0].from_cache
    assert first.kernels() == second.kernels()


def test_table_text_html_and_json_say_the_same(tmp_path: Path) -> None:
    found = PROGRAMS["gradients"]().kernels()
    for suffix in ("txt", "html", "json"):
        found.save(tmp_path / f"found.{suffix}")
    rows = json.loads((tmp_path / "found.json").read_text())
    assert [KernelCode(**(r | tuples(r))) for r in rows] == found
    cells = [e.text or "" for e in ElementTree.parse(tmp_path / "found.html").iter("td")]
    lines = (tmp_path / "found.txt").read_text().splitlines()
    assert lines[0] == "generated kernels"
    assert lines[1].split() == ["region", "part", "kernel", "source", "launches", "of", "lines"]
    for kernel, line in zip(found, lines[2:], strict=True):
        assert kernel.name in cells
        assert all(part in line for part in (kernel.part, kernel.name, "LLVM", f"{HERE}:"))


def tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) for name, value in row.items() if isinstance(value, list)}


def test_one_kernel_shows_its_source() -> None:
    (kernel,) = kernels_of(lambda x: (x < 2).exp(), ot.randn(3))
    text = str(kernel)
    assert text.startswith(f"variant 0: {kernel.name}\n  forward Program, lines {HERE}:")
    assert f"  launched over 3 iterations, at least {kernel.grain} a thread\n" in text
    for line in kernel.source.splitlines():
        assert line.strip() in text
    (pre,) = ElementTree.fromstring(kernel._repr_html_()).iter("pre")
    assert pre.text == kernel.source
    out = StringIO()
    rich.console.Console(file=out, width=200).print(kernel)
    assert f"define void @{kernel.name}(" in out.getvalue()


def test_a_gpu_kernel_shows_what_it_takes() -> None:
    kernel = KernelCode(
        "variant 0", "backward", "f", "Triton", ("a.py:3",), (8, 8, 2), None, 64, 40, 512, 16, "x"
    )
    assert str(kernel) == (
        "variant 0: f\n  backward Program, lines a.py:3\n  launched over 2 x 8, 2 programs\n"
        "  64 threads a program, 40 registers and 16 bytes of stack a thread, "
        "512 bytes of shared memory\n  x"
    )
    assert str(Kernels([kernel])).splitlines()[1].split()[-5:] == [
        "threads", "registers", "shared", "stack", "lines"
    ]  # fmt: skip


def test_without_kernels_that_is_said() -> None:
    said = "no kernels: nothing was captured, or nothing but library calls"
    assert str(ot.compile(chain).kernels()) == said
    found = kernels_of(lambda x: x @ x, ot.randn(4, 4))
    assert found == [] and str(found) == said and found.to_json() == "[]"


def test_passes_run_once_for_stages_and_once_for_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = PROGRAMS["gradients"]()
    first, text = compiled.kernels(), compiled.ir("planned")

    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("the passes ran again")

    for home in (built, lowered, passed):
        monkeypatch.setattr(home, "run_all_passes", refuse)
    assert compiled.kernels() == first
    assert compiled.ir("planned") == text
