"""A variant for any sizes within a range: captured and compiled for a few, bound for each that
comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...ir.polynomial import Sizes, evaluated
from .. import build
from ..built import Built
from ..region import Region
from .shared import SharedPrograms
from .symbols import Domain

if TYPE_CHECKING:
    from ..variant import Variant


@dataclass
class Family:
    """What regions for all sizes of a domain have in common: `described` is the trace, with what
    depends on sizes in place of numbers."""

    programs: SharedPrograms
    described: Any
    members: list[Variant] = field(default_factory=list[Any])  # one for each size that came
    past_calls: int = 0  # of those that were given up

    @property
    def domain(self) -> Domain:
        """The sizes."""
        return self.programs.domain

    @property
    def seconds(self) -> dict[str, float]:
        """What making the Programs took."""
        return self.programs.seconds

    @property
    def calls(self) -> int:
        """How often it ran."""
        return self.past_calls + sum(member.calls for member in self.members)

    @property
    def lines(self) -> list[str]:
        """`size N in [11, 521], axis 1 of argument 0`, a line a symbol."""
        return [f"size {guard}" for guard in self.domain.guards]

    def stages(self) -> dict[str, str]:
        """The text of each stage, by name, of all regions."""
        return self.programs.stages()

    def takes(self, shapes: Sequence[tuple[int, ...]]) -> bool:
        """Whether the sizes of a call with arguments of these shapes are in the domain."""
        sizes = self.domain.symbols.sizes_in(shapes)
        return sizes is not None and self.domain.takes(sizes)

    def sizes_in(self, shapes: Sequence[tuple[int, ...]], region: Region) -> Sizes | None:
        """The sizes of a call with arguments of these shapes, if it is one of the family: in the
        domain, and captured as the samples were."""
        sizes = self.domain.symbols.sizes_in(shapes)
        if sizes is None or not self.domain.takes(sizes):
            return None
        return sizes if evaluated(self.described, sizes) == build.described(region) else None

    def bind(self, region: Region, name: str, sizes: Sizes) -> Built:
        """The Programs for these sizes."""
        started = time.perf_counter()
        built = self.programs.bind(region, name, sizes)
        built.family, built.sizes = self, self.domain.named(sizes)
        built.seconds["bind"] = time.perf_counter() - started
        return built
