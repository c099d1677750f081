"""`f.kernels()`: the generated kernels of a function as data, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...codegen.kernel_code import LLVM, assembly_of
from .show import Block, Line, Saved, Source, Table
from .tables import short

if TYPE_CHECKING:
    from ...codegen.kernel_code import Code
    from ..built import Built
    from ..compiled import Compiled


@dataclass(frozen=True)
class KernelCode(Saved):
    """A kernel that was generated for a region (`variant 0`, `region 1` of a followed function),
    for its forward or its backward Program.

    `source` is the text that it is compiled from, in the `language` LLVM or Triton, `lines` are
    those of the user that it computes. `launches` has the size of each launch: on a CPU iterations
    of the parallel axis, of which a thread takes no fewer than `grain`, on a GPU programs, each of
    `threads`. A thread takes `registers` and `stack` bytes, a program `shared` bytes of shared
    memory. What a backend does not say is None.
    """

    region: str
    part: str
    name: str
    language: str
    lines: tuple[str, ...]
    launches: tuple[int, ...]
    grain: int | None
    threads: int | None
    registers: int | None
    shared: int | None
    stack: int | None
    source: str

    @cached_property
    def assembly(self) -> str | None:
        """The machine's instructions, of a kernel for a CPU."""
        return assembly_of(self.source) if self.language == LLVM else None

    def _blocks(self) -> list[Block]:
        return [Line(f"{self.region}: {self.name}"), *_facts(self), Source(self.source, 2)]


class Kernels(Saved, list[KernelCode]):
    """The kernels of a function. `str` gives a table of them; each of them shows its source."""

    def _blocks(self) -> list[Block]:
        if not self:
            return [Line("no kernels: nothing was captured, or nothing but library calls")]
        rows = [
            (k.region, k.part, k.name, k.language, _sizes(k), _told(k.threads), _told(k.registers),
             _told(k.shared), _told(k.stack), short(k.lines))
            for k in self
        ]  # fmt: skip
        columns = ("region", "part", "kernel", "source", "launches of", "threads", "registers",
                   "shared", "stack", "lines")  # fmt: skip
        told = [i for i in range(len(columns)) if any(row[i] != "" for row in rows)]
        kept = [tuple(row[i] for i in told) for row in rows]
        return [Table("generated kernels", tuple(columns[i] for i in told), tuple(kept))]


def _facts(kernel: KernelCode) -> Iterator[Block]:
    yield Line(f"{kernel.part} Program, lines {short(kernel.lines)}", 2)
    each = "iterations" if kernel.language == LLVM else "programs"
    grain = "" if kernel.grain is None else f", at least {kernel.grain} a thread"
    yield Line(f"launched over {_sizes(kernel)} {each}{grain}", 2)
    if kernel.threads is not None:
        yield Line(
            f"{kernel.threads} threads a program, {kernel.registers} registers and "
            f"{kernel.stack} bytes of stack a thread, {kernel.shared} bytes of shared memory", 2,
        )  # fmt: skip


def _sizes(kernel: KernelCode) -> str:
    """`3 x 512, 1024`: equal launches together."""
    counts = {size: kernel.launches.count(size) for size in kernel.launches}
    return ", ".join(str(s) if n == 1 else f"{n} x {s}" for s, n in counts.items())


def _told(number: int | None) -> int | str:
    return "" if number is None else number


def kernels_of(compiled: Compiled) -> Kernels:
    """The generated kernels of all regions of a function."""
    followed = [e.followed for e in compiled.entries.values() if e.followed is not None]
    named = [(f"variant {i}", v.built) for i, v in enumerate(compiled.variants)]
    for each in followed:
        named += [(f"region {i}", r.built) for i, r in enumerate(each.regions.values())]
    return Kernels(k for name, built in named for k in _of_built(name, built))


def _of_built(region: str, built: Built) -> Iterator[KernelCode]:
    for part in built.parts:
        yield from _of_program(region, part.title, part.spec, part.codes())


def _of_program(
    region: str, part: str, spec: dict[str, Any], codes: dict[str, Code]
) -> Iterator[KernelCode]:
    launched: dict[str, list[dict[str, Any]]] = {}
    for step in spec["instructions"]:
        if step["kind"] == "launch":
            launched.setdefault(step["kernel"], []).append(step)
    for name, steps in launched.items():
        code = codes[name]
        on_cpu = code.language == LLVM
        yield KernelCode(
            region, part, name, code.language,
            tuple(dict.fromkeys(line for step in steps for line in step["lines"])),
            tuple(step["extent" if on_cpu else "programs"] for step in steps),
            steps[0]["grain"] if on_cpu else None, code.threads, code.registers, code.shared,
            code.stack, code.source,
        )  # fmt: skip
