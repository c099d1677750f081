"""The GPU backend: `kernel.func` ops to cubins, by way of Triton source."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from ...ir.dialects.kernel import FuncOp
from ...ir.errors import CompileError
from ..backend import CompiledModule, Options
from .build import build
from .container import FORMAT, pack
from .emit.kernel import emit
from .kernel import TritonKernel


class TritonBackend:
    """Implements `codegen.backend.Backend` for NVIDIA GPUs of one compute capability."""

    name = "triton"

    def __init__(self, cc: int) -> None:
        """For compute capability `cc`: 90 is 9.0. No GPU is needed."""
        self.cc = cc

    def target(self) -> str:
        """The architecture, and the Triton that compiles for it."""
        try:
            return f"sm_{self.cc} triton-{version('triton')}"
        except PackageNotFoundError:
            return f"sm_{self.cc}"

    def build(self, kernels: Sequence[FuncOp], options: Options | None = None) -> CompiledModule:
        """The cubins of `kernels`. There are no options.

        Raises CompileError for an op without a lowering, a repeated name, an unknown option, and
        where Triton is missing or refuses a kernel.
        """
        for option in options or ():
            raise CompileError(f"triton: unknown option {option}; the backend takes none")
        return self.build_sources([emit(k) for k in kernels])

    def build_sources(self, kernels: Sequence[TritonKernel]) -> CompiledModule:
        """The cubins of kernels that are source already."""
        symbols = tuple(k.name for k in kernels)
        data = pack(build(kernels, self.cc), self.target())
        return CompiledModule(FORMAT, self.target(), symbols, data)
