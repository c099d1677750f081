"""What a template sees of the call that it launches kernels for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....ir.polynomial import Polynomial
from ..emit.sizes import Spread
from ..kernel import TritonKernel

Dim = int | Polynomial
"""A size or stride, which may depend on sizes that vary."""


@dataclass(frozen=True)
class Operand:
    """A tensor in memory: strides count elements; `aligned` is its first element's address."""

    dtype: str
    sizes: tuple[Dim, ...]
    strides: tuple[Dim, ...]
    aligned: bool = True


@dataclass(frozen=True)
class Settings:
    """What kernels may depend on besides their operands: the compute capability (90 is 9.0), and
    how float32 products are computed (`tf32` or `ieee`)."""

    cc: int
    precision: str = "tf32"


@dataclass(frozen=True)
class Call:
    """A call of an op: operands (None for an absent one), then results, then scratch memory. Where
    sizes vary they are in `spread`."""

    operands: tuple[Operand | None, ...]
    results: tuple[Operand, ...]
    scratch: tuple[Operand, ...]
    attrs: Mapping[str, Any]
    settings: Settings
    spread: Spread | None = None

    @property
    def tensors(self) -> tuple[Operand | None, ...]:
        """All tensors, as the parameters of a template's kernels number them."""
        return (*self.operands, *self.results, *self.scratch)


@dataclass(frozen=True)
class Step:
    """A kernel to launch; its parameters are numbered as in `Call.tensors`, and it writes the last
    `writes` of them."""

    kernel: TritonKernel
    writes: int


Shape = tuple[str, tuple[int, ...]]
"""The dtype and sizes of a tensor."""


@dataclass(frozen=True)
class Template:
    """Kernels that stand for an op.

    `take` says whether operands of these shapes are supported: others become the op's body.
    `scratch` is the memory that the kernels pass among themselves, `any_scratch` what they may do
    for shapes whose sizes vary. `launches` are to be run one after the other; which they are is
    chosen by the dims that `widths` gives.
    """

    take: Callable[[Sequence[Shape | None]], bool]
    launches: Callable[[Call], list[Step]]
    widths: Callable[[Call], list[Dim]]
    scratch: Callable[[Sequence[Shape | None]], tuple[Shape, ...]] = field(default=lambda _: ())
    any_scratch: Callable[[Sequence[Shape | None]], tuple[Shape, ...]] = field(default=lambda _: ())
