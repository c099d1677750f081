"""The generated source of every kernel of a planned module, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ModuleOp

from ..ir.dialects.kernel import BatchOp, FuncOp
from .program import serialize

if TYPE_CHECKING:
    from .triton.templates.call import Settings


def llvm_sources(module: ModuleOp) -> dict[str, str]:
    """An LLVM module for each kernel that the Program launches, by file name."""
    from .llvm.backend import LLVMBackend

    wanted = set(serialize(module)["kernels"])
    kernels = {k.sym_name.data: k for k in module.ops if isinstance(k, FuncOp)}
    backend = LLVMBackend()
    return {f"{name}.ll": backend.text([k]) for name, k in kernels.items() if name in wanted}


def triton_sources(module: ModuleOp, settings: Settings) -> dict[str, str]:
    """A Python module for each Triton kernel that the Program launches, by file name."""
    from .triton.launches import launch_kernels

    fused = {k.sym_name.data: k for k in module.ops if isinstance(k, FuncOp | BatchOp)}
    kernels = launch_kernels(serialize(module), fused, settings)
    return {f"{k.name}.py": k.source for k in kernels}
