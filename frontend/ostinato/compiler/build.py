"""From a region to what runs it: its Programs, tied to the tape where it belongs there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ..runtime import _C
from .bisect.bundle import write_where_asked
from .built import Built, Codes, Part
from .dumps import Dump as Dumped
from .lowered import Wanted, lower, made
from .narrowing import Narrowing
from .passed import is_direct, steps
from .region import Region
from .resume.edits import are_asked, edits_of, tell_of_others


def build(region: Region, name: str) -> Built:
    """Compile `region`, or load it from the cache where the same was compiled before."""
    wanted = Wanted(region, name, describe(region))
    edits = edits_of(region, wanted.identity)
    if edits is None:
        tell_of_others(region, wanted.identity)
    wanted = replace(wanted, edits=edits)
    write_where_asked(region, name, wanted.key, edits)
    found = made(wanted)
    bare = region.bare
    parts = parts_of(found.specs, found.programs, Codes(bare, edits).of)
    narrow = Narrowing(replace(wanted, region=bare), parts)
    built = tied(region, name, parts, found.programs, narrow)
    built.seconds, built.from_cache, built.edits = found.seconds, found.from_cache, edits
    built.dumps = found.stages
    return built


def parts_of(
    specs: list[dict[str, Any]], programs: list[Any], codes: Callable[[int], dict[str, Any]]
) -> list[Part]:
    """The forward Program and, where there is one, the backward one; `codes` are those of each."""
    every = zip(("forward", "backward"), specs, programs, strict=False)
    return [
        Part(title, spec, program.number, partial(codes, i))
        for i, (title, spec, program) in enumerate(every)
    ]


def tied(
    region: Region, name: str, parts: list[Part], programs: list[Any],
    narrow: Callable[[list[int]], Any],
) -> Built:  # fmt: skip
    """What runs `region`, on the tape where it belongs there; `narrow` makes the backward Program
    for some of the cotangents, by their positions."""
    ties = region.ties
    if not ties.results and not ties.spent:
        return Built(programs[0], parts, region)
    kept = [tuple(k) for k in parts[1].spec["kept"]] if ties.results else []
    backward = programs[1] if ties.results else None
    called = f"the compiled function {name}"
    program = _C.RegionProgram(
        programs[0], backward, called, ties.results, ties.wanted, kept, ties.spent,
        len(region.results), ties.reach, narrow,
    )  # fmt: skip
    return Built(program, parts, region)


def is_edited(region: Region, name: str) -> bool:
    """Whether something stands in the place of a step of `region`."""
    if not are_asked():
        return False
    return edits_of(region, Wanted(region, name, describe(region)).identity) is not None


def tell_unedited(region: Region, name: str) -> None:
    """A warning where edits are there for the function of a region that comes from no dump."""
    if are_asked():
        tell_of_others(region, Wanted(region, name, describe(region)).identity)


def dump_where_asked(region: Region, name: str) -> None:
    """Dumps a region that shares its Programs with other sizes as it is for its own: what is edited
    there is for these."""
    dumped = Dumped.asked()
    if dumped is None:
        return
    identity = Wanted(region, name, describe(region)).identity
    lowered = lower(region, dumped.note, dumped.trail)
    title = f"{name}-{identity.trace[:8]}"
    dumped.write(title, identity, steps(region), lowered.kernels, region)


def described(region: Region) -> Any:
    """The same as lists of what JSON has."""
    return json.loads(describe(region))


def describe(region: Region) -> str:
    """All that compiling depends on, as text; source lines come along since dumps show them."""
    values = [
        (kind, dtype.name, tuple(shape), wrapped, _C.item_now(t) if kind == "number" else None)
        for kind, dtype, shape, wrapped, t, _ in region.values
    ]
    nodes = [
        (n.name, n.operands, n.results, n.attrs, n.line, n.no_grad, n.pin) for n in region.nodes
    ]
    ties = (region.ties.results, region.ties.wanted, region.assigned)
    place: tuple[Any, ...] = ("cpu",)
    if region.device != "cpu":
        place = (_C.cuda_capability(region.device), _C.float32_matmul_precision(),
                 is_direct(region.device))  # fmt: skip
    everything = (values, nodes, region.inputs, region.results, region.writes, region.names, ties,
                  place, region.on_host, region.padding, region.start)  # fmt: skip
    return json.dumps(everything, default=repr)
