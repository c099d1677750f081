"""`Explanation`: what `explain()` gives, as data, and as text, HTML and JSON made of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .facts import Program, program_facts
from .seconds import step_seconds
from .show import Block, Saved
from .tables import blocks

if TYPE_CHECKING:
    from ..compiled import Compiled
    from ..follow import Followed as FollowedFunction
    from ..variant import Variant


@dataclass(frozen=True)
class Region:
    """Ops that are compiled and launched as a whole. `seconds` is what each part of making it
    took, `sizes` those that it is bound for where they are arguments of its kernels, `edited` the
    dumped steps that stand in the place of what passes made."""

    name: str
    sizes: str
    calls: int
    from_cache: bool
    seconds: dict[str, float]
    programs: tuple[Program, ...]
    edited: tuple[str, ...] = ()


@dataclass(frozen=True)
class Break:
    """A place of the user's code where a region ends before the function does, how often it came
    there, and the milliseconds that a call waits for Python to come there."""

    line: str
    why: str
    count: int
    milliseconds: float


@dataclass(frozen=True)
class Followed:
    """How a function is followed whose Python runs at each call; `limit` is there where it took
    more regions than that and runs eagerly."""

    calls: int
    why: str
    limit: int | None
    breaks: tuple[Break, ...]
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class Explanation(Saved):
    """What became of a function: `variants` replay, `followed` are the ways in which it is
    followed.

    `str` gives plain text, `rich.print` a coloured table, a notebook shows HTML, and `to_json` is
    for tools; `save` writes any of these.
    """

    function: str
    variants: tuple[Region, ...]
    followed: tuple[Followed, ...]

    def _blocks(self) -> list[Block]:
        return blocks(self)


def explanation(compiled: Compiled) -> Explanation:
    """What there is to say of a compiled function now."""
    every = [e.followed for e in compiled.entries.values() if e.followed is not None]
    variants = [_region(f"variant {i}", v) for i, v in enumerate(compiled.variants)]
    return Explanation(compiled.name, tuple(variants), tuple(map(_followed, every)))


def _region(name: str, variant: Variant) -> Region:
    built = variant.built
    programs = [
        program_facts(p.title, p.spec, step_seconds(p.number), built.region.device)
        for p in built.parts
    ]
    return Region(
        name, built.sizes, variant.calls, built.from_cache, built.seconds, tuple(programs),
        built.edited,
    )  # fmt: skip


def _followed(followed: FollowedFunction) -> Followed:
    breaks = [
        Break(b.line, b.why, b.count, b.seconds / max(b.count, 1) * 1e3)
        for b in followed.breaks.values()
    ]
    regions = [_region(f"region {i}", r) for i, r in enumerate(followed.regions.values())]
    limit = followed.limit if followed.gave_up else None
    return Followed(followed.calls, followed.why, limit, tuple(breaks), tuple(regions))
