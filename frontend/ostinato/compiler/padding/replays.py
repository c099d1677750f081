"""Calls of a Program that was made for larger sizes: arguments grow, and results are cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...runtime import _C
from ..region import Region

if TYPE_CHECKING:
    from ...passes.padding.axes import Axes, Padded
    from ...passes.padding.node import Plan


@dataclass(frozen=True)
class Padding:
    """The sizes of some calls, and what becomes of them."""

    plan: Plan
    sizes: tuple[int, ...]

    @property
    def numbers(self) -> list[Any]:
        """What the Program is given besides its inputs."""
        return [_C.number(n.at(self.sizes)) for n in self.plan.numbers]

    def grown(self, given: Any, axes: Axes) -> Any:
        """`given` with zeros up to the padded sizes."""
        amounts: list[int] = []
        for axis, size in zip(axes, given.shape, strict=True):
            amounts[:0] = [0, math.prod(self._padded(f) for f in axis or ()) - size]
        return _C.ops.pad(given, amounts) if any(amounts) else given

    def cut(self, made: Any, axes: Axes) -> Any:
        """`made` without padding."""
        factors = [f for axis in axes for f in axis or ()]
        if all(isinstance(f, int) for f in factors):
            return made
        split = len(factors) != len(axes)
        if split:
            made = made.reshape([self._padded(f) for f in factors])
        for i, factor in enumerate(factors):
            if not isinstance(factor, int):
                made = made.narrow(i, 0, self.sizes[factor.number])
        shape = [math.prod(self._real(f) for f in axis or ()) for axis in axes]
        return (made.reshape(shape) if split else made).contiguous()

    def _padded(self, factor: int | Padded) -> int:
        return factor if isinstance(factor, int) else self.plan.padded[factor.number]

    def _real(self, factor: int | Padded) -> int:
        return factor if isinstance(factor, int) else self.sizes[factor.number]


class PaddedReplays:
    """What `_C.Replay` is to other Programs: `region` is that of a call as it comes."""

    def __init__(self, program: Any, region: Region, padding: Padding) -> None:
        self._replay = _C.Replay(None, region)
        self._program, self._padding, self._numbers = program, padding, padding.numbers
        self.runs = 0
        self.fits, self.are_apart = self._replay.fits, self._replay.are_apart
        self.inputs, self.hand_out = self._replay.inputs, self._replay.hand_out

    @property
    def wanted(self) -> Sequence[int]:
        """The results of the region that `launch` makes."""
        return self._replay.wanted

    def launch(self, leaves: list[Any]) -> list[Any]:
        """What the Program makes, without padding."""
        self.runs += 1
        self._replay.check_indices(leaves)
        plan, padding = self._padding.plan, self._padding
        given = [
            padding.grown(x, axes) for x, axes in zip(self.inputs(leaves), plan.inputs, strict=True)
        ]
        made = self._program.run([*given, *self._numbers])
        return [padding.cut(made[i], plan.results[i]) for i in self.wanted]

    def run(self, leaves: list[Any]) -> list[Any]:
        """What the captured function returned, flat."""
        return self.hand_out(leaves, self.launch(leaves))
