"""The way of a bundle's module through the passes, one pass after the other, each as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from ...ir.interpret.module import run
from ...ir.text import parse_module, print_module
from ...passes.pipeline import Options, run_passes
from ...passes.split import split
from ...passes.trail import Application, Trail
from ..check.closeness import Array
from ..passed import APART, JOINT, options_for
from .bundle import Bundle

SPLIT = "split"

KERNELS_BY = "batch"
"""The pass after which kernels are as they are to run."""


@dataclass
class Step:
    """A pass over a part of the region: the module before it and after (None where it failed), the
    arguments of that, which of the region's results it gives and what has to come after these,
    which backward keeps, and what the pass applied. `earlier` is the number of applications of the
    passes before."""

    part: str
    name: str
    before: str
    inputs: Sequence[Any]
    numbers: range
    options: Options
    kept: Sequence[Array] = ()
    earlier: int = 0
    after: str | None = None
    error: Exception | None = None
    given: Sequence[Any] = ()
    """The arguments of the module before, where they are others."""
    applications: list[Application] = field(default_factory=list[Application])

    def run(self) -> None:
        """Runs the pass."""
        trail = Trail()
        try:
            self.after = print_module(self._through(parse_module(self.before), trail))
        except Exception as error:  # a wrong pass may do anything
            self.error = error
        self.applications = trail.applications

    def passed(self, trail: Trail) -> ModuleOp:
        """What the pass makes as far as `trail` lets it; names of arguments are lost."""
        return self._through(self._module.clone(), trail)

    @cached_property
    def _module(self) -> ModuleOp:
        return parse_module(self.before)

    def _through(self, module: ModuleOp, trail: Trail) -> ModuleOp:
        run_passes(module, [self.name], replace(self.options, trail=trail), verify=False)
        return module


def passes_after(made_by: str, names: Sequence[str]) -> Sequence[str]:
    """What of `names` is left to do for a module that a pass, or the capture, has made."""
    return names[names.index(made_by) + 1 :] if made_by in names else names


class Way:
    """All steps of a bundle, made one by one; each is taken to be right when the next is asked."""

    def __init__(self, bundle: Bundle, results: int) -> None:
        self._bundle, self._results = bundle, results
        self._options = options_for(bundle.device)
        self._earlier = 0
        self.kernels: list[Step] = []
        """The steps after which modules launch kernels as they are to run."""

    def steps(self) -> Iterator[Step]:
        bundle = self._bundle
        numbers = range(self._results)
        if bundle.apart is None:
            left = passes_after(bundle.made_by, [*JOINT, *APART])
            if bundle.made_by == KERNELS_BY:  # what was edited is what runs
                step = Step("", KERNELS_BY, "", bundle.inputs, numbers, self._options)
                step.after = bundle.module
                self.kernels.append(step)
            yield from self._through("", bundle.module, bundle.inputs, numbers, left)
            return
        joint, left = bundle.module, passes_after(bundle.made_by, JOINT)
        for step in self._through("", bundle.module, bundle.inputs, numbers, left):
            yield step
            joint = step.after or ""
        yield from self._parts(joint)

    def _parts(self, joint: str) -> Iterator[Step]:
        apart, inputs = self._bundle.apart, self._bundle.inputs
        assert apart is not None
        own, seeds = inputs[: apart.inputs], inputs[apart.inputs :]
        forward = Step("forward", SPLIT, joint, own, range(apart.results), self._options)
        rest = range(apart.results, self._results)
        backward = Step("backward", SPLIT, joint, [], rest, self._options)
        forward.given = backward.given = inputs
        try:
            made = split(parse_module(joint), apart.inputs, apart.results, apart.changed,
                         self._options.target)  # fmt: skip
        except Exception as error:
            forward.error = error
            yield forward
            return
        forward.after, backward.after = print_module(made.forward), print_module(made.backward)
        yield forward
        results = run(parse_module(forward.after), own)
        backward.inputs = [(own if is_in else results)[i] for is_in, i in made.kept] + seeds
        kept = results[apart.results :]
        yield from self._through("forward", forward.after, own, forward.numbers, APART, kept)
        yield backward
        yield from self._through(
            "backward", backward.after, backward.inputs, backward.numbers, APART
        )

    def _through(
        self, part: str, text: str, inputs: Sequence[Any], numbers: range,
        names: Sequence[str], kept: Sequence[Array] = (),
    ) -> Iterator[Step]:  # fmt: skip
        for name in names:
            step = Step(part, name, text, inputs, numbers, self._options, kept, self._earlier)
            step.run()
            yield step
            self._earlier += len(step.applications)
            if name == KERNELS_BY:
                self.kernels.append(step)
            text = step.after or ""
