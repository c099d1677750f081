"""`ot.profile`: each kernel and call of compiled functions, by line and as a trace."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import ostinato as ot
from ostinato.compiler.profiling import profile


def step(x: Any, w: Any) -> Any:
    y = x @ w
    return (y.exp() + 1).sum()


FIRST = step.__code__.co_firstlineno


def compiled() -> tuple[Any, tuple[Any, Any]]:
    fn = ot.compile(step)
    args = ot.randn(256, 256), ot.randn(256, 256)
    fn(*args)
    return fn, args


def profiled(calls: int = 5) -> profile:
    fn, args = compiled()
    with ot.profile(every=0) as found:
        for _ in range(calls):
            fn(*args)
    return found


def test_each_step_is_there_with_its_line_and_runs() -> None:
    found = profiled()
    kinds = {(s.name, s.is_kernel, s.line, s.runs) for s in found.steps}
    assert ("matmul", False, f"{__file__}:{FIRST + 1}", 5) in kinds
    assert {k[2] for k in kinds} == {f"{__file__}:{FIRST + i}" for i in (1, 2)}
    assert all(s.seconds > 0 for s in found.steps)


def test_lines_add_up_to_steps() -> None:
    found = profiled()
    assert sum(x.seconds for x in found.lines) == pytest.approx(sum(s.seconds for s in found.steps))
    assert [x.seconds for x in found.lines] == sorted(
        (x.seconds for x in found.lines), reverse=True
    )


def test_steps_take_no_longer_than_the_calls() -> None:
    fn, args = compiled()
    with ot.profile() as found:
        started = time.perf_counter()
        fn(*args)
        taken = time.perf_counter() - started
    assert 0 < sum(s.seconds for s in found.steps) <= taken


def test_backward_and_the_optimizer_are_seen() -> None:
    weight = ot.randn(64, 64, requires_grad=True)
    optimizer = ot.optim.AdamW([weight])

    @ot.compile
    def train(x: Any) -> None:
        (x @ weight).exp().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    x = ot.randn(8, 64)
    train(x)
    with ot.profile() as found:
        train(x)
    assert [s.name for s in found.steps].count("matmul") == 2
    assert any("adamw" in s.name for s in found.steps)


def test_gradients_of_a_compiled_forward_are_seen() -> None:
    weight = ot.randn(64, 64, requires_grad=True)
    forward = ot.compile(lambda x: (x @ weight).exp().sum())
    x = ot.randn(8, 64)
    forward(x).backward()
    with ot.profile() as found:
        forward(x).backward()
    assert sum(s.name == "matmul" for s in found.steps) == 2


def test_only_what_runs_inside_is_seen() -> None:
    fn, args = compiled()
    fn(*args)
    with ot.profile() as found:
        pass
    fn(*args)
    assert not found.steps
    assert not found.lines


def test_a_trace_has_a_slice_for_each_step_within_its_run(tmp_path: Path) -> None:
    found = profiled(3)
    found.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    runs = [e for e in events if e["name"].startswith("Program")]
    steps = [e for e in events if not e["name"].startswith("Program")]
    assert len(runs) == 3
    assert len(steps) == 3 * len(found.steps)
    for e in steps:
        assert e["ph"] == "X"
        assert any(
            r["ts"] <= e["ts"] and e["ts"] + e["dur"] <= r["ts"] + r["dur"] + 1 for r in runs
        )
        assert e["args"]["line"].startswith(__file__)


def test_threads_have_tracks_of_their_own(tmp_path: Path) -> None:
    made = [compiled() for _ in range(2)]
    with ot.profile() as found:
        threads = [threading.Thread(target=fn, args=args) for fn, args in made]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    found.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {e["tid"] for e in events} == {1, 2}


def test_a_second_profile_is_refused() -> None:
    with ot.profile(), pytest.raises(ValueError) as error, ot.profile():
        pass
    assert str(error.value) == "profile: one is on already; end it first"
    with ot.profile():  # an error leaves none on
        pass


def test_it_is_shown_as_tables() -> None:
    text = str(profiled())
    assert text.startswith("by line\n")
    assert "by step" in text
    assert f"{__file__}:{FIRST + 1}" in text
