"""Loads compiled kernels into this process through LLVM's own linker."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# (llvmlite is not annotated.)

from __future__ import annotations

import llvmlite.binding as llvm

from ...ir.errors import CompileError
from ..backend import CompiledModule
from .backend import FORMAT
from .machine import baseline, host, target_machine


class LoadedKernels:
    """Kernels in memory for as long as this object lives; `addresses` gives each one's entry."""

    def __init__(self, module: CompiledModule) -> None:
        """Raises CompileError where `module` is of another format or machine."""
        machine = host()
        if module.format != FORMAT or module.target not in (machine.target, baseline().target):
            raise CompileError(
                f"llvm: a module of format {module.format} for "
                f"{module.target or 'no machine'}; build it on this machine"
            )
        empty = llvm.parse_assembly(machine.header)
        self._engine = llvm.create_mcjit_compiler(
            empty, target_machine(machine.cpu, machine.features)
        )
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(module.data))
        self._engine.finalize_object()
        self.addresses: dict[str, int] = {
            name: self._engine.get_function_address(name) for name in module.symbols
        }
