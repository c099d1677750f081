"""The stages of a family as text: those of its samples, with sizes in place of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from ...ir.polynomial import Depends, DiffersError, Samples
from ..passed import Narrow, run_all_passes, run_narrowed
from .shared import SharedPrograms

_NUMBER = re.compile(r"((?<![\w.#])\d+\.\d+(?:e[+-]?\d+)?|\d+)")


def stages_of(shared: SharedPrograms, narrow: Narrow | None = None) -> dict[str, str]:
    """The text of each stage, by name, after a line with the ranges of sizes; numbers that are no
    polynomial of them (places in memory, choices) are `?`. It is for reading: the modules that
    passes see have numbers for sizes. With `narrow` those of the backward module for some
    cotangents."""
    run = run_all_passes if narrow is None else partial(run_narrowed, narrow=narrow)
    dumps: list[dict[str, str]] = [{} for _ in shared.regions]
    for region, dump, symbols in zip(shared.regions, dumps, shared.domain.stand_ins, strict=True):
        run(region, dump=dump.__setitem__, symbols=symbols, reuse=False)
    head = "".join(f"// {guard}\n" for guard in shared.domain.guards)
    samples, names = shared.domain.samples, shared.domain.symbols.names
    return {stage: head + joined([d[stage] for d in dumps], samples, names) for stage in dumps[0]}


def joined(texts: Sequence[str], samples: Samples, names: str) -> str:
    """One text for `texts`, one for each of `samples`, which differ in numbers only."""
    parts = [_NUMBER.split(text) for text in texts]
    return "".join(_part(alike, samples, names) for alike in zip(*parts, strict=True))


def _part(alike: Sequence[str], samples: Samples, names: str) -> str:
    if len(set(alike)) == 1:
        return alike[0]
    try:
        whole = all(n.isdigit() for n in alike)
        found = (
            samples.integer([int(n) for n in alike])
            if whole
            else samples.real([float(n) for n in alike])
        )
    except (DiffersError, ValueError):
        return "?"
    return found.text(names) if isinstance(found, Depends) else str(found)
