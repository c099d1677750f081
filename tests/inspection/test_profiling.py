"""`ot.profile`: each kernel and call of compiled functions, by line and as a trace."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import ostinato as ot
from ostinato.compiler.explain import ceilings, facts
from ostinato.compiler.explain.ceilings import Ceilings
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


def trained() -> Any:
    """A training step, each phase on lines of its own, and the lines of each."""
    weight = ot.randn(256, 256, requires_grad=True)
    optimizer = ot.optim.AdamW([weight])

    @ot.compile
    def train(x: Any) -> None:
        loss = (x @ weight).exp().mean()
        loss.backward()
        ot.nn.utils.clip_grad_norm_([weight], 1.0)
        optimizer.step()
        optimizer.zero_grad()

    first = train.fn.__code__.co_firstlineno + 1
    phases = {1: "forward", 2: "backward", 3: "optimizer", 4: "optimizer"}
    return train, ot.randn(64, 256), {f"{__file__}:{first + n}": p for n, p in phases.items()}


@pytest.fixture(scope="module")
def training() -> Any:
    """Three steps of it that were profiled, with the lines."""
    train, x, lines = trained()
    train(x)
    with ot.profile() as found:
        for _ in range(3):
            train(x)
    return found, lines, train


def test_phases_are_told_apart(training: Any) -> None:
    found, lines, _ = training
    assert {p.phase for p in found.phases} == {"forward", "backward", "optimizer"}
    phases = {s.name: s.phase for s in found.steps if s.name != "matmul"}
    assert {p for name, p in phases.items() if "adamw" in name} == {"optimizer"}
    products = sorted(s.phase for s in found.steps if s.name == "matmul")
    assert products == ["backward", "forward"]
    for step in found.steps:
        assert step.phase == lines[step.line] or step.phase == "backward", step
    total = sum(s.seconds for s in found.steps)
    assert sum(p.seconds for p in found.phases) == pytest.approx(total)


def test_a_compiled_forward_has_a_backward_of_its_own() -> None:
    weight = ot.randn(64, 64, requires_grad=True)
    forward = ot.compile(lambda x: (x @ weight).exp().sum())
    with ot.profile() as found:
        forward(ot.randn(8, 64)).backward()
    assert {s.phase for s in found.steps} == {"forward", "backward"}


COVERED = 0.9
"""The share of a run that its steps are at least; the rest is what leads from one to the next."""


def test_the_table_sums_to_the_time_of_the_replays(training: Any) -> None:
    found, _, _ = training
    events = traced(found)
    runs = [e["dur"] * 1e-6 for e in events if e.get("cat") == "run"]
    total = sum(s.seconds for s in found.steps)
    assert len(runs) == 3
    assert COVERED * sum(runs) <= total <= sum(runs)


def traced(found: profile) -> list[dict[str, Any]]:
    """The events of its trace."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        found.save(file)
        data = json.loads(file.read_text())
    assert set(data) == {"traceEvents", "displayTimeUnit"}
    return data["traceEvents"]


def is_valid(event: dict[str, Any]) -> bool:
    """Whether it is a complete or a metadata event of the Trace Event Format."""
    numbers = [event["pid"], event["tid"]]
    if event["ph"] == "M":
        named = event["name"] in ("process_name", "thread_name")
        return named and isinstance(event["args"]["name"], str)
    numbers += [event["ts"], event["dur"]]
    texts = isinstance(event["name"], str) and isinstance(event["cat"], str)
    return (
        event["ph"] == "X"
        and texts
        and all(isinstance(n, (int, float)) and n >= 0 for n in numbers)
    )


