"""Regions whose Programs are made, and what is known of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .passed import run_all_passes, stages
from .region import Region

if TYPE_CHECKING:
    from ..codegen.kernel_code import Code
    from .padding.bucketed import Bucketed
    from .padding.replays import Padding
    from .resume.edits import Edits
    from .sizes.family import Family


@dataclass(frozen=True)
class Part:
    """A Program of a region: the `forward` one, the `backward` one, or that for some cotangents
    alone. A profile knows it by its number; `codes` gives the generated code of its kernels, by
    name."""

    title: str
    spec: dict[str, Any]
    number: int
    codes: Callable[[], dict[str, Code]]
    stages: Callable[[], dict[str, str]] = dict
    """The text of each of its stages, by name, of one that is for some cotangents."""
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """What making it took, where that was after the others."""
    edited: tuple[str, ...] = ()
    """The files that stood in the place of its steps."""


@dataclass
class Built:
    """A Program that can run, and what making it told. `backward` is there for a region that
    belongs to the tape outside."""

    program: Any
    parts: list[Part]
    region: Region
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    from_cache: bool = False
    dumps: dict[str, str] = field(default_factory=dict[str, str])
    family: Family | Bucketed | None = None
    """Of a region that shares its kernels with other sizes: all that do."""
    padding: Padding | None = None
    """How inputs are padded for the Program, and results cut."""
    sizes: str = ""
    """The sizes that it was bound for: `N = 37`."""
    fixed: str = ""
    """Why they are not, where another size came before."""
    edits: Edits | None = None
    """What stood in the place of steps of the region."""

    @property
    def spec(self) -> dict[str, Any]:
        """What the forward Program was serialised as."""
        return self.parts[0].spec

    @property
    def backward(self) -> dict[str, Any] | None:
        """The same of the backward one."""
        return self.parts[1].spec if self.region.is_differentiable else None

    @property
    def edited(self) -> tuple[str, ...]:
        """The files that stood in the place of steps."""
        own = () if self.edits is None else self.edits.files
        return (*own, *(file for part in self.parts for file in part.edited))

    def stages(self) -> dict[str, str]:
        """The text of each stage, by name."""
        return stages(self.region, self.edits) if self.family is None else self.family.stages()

    def narrowed_stages(self) -> dict[str, str]:
        """The same of the backward Programs for some cotangents: `backward of result 1: fused`."""
        return {
            f"{part.title}: {stage}": text
            for part in self.parts
            for stage, text in part.stages().items()
        }


class Codes:
    """The generated code of the kernels of a region's Programs, by name; made when first asked
    for, and kept."""

    def __init__(self, region: Region, edits: Edits | None) -> None:
        self._region, self._edits = region, edits
        self._all: list[dict[str, Code]] = []

    def of(self, part: int) -> dict[str, Code]:
        """That of the forward Program, which is part 0, or the backward one."""
        from .lowered import codes_of, kernels_in

        if not self._all:
            device = self._region.device
            passed = run_all_passes(self._region, edits=self._edits)
            self._all = [codes_of(kernels_in(m, device), device) for m in passed.modules]
        return self._all[part]
