"""A region on its way through the passes: what its module is after each step, and what is done
there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ..ir.errors import CompileError
from ..runtime import _C
from .dumps import step_file
from .region import Region

if TYPE_CHECKING:
    from ..passes.padding.node import Plan
    from ..passes.pipeline import Report
    from ..passes.split import Split
    from ..passes.trail import Trail
    from .resume.edits import Edits

FIRST = ("autodiff", "decompose")
JOINT = (*FIRST, "simplify")
APART = ("join_products", "fuse", "lower", "batch", "plan_memory")
"""Passes over the graph of results and gradients, those of them that come before padding is masked,
and passes over forward and backward apart."""

PREFIXES = ("", "backward-")
"""Of what belongs to the forward Program and to the backward one."""

MASKED, NARROWED = "masked", "narrowed"
"""What a module is called of which padding is kept out of results, and a backward one for some of
its cotangents."""

Dump = Callable[[str, str], object]
Symbols = tuple[tuple[int, int], ...]
"""Sizes that stand for others, each with the one that passes take it for (see `passes/target`)."""


@dataclass(frozen=True)
class Passed:
    """Modules at stage `planned`, the forward one first, what that keeps for the backward one (see
    `Split`), what each pass took, and what of each module did not fuse (see `as_rows`). `halves`
    is a digest of how the region was split, where its gradient may be asked for in parts."""

    modules: list[Any]
    kept: list[tuple[bool, int]]
    seconds: dict[str, float]
    apart: list[list[list[Any]]]
    halves: str = ""


@dataclass(frozen=True)
class Narrow:
    """What makes the backward module of a region one for the cotangents `came` alone, positions
    among `ties.results`; `edits` stand in the place of its steps."""

    came: tuple[int, ...]
    edits: Edits | None = None


def run_all_passes(
    region: Region, dump: Dump | None = None, symbols: Symbols = (), reuse: bool = True,
    trail: Trail | None = None, edits: Edits | None = None,
) -> Passed:  # fmt: skip
    """The modules that `region` becomes; `dump` gets the text after each of `steps`, `trail` is
    told of rewrites, `edits` are what stands for the module after some steps. `symbols` are sizes
    that stand for others (see `Target`); without `reuse` all memory is apart."""
    from ..passes.pipeline import run_passes

    options = _options(region, symbols, reuse, trail)
    after = _After(dump, edits)
    module, report, seconds = _joined(region, options, after)
    if not region.is_differentiable:
        after.expect_all()
        return Passed([module], [], seconds, [after.rows(report, "")])
    parts, halves = _split(module, region, options, seconds)
    apart: list[list[list[Any]]] = []
    for part, prefix in zip((parts.forward, parts.backward), PREFIXES, strict=True):
        named = _prefixed(after, prefix)
        named("simplified", part)
        report = run_passes(part, APART, options, after=named)
        add_seconds(seconds, report.seconds)
        apart.append(after.rows(report, prefix))
    after.expect_all()
    return Passed([parts.forward, parts.backward], parts.kept, seconds, apart, halves)


def run_narrowed(
    region: Region, narrow: Narrow, dump: Dump | None = None, symbols: Symbols = (),
    reuse: bool = True, trail: Trail | None = None, edits: Edits | None = None,
) -> Passed:  # fmt: skip
    """The backward module for some cotangents alone. `edits` are those of the region's own steps,
    of which the ones up to `split` take their place."""
    from ..passes.narrow import narrow as narrowed
    from ..passes.pipeline import run_passes

    options = _options(region, symbols, reuse, None)
    before = _After(None, edits)
    module, _, seconds = _joined(region, options, before)
    parts, halves = _split(module, region, options, seconds)
    before.skip(1 + len(APART))  # the steps of the forward module
    _prefixed(before, PREFIXES[1])("simplified", parts.backward)
    started = time.perf_counter()
    reached = region.ties.reached(narrow.came)
    backward = narrowed(parts.backward, len(parts.kept), narrow.came, reached)
    seconds["narrow"] = time.perf_counter() - started
    after = _After(dump, narrow.edits)
    after(PREFIXES[1] + NARROWED, backward)
    options = options if trail is None else replace(options, trail=trail)
    report = run_passes(backward, APART, options, after=_prefixed(after, PREFIXES[1]))
    add_seconds(seconds, report.seconds)
    after.expect_all()
    return Passed([backward], parts.kept, seconds, [after.rows(report, PREFIXES[1])], halves)


def _options(region: Region, symbols: Symbols, reuse: bool, trail: Trail | None) -> Any:
    wants_apart = region.padding is not None and region.padding.apart
    options = options_for(region.device, symbols, reuse, wants_apart)
    return options if trail is None else replace(options, trail=trail)


def _joined(region: Region, options: Any, after: _After) -> tuple[Any, Report, dict[str, float]]:
    """The module of a region after the passes before `split`, or after all where nothing is split,
    with the report of the last ones, and what that took."""
    from .captured import to_module

    started = time.perf_counter()
    module = to_module(region)
    seconds = {"capture": time.perf_counter() - started}
    after("captured", module)
    report = _joined_passes(module, region, options, after)
    return module, report, seconds | report.seconds


def _split(
    module: Any, region: Region, options: Any, seconds: dict[str, float]
) -> tuple[Split, str]:
    """The forward and the backward module, and the digest of the former where another backward one
    may have to fit it."""
    from ..ir.text import print_module
    from ..passes.split import split

    started = time.perf_counter()
    changed = [argument for _, argument in region.assigned]
    parts = split(module, len(region.inputs), len(region.results), changed, options.target)
    seconds["split"] = time.perf_counter() - started
    if len(region.ties.results) == 1:
        return parts, ""
    return parts, sha256(print_module(parts.forward).encode()).hexdigest()


class _After:
    """What is done after each step: an edit takes the module's place, and its text is dumped."""

    def __init__(self, dump: Dump | None, edits: Edits | None) -> None:
        self._dump, self._edits = dump, edits
        self._number = 0
        self._replaced: list[str] = []  # steps, by what they are called

    def __call__(self, stage: str, module: Any) -> None:
        from ..ir.text import print_module

        file = step_file(self._number, stage)
        self._number += 1
        if self._edits is not None and self._edits.take_place(file, stage, module):
            self._replaced.append(stage)
        if self._dump is not None:
            self._dump(stage, print_module(module))

    def skip(self, steps: int) -> None:
        """As many steps are not taken."""
        self._number += steps

    def expect_all(self) -> None:
        """All edits have taken their place."""
        if self._edits is not None and len(self._replaced) < len(self._edits.texts):
            files = " and ".join(self._edits.files)
            raise CompileError(
                f"{files}: no such steps are made; another version of ostinato dumped them, so "
                "dump the region again"
            )

    def rows(self, report: Report, prefix: str) -> list[list[Any]]:
        """What `fuse` left apart; nothing is known of that where its result was replaced."""
        from ..passes.reasons import as_rows

        if any(f"{prefix}{s}" in self._replaced for s in ("fused", "kernels", "planned")):
            return []
        return as_rows(report.results["fuse"])


