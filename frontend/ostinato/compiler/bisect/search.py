"""The first application after which a bundle's module computes something else.

Passes are gone through in order; in the first that is wrong the application is found by halves,
the pass being stopped ever closer to it. What runs on the machine is compared last, kernel by
kernel, and after that the op table itself, by witnesses that do not share its bodies and rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from ...ir.locations import told_lines
from ...ir.text import parse_module
from ...passes.fuse import FORM, KEEP
from ...passes.fusion.groups import MERGE
from ...passes.trail import Application, Trail, name_of
from ..check.culprit import Interpreted, Pool, culprit, tolerance
from .bundle import Bundle
from .cut import Small
from .finding import NO_OP, Finding
from .judge import Apart, Judge, interpreted
from .machine import wrong_kernel
from .reduce import shown_by_pass, small_module
from .steps import SPLIT, Step, Way
from .witnesses import wrong_op, wrong_rule

Tell = Callable[[str], object]
"""Called with a line on what was looked at."""


def find(bundle: Bundle, tell: Tell) -> Finding | None:
    """Who is to blame; None where nothing is wrong."""
    judge = Judge(bundle)
    way = Way(bundle, len(judge.expected.arrays))
    for step in way.steps():
        wrong = _whole(step, judge)
        named = f"{step.part} {step.name}".strip()
        tell(f"{named}: {len(step.applications)} applications, {'wrong' if wrong else 'right'}")
        if wrong is not None:
            return _Inside(step, judge, wrong).find()
    return _beyond_passes(bundle, judge, way, tell)


def _whole(step: Step, judge: Judge) -> Apart | None:
    """How the result of a whole step is wrong."""
    if step.error is not None:
        return Apart.by(step.error)
    assert step.after is not None
    return _apart(parse_module(step.after), step, judge)


def _apart(module: ModuleOp, step: Step, judge: Judge) -> Apart | None:
    """How a module in the place of the result of `step` is wrong."""
    found = interpreted(module, step.inputs)
    if isinstance(found, Exception):
        return Apart.by(found)
    return judge.compare(found, step.numbers, step.kept)


class _Inside:
    """The search in a pass that is wrong as a whole."""

    def __init__(self, step: Step, judge: Judge, wrong: Apart) -> None:
        self.step, self.judge, self.wrong = step, judge, wrong

    def find(self) -> Finding:
        """The application, or the pass itself where results are wrong without any."""
        if self.step.name == SPLIT:
            return self._beside()
        applications = self.step.applications
        first = self._first(len(applications), lambda n: Trail(stop_after=n))
        if first is None:
            return self._beside()
        found, wrong = applications[first - 1], self._apart(Trail(stop_after=first))
        choice = self._merge() if found.rewrite == FORM else None
        return Finding(
            found.pass_name, found.rewrite, found.op, found.lines, wrong or self.wrong,
            self._small(found.lines, found.op), self.step.earlier + found.number, choice,
        )  # fmt: skip

    def _first(self, count: int, trail: Callable[[int], Trail]) -> int | None:
        """The application from which on results are wrong; None where they are so without it, or
        where all of them do not make them wrong."""
        if self._apart(trail(0)) is not None or self._apart(trail(count)) is None:
            return None
        right, wrong = 0, count
        while wrong - right > 1:
            middle = (right + wrong) // 2
            if self._apart(trail(middle)) is None:
                right = middle
            else:
                wrong = middle
        return wrong

    def _apart(self, trail: Trail) -> Apart | None:
        """How the results are wrong where the pass goes as far as `trail` lets it."""
        try:
            module = self.step.passed(trail)
        except Exception as error:  # a wrong pass may do anything
            return Apart.by(error)
        return _apart(module, self.step, self.judge)

    def _merge(self) -> Application | None:
        """The choice without which the fusion that is wrong would be another, and right."""
        numbers = [a.number for a in self.step.applications if a.rewrite == MERGE]
        before = min(numbers, default=1) - 1

        def trail(count: int) -> Trail:
            return Trail(stop_after=before + count, always=(FORM, KEEP))

        first = self._first(len(numbers), trail)
        return None if first is None else self.step.applications[before + first - 1]

    def _beside(self) -> Finding:
        """What is wrong is done by no application: the op that first makes something else."""
        op = _culprit(self.step, self.judge) if self.step.after else None
        name = NO_OP if op is None else name_of(op)
        lines = () if op is None else told_lines(op.location)
        small = None if self.step.name == SPLIT else self._small(lines, name)
        return Finding(self.step.name, "the pass itself", name, lines, self.wrong, small)

    def _small(self, lines: Sequence[str], op: str) -> Small | None:
        """A small module that shows it."""
        step = self.step
        shows = shown_by_pass(step.name, step.options, tolerance(self.judge.half),
                              self.wrong.cannot_run)  # fmt: skip
        return small_module(parse_module(step.before), step.inputs, lines, op, shows)


def _culprit(step: Step, judge: Judge) -> Operation | None:
    assert step.after is not None
    before = Interpreted(step.before, step.given or step.inputs)
    after = Interpreted(step.after, step.inputs)
    wrong = 0
    for i, found in enumerate(after.results):
        one = range(step.numbers.start + i, step.numbers.start + i + 1)
        if i < len(step.numbers) and judge.compare([found], one) is not None:
            wrong = i
            break
    return culprit(after, wrong, Pool(before.values(), judge.half))


def _beyond_passes(bundle: Bundle, judge: Judge, way: Way, tell: Tell) -> Finding | None:
    """What is wrong though every stage means the same."""
    for step in way.kernels:
        found = wrong_kernel(step, bundle.device, judge, tell)
        if found is not None:
            return found
    for witness in (wrong_op, wrong_rule):
        found = witness(bundle, tell)
        if found is not None:
            return found
    return None