def test_a_trace_is_one_of_the_format_and_slices_lie_within_each_other(training: Any) -> None:
    found, _, _ = training
    events = traced(found)
    assert all(map(is_valid, events))
    slices = [e for e in events if e["ph"] == "X"]
    open_: list[dict[str, Any]] = []
    for e in slices:  # in the order of a walk from outside to inside
        start, end = round(e["ts"] * 1e3), round((e["ts"] + e["dur"]) * 1e3)
        while open_ and start >= round((open_[-1]["ts"] + open_[-1]["dur"]) * 1e3):
            open_.pop()
        assert not open_ or end <= round((open_[-1]["ts"] + open_[-1]["dur"]) * 1e3), e
        open_.append(e)
    by_category = Counter(e["cat"] for e in slices)
    assert by_category["run"] == 3
    assert by_category["forward"] + by_category["backward"] + by_category["optimizer"] == 3 * len(
        found.steps
    )
    assert {e["name"] for e in slices if e["cat"] == "phase"} == {
        "forward",
        "backward",
        "optimizer",
    }
    lines = {e["args"]["line"] for e in slices if e["cat"] not in ("run", "phase")}
    assert lines == {s.line for s in found.steps}


def test_an_event_that_is_none_is_seen() -> None:
    good = {"name": "k", "cat": "run", "ph": "X", "ts": 1.0, "dur": 2.0, "pid": 1, "tid": 1}
    assert is_valid(good)
    for key, wrong in (("dur", -1.0), ("ph", "B"), ("name", 3), ("cat", None)):
        assert not is_valid({**good, key: wrong})


CEILINGS = Ceilings("cpu", 10e9, {"float32": 100e9})


@pytest.fixture
def known_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "ceilings_of", lambda device: CEILINGS)


@pytest.mark.usefixtures("known_ceilings")
def test_explain_tells_the_share_of_the_ceilings(training: Any) -> None:
    _, _, train = training
    (region,) = train.explain().variants
    (program,) = region.programs
    assert program.ceilings is CEILINGS
    for kernel in program.kernels:
        least = max(kernel.bytes / 10e9, (kernel.operations or 0) / 100e9)
        assert kernel.share == pytest.approx(least / kernel.seconds), kernel.name
    (product,) = [k for k in program.kernels if k.name == "matmul"]
    assert product.operations == 2 * 2 * 64 * 256 * 256
    text = str(train.explain())
    assert "GB/s  GFLOP/s  % of ceiling" in text
    assert "measured on cpu: a copy 10.0 GB/s, products float32 100 GFLOP/s" in text


def test_without_a_profile_explain_says_nothing_of_time() -> None:
    fn, _ = compiled()
    (region,) = fn.explain().variants
    assert region.programs[0].ceilings is None
    assert all(k.seconds is None and k.share is None for k in region.programs[0].kernels)
    assert "GB/s" not in str(fn.explain())


def test_ceilings_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "COPIED", 2**16)
    monkeypatch.setattr(ceilings, "ROWS", {"cpu": 128})
    ceilings.ceilings_of.cache_clear()
    try:
        found = ceilings.ceilings_of("cpu")
        assert found.bandwidth > 0
        assert found.arithmetic["float32"] > 0
        assert ceilings.ceilings_of("cpu") is found
    finally:
        ceilings.ceilings_of.cache_clear()


def test_threads_have_tracks_of_their_own() -> None:
    made = [compiled() for _ in range(2)]
    with ot.profile() as found:
        threads = [threading.Thread(target=fn, args=args) for fn, args in made]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert {e["tid"] for e in traced(found) if e["ph"] == "X"} == {1, 2}


def test_a_second_profile_is_refused() -> None:
    with ot.profile(), pytest.raises(ValueError) as error, ot.profile():
        pass
    assert str(error.value) == "profile: one is on already; end it first"
    with ot.profile():  # an error leaves none on
        pass


def test_it_is_shown_as_tables() -> None:
    text = str(profiled())
    assert text.startswith("by phase\n")
    assert "by step" in text
    assert f"{__file__}:{FIRST + 1}" in text


def test_a_profile_of_nothing_says_so(tmp_path: Path) -> None:
    with ot.profile() as found:
        pass
    assert str(found) == "nothing was measured: no compiled function ran in the block"
    found.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [e["ph"] for e in events] == ["M"]


@pytest.mark.parametrize("every", [-1, -3, 1.5])
def test_every_is_a_whole_number_from_0_on(every: Any) -> None:
    with pytest.raises(ValueError, match=rf"profile: every={every} came; give a whole number from"):
        ot.profile(every=every)
