"""A small module that shows what a pass does wrong: grown around the op until it does, then cut.

Whether a module shows it is asked of the interpreter: it runs the module before the pass and after.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from ...ir.dialects.ot import GradientOp
from ...ir.locations import told_lines
from ...passes.pipeline import Options, run_passes
from ...passes.trail import OFF, name_of
from ..check.culprit import is_alike
from .cut import Small, Whole
from .judge import interpreted

Shows = Callable[[Small], bool]
"""Whether a module shows what is wrong."""

_SECONDS = 15.0
"""After which what is small enough by then is taken."""

_REACHES = ((0, 0), (1, 0), (1, 1), (2, 1), (3, 2), (5, 3), (8, 8), (16, 16), (1 << 20, 1 << 20))
"""How many steps before and after the op belong to a module that is tried."""

_MOST_SEEDS = 6


def small_module(
    module: ModuleOp, inputs: Sequence[object], lines: Sequence[str], op: str, shows: Shows
) -> Small | None:
    """A part of `module` that shows it, around what has these lines and is called `op` if there is
    such; None where none does in the time there is."""
    end = time.monotonic() + _SECONDS
    try:
        whole = Whole(module, inputs)
    except Exception:  # what the interpreter cannot run has no values to cut at
        return None
    for up, down in _REACHES:
        for seeds in _seeds(whole, lines, op):
            kept = whole.around(seeds, up, down)
            if _tried(whole, kept, None, shows):
                return _Shrinking(whole, shows, end).run(kept)
            if time.monotonic() > end:
                return None
    return None


def _seeds(whole: Whole, lines: Sequence[str], op: str) -> Iterator[list[Operation]]:
    """Where to start: each op that is meant, then all of them."""
    near = [o for o in whole.ops if set(told_lines(o.location)) & set(lines)]
    named = [o for o in near if name_of(o) == op] or near
    for one in named[:_MOST_SEEDS]:
        yield [one]
    yield near or whole.ops
    yield [o for o in whole.ops if isinstance(o, GradientOp)] or whole.ops


def _tried(
    whole: Whole, kept: Sequence[Operation], wanted: Sequence[SSAValue] | None, shows: Shows
) -> bool:
    if not kept:
        return False
    try:
        return shows(whole.cut(kept, wanted))
    except Exception:  # a part that is no module
        return False


class _Shrinking:
    """Leaves out ops, in parts that get smaller, then results."""

    def __init__(self, whole: Whole, shows: Shows, end: float) -> None:
        self.whole, self.shows, self.end = whole, shows, end

    def run(self, kept: list[Operation]) -> Small:
        """What is left."""
        size = max(len(kept) // 2, 1)
        while size and time.monotonic() < self.end:
            fewer = self._without_some(kept, size)
            size = size if len(fewer) < len(kept) and size <= len(fewer) // 2 else size // 2
            kept = fewer
        return self._fewer_results(kept)

    def _without_some(self, kept: list[Operation], size: int) -> list[Operation]:
        at = 0
        while at < len(kept) and time.monotonic() < self.end:
            rest = kept[:at] + kept[at + size :]
            if _tried(self.whole, rest, None, self.shows):
                kept = rest
            else:
                at += size
        return kept

    def _fewer_results(self, kept: list[Operation]) -> Small:
        inside = set(kept)
        wanted = self.whole.leaving(inside)
        for value in list(wanted):
            fewer = [v for v in wanted if v is not value]
            if fewer and _tried(self.whole, kept, fewer, self.shows):
                wanted = fewer
        return self.whole.cut(kept, wanted)


def shown_by_pass(name: str, options: Options, tolerance: float, fails: bool) -> Shows:
    """What shows that a pass is wrong: another result after it than before; with `fails`, that it
    cannot be done."""

    def shows(small: Small) -> bool:
        right = interpreted(small.module, small.inputs)
        if isinstance(right, Exception):
            return False
        after = small.module.clone()
        try:
            run_passes(after, [name], replace(options, trail=OFF), verify=False)
        except Exception:
            return fails
        found = interpreted(after, small.inputs)
        if isinstance(found, Exception):
            return fails
        return not fails and any(
            a.shape != b.shape or not is_alike(a, b, tolerance)
            for a, b in zip(found, right, strict=True)
        )

    return shows
