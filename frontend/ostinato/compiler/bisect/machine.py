"""What runs on the machine beside its interpretation, kernel by kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...ir.locations import told_lines
from ...ir.text import parse_module, print_module
from ...passes.pipeline import run_passes
from ...passes.trail import name_of
from ...runtime import _C
from ..build import program_of
from ..check.closeness import array_of
from ..check.culprit import Interpreted, is_alike, tolerance
from ..check.exposed import inputs_of, wrong_step
from .cut import Small
from .judge import Apart
from .reduce import small_module
from .steps import Step


@dataclass(frozen=True)
class Wrong:
    """What is wrong though no stage is: the place, a pass or `codegen` or `op table`, what is done
    there, and to what."""

    place: str
    rewrite: str
    name: str
    lines: tuple[str, ...]
    apart: Apart
    small: Small | None = None


def wrong_kernel(
    step: Step, device: str, half: bool, tell: Callable[[str], object]
) -> Wrong | None:
    """The first kernel or call of a module at stage `kernels` that gives something else on the
    machine; of the whole Program where each alone is right."""
    named = f"{step.part} codegen".strip()
    if device != "cpu" and not _C.cuda_is_available():
        tell(f"{named}: not run, since there is no {device} here")
        return None
    assert step.after is not None
    stage = Interpreted(step.after, step.inputs)
    op = wrong_step(stage, device, half)
    tell(f"{named}: {len(stage.made)} kernels and calls, {'right' if op is None else 'wrong'}")
    if op is None:
        return _whole(step, device, half)
    small = small_module(parse_module(step.after), step.inputs, told_lines(op.location),
                         name_of(op), lambda s: _is_wrong(s, device, half))  # fmt: skip
    told = f"{name_of(op)} gives something else on the machine than in the interpreter"
    return Wrong("codegen", "emission", name_of(op), told_lines(op.location), Apart(told), small)


def _is_wrong(small: Small, device: str, half: bool) -> bool:
    stage = Interpreted(print_module(small.module), small.inputs)
    return not stage.failed and wrong_step(stage, device, half) is not None


def _whole(step: Step, device: str, half: bool) -> Wrong | None:
    """The Program as it is planned."""
    module = parse_module(step.after or "")
    run_passes(module, ["plan_memory"], step.options)
    stage = Interpreted(print_module(module), step.inputs)
    found: list[Any] = program_of(module, device).run(inputs_of(stage, module, device))
    for right, made in zip(stage.results, found, strict=True):
        if not is_alike(array_of(made), right, tolerance(half)):
            told = "the Program gives something else on the machine than its steps alone"
            return Wrong("codegen", "the Program as a whole", "no op of its own", (), Apart(told))
    return None
