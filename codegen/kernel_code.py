"""The generated source of kernels, for people to read, and what is known of their machine code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

# What reports need of this module is there without the packages that compile.
if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from ..ir.dialects.kernel import FuncOp
    from .triton.kernel import TritonKernel
    from .triton.templates.call import Settings

LLVM, TRITON = "LLVM", "Triton"
"""What the sources are written in."""


@dataclass(frozen=True)
class Code:
    """A kernel's source, a text of its own, and of one for a GPU the threads of a program, the
    registers of a thread, and the bytes of shared memory of a program and of a thread's stack."""

    language: str
    source: str
    threads: int | None = None
    registers: int | None = None
    shared: int | None = None
    stack: int | None = None


def llvm_kernels(module: ModuleOp) -> list[FuncOp]:
    """The kernels that the Program of a planned module for a CPU launches."""
    from ..ir.dialects.kernel import FuncOp
    from .program import serialize

    wanted = set(serialize(module)["kernels"])
    kernels = (k for k in module.ops if isinstance(k, FuncOp))
    return [k for k in kernels if k.sym_name.data in wanted]


def llvm_codes(kernels: Iterable[FuncOp]) -> dict[str, Code]:
    """Each kernel as an LLVM module, by name."""
    from .llvm.backend import LLVMBackend

    backend = LLVMBackend()
    return {k.sym_name.data: Code(LLVM, backend.text([k])) for k in kernels}


def assembly_of(source: str) -> str:
    """The assembly of an LLVM module for this machine."""
    from .llvm.machine import host

    return host().assembly_of(source)


def triton_kernels(module: ModuleOp, settings: Settings) -> list[TritonKernel]:
    """The kernels that the Program of a planned module for a GPU launches."""
    from ..ir.dialects.kernel import BatchOp, FuncOp
    from .program import serialize
    from .triton.launches import launch_kernels

    fused = {k.sym_name.data: k for k in module.ops if isinstance(k, FuncOp | BatchOp)}
    return launch_kernels(serialize(module), fused, settings)


def triton_codes(kernels: Sequence[TritonKernel], cc: int) -> dict[str, Code]:
    """Each kernel as a Python module, by name, with what its cubin says for compute capability
    `cc`; it is compiled where the cache has none. CompileError where Triton is missing then."""
    from .triton.build import build

    return {
        b.kernel.name: Code(
            TRITON, b.kernel.source, b.warps * _WARP, b.resources.registers, b.shared,
            b.resources.local_bytes,
        )
        for b in build(kernels, cc)
    }  # fmt: skip


_WARP = 32
"""Threads of a warp."""
