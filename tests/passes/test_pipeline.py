"""The pipeline: passes by name, verified, timed and dumped."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import UNKNOWN_LOC

from graph_cases import Graph, graph, same_bits
from ostinato.ir.errors import IRError
from ostinato.ir.op import OPS
from ostinato.ir.stages import is_at
from ostinato.ir.text import parse_module, print_module
from ostinato.passes import pipeline
from ostinato.passes import simplify as simplify_module
from ostinato.passes.pipeline import PASSES, Options, run_passes
from ostinato.passes.target import Target

X = np.arange(1.0, 7.0, dtype="float32").reshape(2, 3)


def captured() -> Graph:
    def build(x: Any, w: Any) -> Any:
        loss = OPS["sum"](OPS["square"](OPS["softmax"](x * w, dim=1)))
        one = OPS["full"]((), 1.0)
        return loss, *x.builder.gradient([loss], [one], [w])

    return graph(build, X, X / 10)


GRAPH_PASSES = ("autodiff", "decompose", "simplify")
NOTHING_CLAIMED = Options(Target("test", frozenset()))


def test_passes_run_in_order_and_tell_what_they_took() -> None:
    g = captured()
    expected = g.run()
    stages: list[tuple[str, str]] = []
    report = run_passes(
        g.module,
        GRAPH_PASSES,
        NOTHING_CLAIMED,
        verify=True,
        after=lambda stage, m: stages.append((stage, print_module(m))),
    )
    assert list(report.seconds) == list(report.results) == list(GRAPH_PASSES)
    assert [stage for stage, _ in stages] == ["differentiated", "decomposed", "simplified"]
    assert stages[-1][1] == print_module(g.module)
    for _, text in stages:
        same_bits(Graph(parse_module(text), g.inputs).run(), expected)


def test_a_pass_out_of_its_turn_keeps_the_stage() -> None:
    g = captured()
    run_passes(g.module, ["simplify", "decompose", "autodiff"], NOTHING_CLAIMED, verify=True)
    assert is_at(g.module, "differentiated")


def test_options_reach_passes() -> None:
    g = graph(lambda x: OPS["softmax"](x, dim=0) + 0.0, X)
    run_passes(g.module, ["decompose"], Options(Target("test", frozenset({"softmax"}))))
    assert "softmax" in g.names()
    run_passes(g.module, ["simplify"], Options(fast_math=True))
    assert g.names() == ["softmax"]


def test_an_unknown_pass_is_refused() -> None:
    message = f"no pass is called 'inline'; there are {', '.join(PASSES)}"
    with pytest.raises(IRError, match=re.escape(message)):
        run_passes(captured().module, ["inline"])


def breaks(module: Any) -> None:
    """A pass that loses a source line."""
    next(op for op in module.walk() if op.name == "ot.sum").location = UNKNOWN_LOC


def fails(module: Any) -> None:
    """A pass that finds something impossible."""
    raise AssertionError("impossible")


def saved(message: str) -> str:
    """The IR before the pass, from the file that the command names."""
    found = re.search(r"ostinato opt --passes=simplify (\S+\.mlir)", message)
    assert found, message
    path = Path(found[1])
    text = path.read_text()
    path.unlink()
    return text


@pytest.mark.breaks_ir
def test_a_pass_that_breaks_a_module_is_told_with_the_way_to_repeat_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simplify_module, "simplify", lambda module, *given: breaks(module))
    g = graph(lambda x: OPS["sum"](x), X)
    before = print_module(g.module)
    with pytest.raises(IRError) as caught:
        run_passes(g.module, ["simplify"], verify=True)
    message = str(caught.value)
    assert message.startswith(
        "pass 'simplify' breaks the module: stage 'simplified': ot.sum has no source line; "
        "passes must keep the lines of what they replace\n  in: "
    )
    assert f"before:\n{before}after:\n{print_module(g.module)}" in message
    assert saved(message) == before


def test_a_pass_that_fails_says_how_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simplify_module, "simplify", lambda module, *given: fails(module))
    g = captured()
    before = print_module(g.module)
    with pytest.raises(AssertionError, match="impossible") as caught:
        run_passes(g.module, ["simplify"], verify=True)
    (note,) = caught.value.__notes__
    assert note.startswith("in pass 'simplify'; to repeat it: ostinato opt --passes=simplify ")
    assert saved(note) == before


@pytest.mark.breaks_ir
@pytest.mark.parametrize("value", ["", "0", "1"])
def test_verification_is_off_unless_asked_for(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pipeline.VERIFY, value)
    monkeypatch.setattr(simplify_module, "simplify", lambda module, *given: breaks(module))
    module = graph(lambda x: OPS["sum"](x), X).module
    if value != "1":
        run_passes(module, ["simplify"])
        return
    with pytest.raises(IRError) as caught:
        run_passes(module, ["simplify"])
    saved(str(caught.value))
