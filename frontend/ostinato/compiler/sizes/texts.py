"""The stages of a family as text: those of its samples, with sizes in place of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...ir.polynomial import Depends, DiffersError, Samples
from ..passed import run_all_passes
from .family import Family

_NUMBER = re.compile(r"((?<![\w.#])\d+\.\d+(?:e[+-]?\d+)?|\d+)")


def stages_of(family: Family) -> dict[str, str]:
    """The text of each stage, by name, after a line with the ranges of sizes; numbers that are no
    polynomial of them (places in memory, choices) are `?`. It is for reading: the modules that
    passes see have numbers for sizes."""
    dumps: list[dict[str, str]] = [{} for _ in family.regions]
    for region, dump, symbols in zip(family.regions, dumps, family.domain.stand_ins, strict=True):
        run_all_passes(region, dump.__setitem__, symbols, reuse=False)
    head = "".join(f"// {guard}\n" for guard in family.domain.guards)
    samples, names = family.domain.samples, family.domain.symbols.names
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
