"""What `round_trips` sees while other tests run: errors planted in printing and in passes."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import UNKNOWN_LOC, ModuleOp

import ostinato
from graph_cases import graph
from ostinato.ir.locations import line_location
from ostinato.ir.op import OPS
from ostinato.ir.text import print_module
from ostinato.passes import simplify as simplify_module
from ostinato.passes.pipeline import Options, run_passes
from ostinato.passes.trail import Application, Trail
from round_trips import FOLDER, Watch, features, line_problems, lines_in, text_problem
from watched_tests import WatchedTests

X = np.ones((2, 3), "float32")


def summed() -> ModuleOp:
    """A module with attributes, results and lines to lose."""
    return graph(lambda x: OPS["sum"](OPS["exp"](x), dim=(1,)), X).module


def without(part: str) -> Callable[[ModuleOp], str]:
    """A printer that forgets something."""
    return lambda module: print_module(module).replace(part, "")


PRINTERS = [
    (", keepdim = false", "ot.sum is parsed with other attributes"),
    (' loc("model.py":10:0)', "is printed again as"),
    ("array<i64: 1>", "the text does not parse: text:4: "),
]


@pytest.mark.parametrize(("part", "told"), PRINTERS)
def test_a_printer_that_forgets_something_is_noticed(part: str, told: str) -> None:
    module = summed()
    assert text_problem(module) is None
    assert part in print_module(module)
    assert told in (text_problem(module, without(part)) or "")


def test_text_that_is_printed_otherwise_again_is_noticed() -> None:
    module = summed()
    texts = [print_module(module), print_module(module).replace("ot.exp", "ot.log")]
    problem = text_problem(module, lambda _: texts.pop(0))
    assert problem is not None and "is printed again as" in problem


LINES: dict[str, tuple[Any, str]] = {
    "none": (UNKNOWN_LOC, "ot.exp has no line"),
    "ours": (line_location(str(Path(ostinato.__file__).parent / "ops.py"), 3),
             "ops.py:3, which is no line of the user"),
    "new": (line_location("model.py", 99), "ot.exp names model.py:99, which no op named before"),
}  # fmt: skip


def place(module: ModuleOp, location: Any) -> None:
    """Gives `ot.exp` a location."""
    next(op for op in module.walk() if op.name == "ot.exp").location = location


@pytest.mark.parametrize("name", LINES)
def test_a_lost_or_wrong_line_is_noticed(name: str) -> None:
    module = summed()
    known = lines_in(module)
    assert not list(line_problems(module, known))
    location, told = LINES[name]
    place(module, location)
    (problem,) = line_problems(module, known)
    assert problem.endswith(told)


@pytest.mark.breaks_ir
@pytest.mark.parametrize("name", LINES)
def test_a_pass_that_loses_a_line_fails_the_test_that_runs_it(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin: Any = request.config.pluginmanager.get_plugin("watched_tests")
    watch = plugin.watch
    assert not watch.taken()
    location, told = LINES[name]
    monkeypatch.setattr(simplify_module, "simplify", lambda module, *_: place(module, location))
    module = graph(lambda x: OPS["sum"](OPS["exp"](x), dim=(0,), keepdim=True), X).module
    monkeypatch.setattr(watch, "_met", set())
    run_passes(module, ["simplify"])
    (problem,) = watch.taken()
    assert problem.startswith("after 'simplify': ") and problem.endswith(told)


def test_modules_are_looked_at_once_unless_something_is_new() -> None:
    watch = Watch(every=False)
    for _ in range(2):
        watch.see(summed(), "now", None)
    assert watch.looked_at == 1
    other = graph(lambda x: OPS["sum"](x, dim=(1,)), X).module
    assert features(other) <= features(summed())
    watch.see(other, "now", None)
    assert watch.looked_at == 1
    everything = Watch(every=True)
    for module in (summed(), other, summed()):
        everything.see(module, "now", None)
    assert everything.looked_at == 2


def test_text_and_lines_hold_after_each_application_of_a_rewrite() -> None:
    module = graph(
        lambda x, y: OPS["mean"](OPS["softmax"](OPS["matmul"](x * 1.0, y), dim=-1) * x, dim=(0,)),
        X, np.ones((3, 3), "float32"),
    ).module  # fmt: skip
    known = lines_in(module)
    passes: list[str] = []
    problems: list[str] = []

    def seen(application: Application, module: ModuleOp) -> None:
        passes.append(application.pass_name)
        problems.extend(filter(None, [*line_problems(module, known), text_problem(module)]))

    run_passes(module, options=Options(trail=Trail(seen=seen)))
    assert not problems
    assert {"decompose", "simplify", "fuse", "lower", "plan_memory"} <= set(passes)


IN_A_PROCESS = """
from ostinato.ir.text import parse_module
from ostinato.passes.pipeline import Options, run_passes
from ostinato.passes.trail import Application, Trail

module = parse_module("builtin.module { func.func @main() { func.return } }")
run_passes(module, ["simplify"])
"""


def test_passes_of_a_process_are_watched(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    places = {"PYTHONPATH": str(Path(__file__).parents[1] / "watched"), FOLDER: str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", IN_A_PROCESS]
    subprocess.run(command, env=os.environ | places, check=True)
    plugin = WatchedTests(request.config, tmp_path)
    problems = list(plugin.noted())
    assert "at the start: func.return has no line" in problems
    assert "after 'simplify': func.return has no line" in problems
    assert plugin.counts() == (2, 1)
    assert not list(plugin.noted())
