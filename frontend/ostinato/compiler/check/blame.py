"""Which pass made a region wrong, and in which op: every stage is made again and interpreted.

The first stage that computes something else than eager ops names the pass. In it, the first op
that makes a value which the stage before has not, on the way to what is wrong, is the one to see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xdsl.ir import Operation

from ...ir.locations import told_lines
from ...passes.trail import name_of
from ...runtime import _C
from ..dumps import step_file
from ..passed import run_all_passes, steps
from ..region import Region
from .closeness import Array, Expected, array_of
from .culprit import Interpreted, Pool, culprit, is_alike
from .exposed import wrong_step
from .rerun import run_again

if TYPE_CHECKING:
    from ..resume.edits import Edits

EAGER, CODEGEN = "eager", "codegen"

_JOINT, _FORWARD, _BACKWARD = "joint", "forward", "backward"


@dataclass(frozen=True)
class Blame:
    """The pass, the op or kernel in what it made, and the user's lines that this comes from.

    `NAME, edited` is a pass with an edited dump in the place of its result. Two are no passes:
    `eager`, where the native kernel of an op disagrees with the op table, and `codegen`, where what
    runs disagrees with the IR that it was made from.
    """

    pass_name: str
    op: str = "no op of its own"
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """A call that went wrong: what the region read, gradients of its results, what eager ops give,
    and what the Program gave, by number of the result. `edits` are those of the region."""

    region: Region
    inputs: Sequence[Any]
    cotangents: Sequence[Any]
    expected: Expected
    found: dict[int, Array]
    edits: Edits | None = None


def blame(call: Call) -> Blame:
    """The first stage that is wrong."""
    search = _Search(call)
    right: dict[str, Interpreted] = {}
    to_run: list[Interpreted] = []
    for part, name, stage in search.stages():
        wrong = search.wrong_result(part, stage)
        if wrong is not None and name.startswith("capture"):
            return search.of_capture(name, stage, wrong)
        if wrong is not None:
            before = right.get(part) or right[_JOINT]
            return _named(name, culprit(stage, wrong, search.pool(before.values())))
        right[part] = stage
        if name.startswith("batch"):
            to_run.append(stage)
    steps_run = (wrong_step(stage, call.region.device, search.half) for stage in to_run)
    return _named(CODEGEN, next((op for op in steps_run if op is not None), None))


def _named(pass_name: str, op: Operation | None) -> Blame:
    return (
        Blame(pass_name) if op is None else Blame(pass_name, name_of(op), told_lines(op.location))
    )


class _Search:
    def __init__(self, call: Call) -> None:
        self.call, self.region = call, call.region
        numbers = [self.region.values[v][3] for v in self.region.inputs]
        self.inputs = [
            _C.item_now(x) if number else array_of(x)
            for x, number in zip(call.inputs, numbers, strict=True)
        ]
        self.half = any(d.bits == 16 and d.is_floating_point for _, d, *_ in self.region.values)

    def stages(self) -> Iterator[tuple[str, str, Interpreted]]:
        """(part, pass, what it made of the part) in order."""
        edits = self.call.edits
        files = () if edits is None else edits.texts
        texts: list[tuple[str, str]] = []

        def note(stage: str, text: str) -> None:
            edited = step_file(len(texts), stage) in files
            texts.append((", edited" if edited else "", text))

        passed = run_all_passes(self.region, note, edits=edits)
        seeds = [array_of(c) for c in self.call.cotangents]
        given = {_JOINT: self.inputs + seeds, _FORWARD: self.inputs}
        for (part, name), (edited, text) in zip(steps(self.region), texts, strict=True):
            stage = Interpreted(text, given[part])
            yield part, name + edited, stage
            if part == _FORWARD and not stage.failed:
                kept = [(self.inputs if is_in else stage.results)[i] for is_in, i in passed.kept]
                given[_BACKWARD] = kept + seeds

    def wrong_result(self, part: str, stage: Interpreted) -> int | None:
        """Which result of a stage is not what eager ops give; the first where it cannot run."""
        if stage.failed:
            return 0
        own = len(self.region.results)
        numbers = range(own if part == _BACKWARD else 0,
                        own if part == _FORWARD else len(self.call.expected.arrays))  # fmt: skip
        for i, number in enumerate(numbers):
            if self.call.expected.first_wrong(number, stage.results[i]) is not None:
                return i
        return None

    def pool(self, values: Sequence[Array]) -> Pool:
        """What is right of the values that a stage made."""
        return Pool(values, self.half)

    def of_capture(self, name: str, stage: Interpreted, wrong: int) -> Blame:
        """Eager ops and the captured IR disagree; the Program says which of them is alone, where
        the IR was not edited."""
        values: dict[int, Any] = {}
        run_again(self.region, self.call.inputs, values=values)
        known = self.pool([array_of(t) for v, t in values.items() if not self.region.values[v][3]])
        if name != "capture":
            return _named(name, culprit(stage, wrong, known))
        found = self.call.found.get(wrong)
        agrees = not stage.failed and found is not None and is_alike(found, stage.results[wrong])
        return _named(EAGER if agrees else "capture", culprit(stage, wrong, known))
