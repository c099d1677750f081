"""The order of the passes, the stage after each, and how they are run: verified, timed, dumped.

Verification between passes costs more than the passes, so it is done where `verify=True` is asked
for or `OSTINATO_VERIFY=1` is set, as tests and the command line do.
"""

from __future__ import annotations

import gc
import inspect
import os
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from ..ir.errors import IRError
from ..ir.graph import main_of
from ..ir.interpret.program import ARENA
from ..ir.stages import STAGES, is_at, stage_of
from ..ir.stages import verify as verify_stage
from ..ir.text import print_module
from .target import CPU, Target
from .trail import OFF, Trail

VERIFY = "OSTINATO_VERIFY"
"""The environment variable: `1` verifies the stage after each pass where nothing else is said."""


@dataclass(frozen=True)
class Options:
    """What passes may ask: the machine, whether rewrites may be true of real numbers only, and
    whether memory that a value leaves may serve another; and what follows them (see `Trail`)."""

    target: Target = CPU
    fast_math: bool = False
    reuse: bool = True
    trail: Trail = OFF


@dataclass(frozen=True)
class Pass:
    """A pass by name: the function `name` of the module `name` in this folder.

    It is called with a module and, after it, the values of the fields of `Options` named in
    `takes` (`claims` and `kernels` are those of the target), then the trail. `stage` is what the
    module is at afterwards.
    """

    name: str
    stage: str
    takes: tuple[str, ...] = ()
    needs: str = ""
    """A stage that the module has to be at, where the pass can do nothing with others."""

    def run(self, module: ModuleOp, options: Options) -> Any:
        """Runs the pass on `module` in place, and returns what it reports."""
        function = getattr(import_module(f".{self.name}", __package__), self.name)
        target = options.target
        known = {"target": target, "claims": target.claims, "kernels": target.kernels,
                 "fast_math": options.fast_math, "reuse": options.reuse}  # fmt: skip
        return function(module, *(known[name] for name in self.takes), options.trail)

    @property
    def doc(self) -> str:
        """What the pass says of itself."""
        module = import_module(f".{self.name}", __package__)
        told = (inspect.getdoc(what) or "" for what in (module, getattr(module, self.name)))
        return "\n\n".join(map(str.strip, told))


PIPELINE = (
    Pass("autodiff", "differentiated"),
    Pass("decompose", "decomposed", ("claims", "kernels")),
    Pass("simplify", "simplified", ("fast_math",)),
    Pass("join_products", "simplified"),
    Pass("fuse", "fused", ("target",)),
    Pass("lower", "kernels", ("target",), needs="fused"),
    Pass("batch", "kernels", ("target",), needs="kernels"),
    Pass("plan_memory", "planned", ("reuse",), needs="kernels"),
)
PASSES = {p.name: p for p in PIPELINE}

After = Callable[[str, ModuleOp], object]
"""Called with the name of a stage and the module at it, in which it may put other ops."""


@dataclass
class Report:
    """What running passes took and told, by name of the pass."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    results: dict[str, Any] = field(default_factory=dict[str, Any])


def run_passes(
    module: ModuleOp,
    names: Sequence[str] = tuple(PASSES),
    options: Options | None = None,
    *,
    verify: bool | None = None,
    after: After | None = None,
) -> Report:
    """Runs passes on `module` in place, in the order given (all by default).

    IRError for a name that no pass has, and, where verification is on, for a module that is not
    at the stage that a pass leaves: the message has the IR before and after and the command that
    repeats it. A pass' own exception has that command as a note. Where the trail of `options` says
    so the passes end early; that module may be at no stage, but the interpreter runs it. `after`
    is called after each pass.
    """
    chosen = [pass_named(name) for name in names]
    with uncollected():
        return _run(chosen, module, options or Options(), verify, after)


@contextmanager
def uncollected() -> Generator[None]:
    """Passes make many objects and little garbage, which the collector would walk in vain: a fifth
    of their time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _run(
    chosen: Sequence[Pass], module: ModuleOp, options: Options, verify: bool | None,
    after: After | None,
) -> Report:  # fmt: skip
    check = os.environ.get(VERIFY) == "1" if verify is None else verify
    report = Report()
    known = ""  # the stage that the module was last found to be at
    for each in chosen:
        if options.trail.over:
            break
        if check and each.needs:
            _expect_turn(each, module)
        options.trail.enter(each.name, module)
        before = module.clone() if check else module
        expected = _stage_after(each, module, known) if check else ""
        started = time.perf_counter()
        try:
            report.results[each.name] = each.run(module, options)
        except Exception as error:
            if check:
                error.add_note(f"in pass '{each.name}'; to repeat it: {_command(each, before)}")
            raise
        report.seconds[each.name] = time.perf_counter() - started
        if check and not options.trail.done:
            _verify(each, module, expected, before)
            known = expected
        if after is not None:
            after(each.stage, module)
            known = ""  # it may put other ops in it
    return report


def pass_named(name: str) -> Pass:
    """The pass called `name`, or IRError with the names there are."""
    found = PASSES.get(name)
    if found is None:
        raise IRError(f"no pass is called '{name}'; there are {', '.join(PASSES)}")
    return found


def _expect_turn(each: Pass, module: ModuleOp) -> None:
    """IRError where `each` can do nothing with a module at this stage."""
    is_placed = ARENA in main_of(module).attributes
    if is_at(module, each.needs) and not is_placed:
        return
    found = "planned" if is_placed else stage_of(module)
    before = ",".join(list(PASSES)[: list(PASSES).index(each.name)])
    raise IRError(
        f"pass '{each.name}' takes a module at stage '{each.needs}'; this one is at '{found}'. The "
        f"passes before it are {before}"
    )


def _stage_after(each: Pass, module: ModuleOp, known: str) -> str:
    """What `module`, which is at the stage `known` if that is one, has to be at when `each` has
    run: the stage of the pass, or the stage that it is at already where the pass runs out of its
    turn."""
    turn = STAGES[STAGES.index(each.stage) - 1]
    in_turn = known in (turn, each.stage) or is_at(module, turn)
    return each.stage if in_turn else stage_of(module)


def _verify(each: Pass, module: ModuleOp, stage: str, before: ModuleOp) -> None:
    try:
        verify_stage(module, stage)
    except IRError as error:
        raise IRError(
            f"pass '{each.name}' breaks the module: {error}\n"
            f"to repeat it: {_command(each, before)}\n"
            f"before:\n{print_module(before)}after:\n{print_module(module)}"
        ) from error


def _command(each: Pass, before: ModuleOp) -> str:
    handle, path = tempfile.mkstemp(prefix=f"before_{each.name}_", suffix=".mlir", text=True)
    with os.fdopen(handle, "w") as file:
        file.write(print_module(before))
    return f"ostinato opt --passes={each.name} {Path(path)}"
