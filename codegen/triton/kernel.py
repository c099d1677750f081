"""What the emitter hands to compiler and launcher: Triton source and its launch record."""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.polynomial import Number

Constant = bool | int | float | str | tuple["Constant", ...] | None
"""A value of a `tl.constexpr` argument."""

ALIGNMENT = 16
"""Bytes to which the pointers are aligned that a kernel is specialised on."""


@dataclass(frozen=True)
class Parameter:
    """A pointer of a kernel: buffer number `buffer` of its `kernel.func`.

    `type` is as Triton's signatures spell it (`*fp32`). Where `aligned`, the cubin may assume that
    the pointer is a multiple of `ALIGNMENT` bytes; the source is right for any other too, so a
    variant for misaligned pointers is the same source compiled without the assumption.
    """

    name: str
    type: str
    buffer: int
    aligned: bool = True


@dataclass(frozen=True)
class SizeParameter:
    """An integer that a kernel takes: what it is `of` the sizes that vary, its type (`i32`), and
    what the cubin may assume that it is a multiple of, since it is whatever the sizes are."""

    name: str
    type: str
    of: Number
    divisor: int = 1


@dataclass(frozen=True)
class Launch:
    """How a kernel is launched.

    The Triton function takes `parameters` in this order, then `sizes`, then `constants`, its
    `tl.constexpr` arguments with their values. `programs` are along the one axis of the grid.
    Buffers numbered in `aliased` may be the same storage; no others overlap. With `fp_fusion`
    products and sums may be contracted, which changes last bits.
    """

    programs: Number
    num_warps: int
    num_stages: int
    parameters: tuple[Parameter, ...]
    constants: tuple[tuple[str, Constant], ...] = ()
    aliased: tuple[int, ...] = ()
    fp_fusion: bool = False
    sizes: tuple[SizeParameter, ...] = ()

    @property
    def signature(self) -> dict[str, str]:
        """Parameters and constants by name, as `triton.compiler.ASTSource` takes them."""
        types = {p.name: p.type for p in (*self.parameters, *self.sizes)}
        return types | {name: "constexpr" for name, _ in self.constants}


@dataclass(frozen=True)
class TritonKernel:
    """One kernel: `source` is a module of Python text that defines the `@triton.jit` function
    `name` and imports `triton` and `triton.language as tl`, nothing else."""

    name: str
    source: str
    launch: Launch

    def renamed(self, name: str) -> TritonKernel:
        """The same kernel with another name."""
        source = self.source.replace(f"def {self.name}(", f"def {name}(")
        return TritonKernel(name, source, self.launch)
