"""Five examples, written as their authors would, do what their twins in PyTorch do."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import beam
import experts
import gan
import lstm
import minigpt
import numpy as np
import ode
import pytest
import torch
from click.testing import CliRunner
from models import Config, LanguageModel

import ostinato as ot
from op_cases import flat
from program_cases import CASES, Case

STEPS = 4
TEXT = "def add(x, y):\n    return x + y\n\n" * 200


def assert_alike(ours: Any, theirs: Any) -> None:
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        x, y = (np.asarray(v.detach().cpu() if hasattr(v, "detach") else v) for v in (a, b))
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("case", [pytest.param(c, id=name) for name, c in CASES.items()])
def test_steps_are_those_of_the_twin(case: Case) -> None:
    sides = case(False)
    for i in range(STEPS):
        assert_alike(sides.ours(i), sides.theirs(i))
    for ours, theirs in sides.models:
        named = dict(ours.named_parameters())
        assert list(named) == [name for name, _ in theirs.named_parameters()]
        for name, p in theirs.named_parameters():
            assert_alike(named[name], p)


ITEM = "`.item()` needs a value now"
BREAKS = {
    "LSTM": [],
    "experts": [],
    "GAN": [("return judge_loss.item(), draw_loss.item()", ITEM)],
    "ODE": [("error = away.abs().amax().item()", ITEM), ("loss.backward()", "backward leads to")],
    "beam search": [("return parents.tolist(), tokens.tolist(), scores.tolist(), tokens, scores, "
                     "cache", "`.tolist()` needs a value now")],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_compiled_steps_are_those_of_eager(name: str) -> None:
    eager, compiled = (CASES[name](c) for c in (False, True))
    for i in range(6):
        assert_alike(compiled.ours(i), eager.ours(i))
    for (a, _), (b, _) in zip(compiled.models, eager.models, strict=True):
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            assert_alike(p, q)
    found = [(source_of(b.line), b.why) for b in compiled.step.breaks]
    assert [line for line, _ in found] == [line for line, _ in BREAKS[name]]
    assert all(part in why for (_, why), (_, part) in zip(found, BREAKS[name], strict=True))
    assert str(compiled.step.explain()).count("break at") == len(found)


def source_of(place: str) -> str:
    """The line of code at `file:line`."""
    file, _, line = place.rpartition(":")
    return Path(file).read_text(encoding="utf-8").splitlines()[int(line) - 1].strip()


def test_the_comparison_sees_a_step_that_is_left_out() -> None:
    sides = CASES["GAN"](False)
    sides.theirs(0)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_alike(sides.ours(1), sides.theirs(1))


def test_the_steps_of_the_solver_are_accepted_and_refused() -> None:
    """The table's ODE takes both branches, and the solution is as near as was asked for."""
    seen: list[bool] = []
    before = ot.Tensor.item

    def decay(y: Any) -> Any:
        return -3.0 * y

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ot.Tensor, "item", lambda t: seen.append(before(t) < 1e-4) or before(t))
        y = ode.solve(decay, ot.ones(1, 2), 2.0, 1e-4)
    assert {True, False} == set(seen)
    np.testing.assert_allclose(y.numpy(), np.exp(-6.0), atol=1e-3)


def test_a_search_with_a_beam_for_every_line_finds_the_likeliest() -> None:
    torch.manual_seed(0)
    ot.manual_seed(0)
    config = Config(dim=8, heads=2, layers=1, classes=4, length=8, batch=1)
    model, prompt, count = LanguageModel(config), [1, 3, 2], 3
    model.head.weight.data = model.head.weight.detach() * 8
    # No character ends a line, so all have one length.
    with ot.no_grad():
        grow = beam.growing_step(model, compiled=False)
        text, score = beam.search(model, grow, prompt, 64, count, end=-1)
    odds = {line: _log_odds(model, prompt, line) for line in product(range(4), repeat=count)}
    best = max(odds, key=odds.__getitem__)
    assert tuple(text) == best
    assert score == pytest.approx(odds[best] / count, rel=1e-4)


