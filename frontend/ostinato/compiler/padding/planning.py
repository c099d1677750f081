"""Looks at a region for a few sizes, and finds how its padding is kept out of results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...ir.polynomial import Samples
from .. import passed
from ..region import Region

if TYPE_CHECKING:
    from ...passes.padding.node import Plan


def plan_of(
    sampled: Sequence[Region], region: Region, samples: Samples, padded: Sequence[int]
) -> tuple[Plan, dict[str, float]]:
    """How padding is kept out of the results of `region`, which is that for the `padded` sizes, and
    what finding that out took. `sampled` are the regions for `samples`.

    UnsafeError where it cannot be.
    """
    from ...passes.padding.track import UnsafeError, planned

    for apart in (False, True):
        modules, seconds = _decomposed([*sampled, region], apart)
        inputs, cotangent_of = len(region.inputs), region.ties.results
        try:
            plan = planned(modules, samples, padded, inputs, cotangent_of, apart)
        except UnsafeError as error:
            if apart or not error.wants_apart:
                raise
        else:
            return plan, seconds
    raise AssertionError("attention is no op of its own")


def _decomposed(
    regions: Sequence[Region], apart: bool = False
) -> tuple[list[Any], dict[str, float]]:
    """What regions are before anything depends on their sizes, and what making it took."""
    from ...passes.pipeline import run_passes
    from ..captured import to_module

    seconds: dict[str, float] = {}
    modules: list[Any] = []
    for region in regions:
        started = time.perf_counter()
        options = passed.options_for(region.device, apart=apart)
        modules.append(to_module(region))
        passed.add_seconds(seconds, {"capture": time.perf_counter() - started})
        passed.add_seconds(seconds, run_passes(modules[-1], passed.FIRST, options).seconds)
    return modules, seconds
