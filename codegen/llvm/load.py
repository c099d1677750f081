"""Loads compiled kernels into this process, as Programs do."""

from __future__ import annotations

from ...ir.errors import CompileError
from ...runtime import _C
from ..backend import CompiledModule
from .backend import FORMAT
from .machine import baseline, host


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
        self._object = _C.LoadedObject(module.data)
        self.addresses: dict[str, int] = {
            name: self._object.address(name) for name in module.symbols
        }