def _log_odds(model: LanguageModel, prompt: list[int], line: tuple[int, ...]) -> float:
    """By the whole model, without a cache."""
    tokens = ot.tensor([[*prompt, *line[:-1]]])
    with ot.no_grad():
        every = ot.log_softmax(model.logits(tokens)[0, len(prompt) - 1 :], -1).tolist()
    return sum(row[token] for row, token in zip(every, line, strict=True))


def test_a_line_ends_where_its_end_is_likely() -> None:
    ot.manual_seed(0)
    model = LanguageModel(Config(dim=8, heads=2, layers=1, classes=4, length=8, batch=1))
    end = int(model.logits(ot.tensor([[1]]))[0, 0].argmax().item())
    model.head.weight.data = model.head.weight.detach() * 50
    with ot.no_grad():
        text, _ = beam.search(model, beam.growing_step(model, False), [1], 1, 5, end)
    assert text == [end]


def test_experts_take_no_more_than_they_have_room_for() -> None:
    layer = experts.Experts(4, count=3, top=2)
    chosen = ot.tensor([[0, 1]] * 6 + [[2, 0]] * 3)
    slots, room = layer.slots(chosen)
    assert room == 8  # 18 choices and a quarter more, for three experts
    # First choices come first: 0 six times and 2 three times; then 1 six times and 0 three times.
    assert slots.tolist() == [*range(6), 16, 17, 18, *range(8, 14), 6, 7, 24]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Tiny models, run in an empty folder that holds a text."""
    tiny = Config(dim=16, heads=2, layers=1, classes=0, length=32, batch=2)
    monkeypatch.setattr(minigpt, "MINIGPT", tiny)
    monkeypatch.setattr(minigpt, "LENGTH", tiny.length)
    monkeypatch.setattr(minigpt, "TIMED", 2)
    monkeypatch.setattr(experts, "MIXTURE", tiny)
    monkeypatch.setattr(lstm, "HIDDEN", 16)
    monkeypatch.setattr(lstm, "CHUNK", 8)
    monkeypatch.setattr(gan, "WIDTH", 16)
    monkeypatch.setattr(ode, "WIDTH", 8)
    monkeypatch.chdir(tmp_path)
    Path("text.py").write_text(TEXT, encoding="utf-8")
    return tmp_path


def run(program: Any, *arguments: str) -> str:
    done = CliRunner(catch_exceptions=False).invoke(program.main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


PROGRAMS = {
    "lstm": (lstm, ["--data", "text.py"], "over the last 3 chunks"),
    "experts": (experts, ["--data", "text.py"], "over the last 3 steps"),
    "gan": (gan, [], "loss curve   runs/gan/loss.png"),
    "ode": (ode, [], "the learnt spiral is off by"),
}


@pytest.mark.parametrize("mode", ["--eager", "--compile"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_run(name: str, mode: str, small: Path) -> None:
    program, more, said = PROGRAMS[name]
    assert said in run(program, mode, "--steps", "3", "--batch", "2", *more)
    assert (small / "runs" / name / "loss.png").stat().st_size > 1000


def test_beam_search_runs_on_what_minigpt_learnt(small: Path) -> None:
    run(minigpt, "--eager", "--steps", "2", "--batch", "2", "--data", "text.py")
    said, again = (
        run(beam, mode, "--prompt", "def a", "--steps", "6", "--beams", "2")
        for mode in ("--eager", "--compile")
    )
    assert said.startswith("def a") and "a character, with 2 beams" in said
    assert again == said
    done = CliRunner().invoke(beam.main, ["--eager", "--prompt", "x" * 40])
    assert done.exit_code == 1
    assert "the prompt has 40 characters; give fewer than 32" in done.output
