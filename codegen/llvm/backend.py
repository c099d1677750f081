"""The CPU backend: `kernel.func` ops to one relocatable x86-64 object."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir.dialects.kernel import FuncOp
from ...ir.errors import CompileError
from ..backend import CompiledModule, Options
from ..elf import undefined_symbols
from .machine import Machine, host
from .module import module_text

FORMAT = "elf-x86-64"


class LLVMBackend:
    """Implements `codegen.backend.Backend` for a CPU, by default the one that runs us."""

    name = "llvm"

    def __init__(self, machine: Callable[[], Machine] = host) -> None:
        self._machine = machine

    def target(self) -> str:
        """The CPU and its features, as LLVM calls them."""
        return self._machine().target

    def build(self, kernels: Sequence[FuncOp], options: Options | None = None) -> CompiledModule:
        """One object with all `kernels`; it defines all that it uses. There are no options.

        Raises CompileError for an op without a lowering, a repeated name, an unknown option, or a
        machine that is no x86-64 with AVX2.
        """
        for option in options or ():
            raise CompileError(f"llvm: unknown option {option}; the backend takes none")
        data = self._machine().object_of(self.text(kernels))
        missing = undefined_symbols(data)
        if missing:
            raise CompileError(
                f"llvm: the kernels call {', '.join(missing)}; "
                f"kernels must define all that they use"
            )
        symbols = tuple(k.sym_name.data for k in kernels)
        return CompiledModule(FORMAT, self.target(), symbols, data)

    def text(self, kernels: Sequence[FuncOp]) -> str:
        """The LLVM module that `build` compiles."""
        machine = self._machine()
        return module_text(kernels, machine.header, machine.attributes)

    def assembly(self, kernels: Sequence[FuncOp]) -> str:
        """The assembly of what `build` makes."""
        return self._machine().assembly_of(self.text(kernels))
