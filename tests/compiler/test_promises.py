"""What the docstring of `compile` and docs/capture.md say of `verify`, `fullgraph`, `on_event`, the
ledger and `explain()`, where no other test holds it."""

from __future__ import annotations

import abc
import random
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato.compiler.compiled import Compiled
from ostinato.passes.pipeline import PASSES


class Own:
    """What an abstract class may be told to count as its own."""


def unseen() -> tuple[Callable[[Any], Any], Callable[[], object]]:
    """A function, and what changes it without a guard seeing that."""
    Kind: Any = abc.ABCMeta("Kind", (), {})
    holder = Own()
    return lambda x: x - 1 if isinstance(holder, Kind) else x + 1, lambda: Kind.register(Own)


VERIFY: list[tuple[Any, float, int]] = [  # what a call gives after the change, and warnings of it
    (None, 1.0, 0), ("trust", 1.0, 0), ("follow", -1.0, 0), (1 - 1e-15, -1.0, 1), (1e-15, 1.0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("verify", "wanted", "warned"), VERIFY)
def test_what_each_way_to_run_sees(verify: Any, wanted: float, warned: int) -> None:
    fn, change = unseen()
    compiled = ot.compile(fn, verify=verify)
    assert [compiled(ot.zeros(1)).item() for _ in range(2)] == [1.0, 1.0]
    change()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert [compiled(ot.zeros(1)).item() for _ in range(3)] == [wanted] * 3
    assert [w.category for w in told] == [ot.DivergenceWarning] * warned
    assert bool(compiled.variants) == (wanted == 1.0)


def test_a_probability_is_the_share_that_python_runs_for(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([0.2, 0.7, 0.29, 0.31, 0.9, 0.1])
    done: list[int] = []
    ran: list[int] = []  # calls that Python ran for
    verified = Compiled._verified

    def noted(self: Any, *given: Any) -> Any:
        ran.append(done[-1])
        return verified(self, *given)

    monkeypatch.setattr(Compiled, "_verified", noted)
    compiled = ot.compile(lambda x: x * 2, verify=0.3)
    monkeypatch.setattr(compiled._chance, "random", lambda: next(draws))
    drawn = random.getstate()
    for number in range(7):
        done.append(number)
        assert compiled(ot.ones(1)).item() == 2.0
    assert ran == [1, 3, 6]
    assert random.getstate() == drawn  # those of the user stay as they are


def test_trust_says_what_a_replay_would_leave_out() -> None:
    def fn(x: Any) -> Any:
        return x * random.random()

    with pytest.raises(ot.CaptureError) as raised:
        ot.compile(fn, verify="trust")(ot.ones(2))
    assert f"{__file__}:{fn.__code__.co_firstlineno + 1}" in str(raised.value)
    assert "random" in str(raised.value)


def asks_for_an_item(x: Any) -> Any:
    return x * x.sum().item()


def asks_by_an_if(x: Any) -> Any:
    return x if x.sum() > 0 else -x


def asks_for_an_array(x: Any) -> Any:
    return x.numpy()


INSTEAD = "return the tensor, or call it outside the compiled function"
CHOOSE = "choose by where(), or decide outside the compiled function"
TRUTH = "the truth of a tensor (`if`, `while`, `bool()`)"

BREAKS: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "item": (asks_for_an_item, "`.item()`", INSTEAD),
    "if": (asks_by_an_if, TRUTH, CHOOSE),
    "and": (lambda x: x[0] and x[1], TRUTH, CHOOSE),
    "in": (lambda x: x[0] in [x[1]], TRUTH, CHOOSE),
    "float": (lambda x: x * float(x.sum()), "`float()` of a tensor", INSTEAD),
    "int": (lambda x: x * int(x.sum()), "`int()` of a tensor", INSTEAD),
    "range": (lambda x: list(range(x.argmax())), "a tensor as an index or a size", INSTEAD),
    "numpy": (asks_for_an_array, "`.numpy()`", INSTEAD),
    "tolist": (lambda x: x.tolist(), "`.tolist()`", INSTEAD),
    "a ufunc": (lambda x: np.sin(x * 2), "a function of NumPy", INSTEAD),
    "dlpack": (lambda x: ot.from_dlpack(x), "DLPack", INSTEAD),
    "repr": (lambda x: repr(x), "the text of a tensor, as print() asks for it,", INSTEAD),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_fullgraph_says_where_what_and_what_to_do(name: str) -> None:
    fn, what, instead = BREAKS[name]
    line = fn.__code__.co_firstlineno + (fn.__name__ != "<lambda>")
    with pytest.raises(ot.CaptureError) as raised:
        ot.compile(fn, fullgraph=True)(ot.ones(2))
    text = f"capture: {what} needs a value now; {instead} (at {__file__}:{line})"
    assert str(raised.value) == text


REFUSING: list[dict[str, Any]] = [
    {"fullgraph": True}, {"fullgraph": True, "verify": "follow"}, {"on_event": {"break": "raise"}},
]  # fmt: skip


@pytest.mark.parametrize("options", REFUSING)
def test_a_break_of_a_followed_function_is_refused_each_time(options: Any) -> None:
    counted: list[int] = []

    def fn(x: Any) -> Any:
        counted.append(len(counted))
        y = x * 2
        return y * y.sum().item()

    compiled = ot.compile(fn, **options)
    for calls in (1, 2, 3):
        with pytest.raises(ot.CaptureError, match=r"`\.item\(\)` needs a value now.*test_promises"):
            compiled(ot.ones(2))
        assert len(counted) == calls


# The ledger.


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was compiled before."""
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))


@pytest.mark.usefixtures("fresh_cache")
def test_the_ledger_has_seconds_of_capturing_each_pass_and_code_generation() -> None:
    made, loaded = (ot.compile(lambda x: x.exp() * 2) for _ in range(2))
    for compiled, wanted in ((made, {*PASSES, "codegen"}), (loaded, {"load"})):
        compiled(ot.ones(3))
        (record,) = compiled.ledger
        assert set(record.seconds) == {"capture", *wanted}
        assert all(s > 0 for s in record.seconds.values())


@pytest.mark.usefixtures("fresh_cache")
def test_seconds_of_a_followed_function_are_those_of_its_regions() -> None:
    compiled = ot.compile(asks_for_an_item)
    compiled(ot.ones(3))
    (made,) = compiled.ledger
    assert set(made.seconds) == {"capture", *PASSES, "codegen"}
    every = compiled.entries.values()
    regions = [r for e in every if e.followed for r in e.followed.regions.values()]
    assert made.seconds["codegen"] == sum(r.built.seconds["codegen"] for r in regions)


def test_hits_are_the_calls_that_a_capture_served() -> None:
    compiled = ot.compile(lambda x: x * 2, limit=2)
    followed = ot.compile(asks_for_an_item)
    for n in (1, 2, 1, 1):
        compiled(ot.ones(n))
        followed(ot.ones(3))
    assert [r.hits for r in compiled.ledger] == [3, 1]
    assert [r.hits for r in followed.ledger] == [4]
    with pytest.warns(ot.RecompileWarning):
        compiled(ot.ones(3))
    assert [r.hits for r in compiled.ledger] == [3, 1]


OPTIONS = {"scale": 2.0, "sizes": (2, 3)}


def test_guards_are_told_with_their_lines() -> None:
    def fn(x: Any, n: int) -> Any:
        return x.reshape(OPTIONS["sizes"]) if n > 3 else x

    compiled = ot.compile(fn)
    compiled(ot.ones(6), 4)
    (record,) = compiled.ledger
    line = f"{__file__}:{fn.__code__.co_firstlineno + 1}"
    assert f"comparison is True at {line}" in record.guards
    assert f"`sizes` is 2 elements at {line}" in record.guards


def without_grad(fn: Any) -> Any:
    with ot.no_grad():
        return fn(ot.ones(2))


ADVICE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "shape of argument 0": (lambda fn: fn(ot.ones(3)),
                            "pad to one shape, or give few different ones"),
    "dtype of argument 0": (lambda fn: fn(ot.ones(2, dtype=ot.int64)), "convert before the call"),
    "requires_grad of argument 0": (lambda fn: fn(ot.ones(2, requires_grad=True)),
                                    "set requires_grad once"),
    "the structure of the arguments": (lambda fn: fn(x=ot.ones(2)),
                                       "give the same arguments in the same way"),
    "argument 0": (lambda fn: fn(2.0), "give a number or tensor where the value changes"),
    "grad mode": (without_grad, "set it once, outside the loop"),
}  # fmt: skip


@pytest.mark.parametrize("what", ADVICE)
def test_each_cause_comes_with_what_would_avoid_it(what: str) -> None:
    call, advice = ADVICE[what]
    compiled = ot.compile(lambda x: x * 2)
    compiled(ot.ones(2))
    call(compiled)
    cause = compiled.ledger[1].cause
    assert cause is not None and (cause.what, cause.advice) == (what, advice)
    assert str(cause).endswith(f"is {cause.new}; {advice}") and cause.old != cause.new


# Events and breaks.


def test_ignored_events_are_silent() -> None:
    ignore: Any = {"recompile": "ignore", "break": "ignore"}
    compiled = ot.compile(asks_for_an_item, on_event=ignore)
    for n in (1, 2, 1):
        compiled(ot.ones(n))  # warnings are errors in tests
    assert len(compiled.ledger) == 2 and compiled.breaks


def test_explain_lists_each_break_with_its_line_and_price() -> None:
    def fn(x: Any) -> Any:
        time.sleep(0.02)
        y = x * x.sum().item()
        z = y + y.mean().item()
        return z.tolist()

    compiled = ot.compile(fn)
    for _ in range(3):
        compiled(ot.ones(2))
    (followed,) = compiled.explain().followed
    first = fn.__code__.co_firstlineno
    lines = [f"{__file__}:{first + i}" for i in (2, 3, 4)]
    assert [b.line for b in followed.breaks] == lines
    assert [b.count for b in followed.breaks] == [3, 3, 3]
    text = str(compiled.explain())
    for b, told in zip(compiled.breaks, followed.breaks, strict=True):
        assert told.milliseconds == pytest.approx(b.seconds * 1e3 / b.count)
        price = f"3 times, {told.milliseconds:.3f} ms each"
        assert f"  break at {b.line}: {b.why}; {price}\n" in text
    # Sleeping is never shorter than asked for, and is what the first break waits for.
    assert followed.breaks[0].milliseconds >= 20.0


def test_a_break_that_raises_can_be_explained() -> None:
    compiled = ot.compile(asks_for_an_item, verify="follow", on_event={"break": "raise"})
    with pytest.raises(ot.CaptureError, match=re.escape("break: asks_for_an_item: `.item()`")):
        compiled(ot.ones(2))
    assert "0 times, 0.000 ms each" in str(compiled.explain())
