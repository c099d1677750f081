"""What the steps of Programs took in the newest profile that saw them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

_newest: dict[int, list[float]] = {}


def note_seconds(program: int, runs: Iterable[Sequence[float]]) -> None:
    """`runs` of the Program of that number have been measured, each step by step, NaN where it was
    left out."""
    _newest[program] = [
        median([s for s in seconds if not math.isnan(s)] or [0.0])
        for seconds in zip(*runs, strict=True)
    ]


def step_seconds(program: int) -> list[float] | None:
    """The median of each step of the Program of that number; None where it was not profiled."""
    return _newest.get(program)
