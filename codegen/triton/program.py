"""From a planned module to a Program for a GPU and its cubins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from ...ir.dialects.kernel import BatchOp, FuncOp
from ..program import serialize
from .backend import TritonBackend
from .kernel import TritonKernel
from .launches import launch_kernels
from .templates.call import Settings
from .variants import KernelFamily


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
    return spec, cubins(kernels, settings.cc), kernels


def sized_program(
    spec: dict[str, Any],
    kernels: Mapping[str, FuncOp | BatchOp],
    settings: Settings,
    family: KernelFamily,
) -> tuple[list[TritonKernel], bytes]:
    """The kernels of a Program for many sizes, whose launches are put into `spec`, and the
    container with their cubins; a size that comes needs no others."""
    made = launch_kernels(spec, kernels, settings, family)
    return made, cubins(made, settings.cc)


def cubins(kernels: Sequence[TritonKernel], cc: int) -> bytes:
    """The container of `kernels`; empty where there are none."""
    return TritonBackend(cc).build_sources(kernels).data if kernels else b""
