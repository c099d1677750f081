"""From a planned module to a Program for a GPU and its cubins."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import ModuleOp

from ...ir.dialects.kernel import BatchOp, FuncOp
from ..program import serialize
from .backend import TritonBackend
from .kernel import TritonKernel
from .launches import launch_kernels
from .templates.call import Settings


def gpu_program(
    module: ModuleOp, settings: Settings
) -> tuple[dict[str, Any], bytes, list[TritonKernel]]:
    """The serialised Program of a module at stage `planned`, the container with its cubins (empty
    where it launches nothing), and the sources of these.

    Raises CompileError where Triton is missing or refuses a kernel.
    """
    spec = serialize(module)
    fused = {k.sym_name.data: k for k in module.ops if isinstance(k, FuncOp | BatchOp)}
    kernels = launch_kernels(spec, fused, settings)
    code = TritonBackend(settings.cc).build_sources(kernels).data if kernels else b""
    return spec, code, kernels