def _joined_passes(module: Any, region: Region, options: Any, after: _After) -> Report:
    """Runs the passes before `split`, or all where nothing is split."""
    from ..passes.pipeline import run_passes

    names = JOINT if region.is_differentiable else (*JOINT, *APART)
    if region.padding is None:
        return run_passes(module, names, options, after=after)
    seconds = run_passes(module, FIRST, options, after=after).seconds
    seconds["mask_padding"] = _mask(module, region, region.padding, after)
    report = run_passes(module, names[len(FIRST) :], options, after=after)
    report.seconds = seconds | report.seconds
    return report


def _mask(module: Any, region: Region, plan: Plan, after: _After) -> float:
    """Keeps padding out of results; what that took."""
    from ..passes.padding.mask import mask_padding

    started = time.perf_counter()
    mask_padding(module, plan, len(region.inputs) - len(plan.numbers))
    after(MASKED, module)
    return time.perf_counter() - started


def steps(region: Region, narrowed: bool = False) -> list[tuple[str, str]]:
    """What `run_all_passes` does, in order: the module, `joint`, `forward` or `backward`, and what
    makes it or changes it. Or what `run_narrowed` does after these."""
    if narrowed:
        return [("backward", name) for name in ("narrow", *APART)]
    joint = ["capture", *JOINT]
    if region.padding is not None:
        joint.insert(1 + len(FIRST), "mask_padding")
    if not region.is_differentiable:
        return [("forward", name) for name in (*joint, *APART)]
    apart = [(part, name) for part in ("forward", "backward") for name in ("split", *APART)]
    return [("joint", name) for name in joint] + apart


def _prefixed(after: _After, prefix: str) -> Callable[[str, Any], None]:
    """`simplified` is the joint module; what it is split into is `forward` at that stage."""
    forward = {} if prefix else {"simplified": "forward"}
    return lambda stage, module: after(prefix + forward.get(stage, stage), module)


def stage_of_step(name: str) -> str:
    """The stage that a module is at, by what its step is called."""
    stage = name.removeprefix(PREFIXES[1])
    known = {"forward": "simplified", MASKED: "decomposed", NARROWED: "simplified"}
    return known.get(stage, stage)


def stages(region: Region, edits: Edits | None = None) -> dict[str, str]:
    """The text of `region` at every stage, by name."""
    texts: dict[str, str] = {}
    run_all_passes(region, texts.__setitem__, edits=edits)
    return texts


def add_seconds(total: dict[str, float], more: dict[str, float]) -> None:
    """Adds `more` to `total`, by name."""
    for name, seconds in more.items():
        total[name] = total.get(name, 0.0) + seconds


def options_for(device: str, symbols: Symbols = (), reuse: bool = True, apart: bool = False) -> Any:
    """What passes are told of the device, of sizes that stand for others, and whether attention
    becomes other ops."""
    from ..passes.pipeline import Options
    from ..passes.target import ATTENTION

    target = replace(_target(device, bool(symbols)), symbols=symbols)
    if apart:
        target = replace(target, claims=target.claims - ATTENTION)
    return Options(target, reuse=reuse and not is_direct(device))


def is_direct(device: str) -> bool:
    """Whether a checker of memory is to see each tensor of a Program apart."""
    return device != "cpu" and _C.cuda_allocates_directly()


def _target(device: str, varies: bool) -> Any:
    from ..passes.target import CPU, CUDA, Kernels

    if device == "cpu":
        return CPU
    from ..codegen.triton.templates import TEMPLATES

    known = {
        name: Kernels(t.take, t.any_scratch if varies else t.scratch)
        for name, t in TEMPLATES.items()
    }
    return replace(CUDA, kernels=known)
