"""What runs on the machine beside its interpretation, kernel by kernel."""

from __future__ import annotations

from collections.abc import Callable

from ...ir.locations import told_lines
from ...ir.text import parse_module, print_module
from ...passes.pipeline import run_passes
from ...passes.trail import name_of
from ...runtime import _C
from ..check.closeness import array_of
from ..check.culprit import Interpreted
from ..check.exposed import inputs_of, other_steps, wrong_step
from ..lowered import program_of
from .cut import Small, Whole
from .finding import NO_OP, Finding
from .judge import Apart, Judge
from .steps import Step


def wrong_kernel(
    step: Step, device: str, judge: Judge, tell: Callable[[str], object]
) -> Finding | None:
    """The first kernel or call of a module at stage `kernels` that gives something else on the
    machine, alone and for the operands of the interpreter; else the whole Program, where its
    results are wrong."""
    named = f"{step.part} codegen".strip()
    if device != "cpu" and not _C.cuda_is_available():
        tell(f"{named}: not run, since there is no {device} here")
        return None
    assert step.after is not None
    stage = Interpreted(step.after, step.inputs)
    whole = Whole(stage.module, step.inputs)
    found = None
    for op in other_steps(stage, device, judge.half):
        alone = whole.cut([op])
        if _is_wrong(alone, device, judge.half):
            told = f"{name_of(op)} gives something else on the machine than in the interpreter"
            lines = told_lines(op.location)
            found = Finding("codegen", "emission", name_of(op), lines, Apart(told), alone)
            break
    found = found or _whole(step, device, judge)
    tell(f"{named}: {len(stage.made)} kernels and calls, {'wrong' if found else 'right'}")
    return found


def _is_wrong(small: Small, device: str, half: bool) -> bool:
    stage = Interpreted(print_module(small.module), small.inputs)
    return not stage.failed and wrong_step(stage, device, half) is not None


def _whole(step: Step, device: str, judge: Judge) -> Finding | None:
    """The Program as it is planned."""
    module = parse_module(step.after or "")
    run_passes(module, ["plan_memory"], step.options)
    stage = Interpreted(print_module(module), step.inputs)
    made = program_of(module, device).run(inputs_of(stage.inputs, module, device))
    apart = judge.compare([array_of(t) for t in made], step.numbers, step.kept)
    return apart and Finding("codegen", "the Program as a whole", NO_OP, (), apart)
