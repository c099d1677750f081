"""What a backend is: it turns fused kernels into a module that a runtime can load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..ir.dialects.kernel import FuncOp

Options = Mapping[str, str | int | bool]
"""Settings of one backend by name; each backend says which it knows and refuses others."""


@dataclass(frozen=True)
class CompiledModule:
    """Built kernels. `symbols` are the names to look up in `data`, one a kernel, in order.

    `format` says how `data` is loaded: `elf-x86-64` is a relocatable object whose symbols are
    `void NAME(void* const* buffers, int64_t begin, int64_t end)`; sizes that a kernel takes are
    integers after the pointers. `target` names the machine that it was built for; it runs on no
    lesser one.
    """

    format: str
    target: str
    symbols: tuple[str, ...]
    data: bytes


class Backend(Protocol):
    """Compiles `kernel.func` ops; it neither changes nor keeps them."""

    @property
    def name(self) -> str:
        """How users and caches call the backend."""
        ...

    def target(self) -> str:
        """The machine that `build` builds for: part of every cache key."""
        ...

    def build(self, kernels: Sequence[FuncOp], options: Options | None = None) -> CompiledModule:
        """One module with all `kernels`, whose names must differ.

        Raises CompileError where a kernel, an option or the machine is not supported.
        """
        ...
