"""The Program of one bucket, and the captures of sizes that it serves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...runtime import _C
from ..built import Built
from ..region import Region
from .buckets import Dim
from .replays import Padding

if TYPE_CHECKING:
    from ...passes.padding.node import Plan
    from ..variant import Variant


@dataclass
class Bucketed:
    """Calls whose sizes are padded to the same: their Program, and a variant for each size."""

    made: Built
    plan: Plan
    dims: list[list[Dim]]  # of each size
    seconds: dict[str, float]
    members: list[Variant] = field(default_factory=list[Any])
    past_calls: int = 0

    @property
    def calls(self) -> int:
        """How often it ran."""
        return self.past_calls + sum(member.calls for member in self.members)

    @property
    def lines(self) -> list[str]:
        """`bucket N in [65, 128] padded to 128: axis 0 of x`, a line a size."""
        every = zip("NMKL", self.plan.padded, self.dims, strict=False)
        return [
            f"bucket {name} in [{dims[0].bucket.below(size)}, {size}] padded to {size}: "
            + " and ".join(d.name for d in dims)
            for name, size, dims in every
        ]

    def stages(self) -> dict[str, str]:
        """The text of each stage, by name, of all regions."""
        return self.made.stages()

    def bind(self, region: Region, sizes: Sequence[int]) -> Built:
        """The Program for a call of these sizes, whose capture is `region`."""
        started = time.perf_counter()
        padding = Padding(self.plan, tuple(sizes))
        bound = replace(self.made, region=region, family=self, padding=padding, dumps={})
        names = zip("NMKL", sizes, self.plan.padded, strict=False)
        bound.sizes = ", ".join(f"{n} = {s} padded to {p}" for n, s, p in names)
        bound.seconds = {"bind": time.perf_counter() - started}
        return bound


def with_numbers(region: Region, plan: Plan) -> Region:
    """`region`, which is made for the padded sizes, with what `plan` wants to be given besides."""
    numbers = [_C.number(n.at(plan.padded)) for n in plan.numbers]
    first = len(region.values)
    values = [("input", n.dtype, (), True, n, False) for n in numbers]
    sources: list[Any] = [("tensor", n) for n in numbers]
    return replace(
        region,
        values=[*region.values, *values],
        inputs=[*region.inputs, *range(first, first + len(numbers))],
        sources=[*region.sources, *sources],
        names=[*region.names, *(f"size{i}" for i in range(len(numbers)))],
        on_host=[*region.on_host, *[region.device != "cpu"] * len(numbers)],
        padding=plan,
    )
