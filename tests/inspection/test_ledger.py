"""The ledger of a compiled function: each capture with its reason, as data and as stable text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

import ostinato as ot
from ostinato import nn

SETTING = {"scale": 2}


class Holder:
    def __init__(self) -> None:
        self.name = "a"


def of_shape() -> tuple[Any, list[tuple[Any, ...]], tuple[str, str, str]]:
    calls = [(ot.ones(3),), (ot.ones(4),)]
    return lambda x: x * 2, calls, ("shape of argument 0", "(3,)", "(4,)")


def of_a_global() -> tuple[Any, list[Any], tuple[str, str, str]]:
    def fn(x: Any) -> Any:
        return x.reshape(SETTING["scale"], -1)

    def change() -> None:
        SETTING["scale"] = 3

    SETTING["scale"] = 2
    return fn, [(ot.ones(6),), change, (ot.ones(6),)], ("`scale`", "2", "3")


def of_an_attribute() -> tuple[Any, list[Any], tuple[str, str, str]]:
    holder = Holder()

    def fn(x: Any) -> Any:
        return x + 1 if holder.name == "a" else x - 1

    def change() -> None:
        holder.name = "b"

    return fn, [(ot.ones(2),), change, (ot.ones(2),)], (
        "attribute `name` of a Holder", "'a'", "'b'"
    )  # fmt: skip


def of_a_number_that_python_used() -> tuple[Any, list[Any], tuple[str, str, str]]:
    def fn(x: Any, n: int) -> Any:
        return x + 1 if n > 2 else x - 1

    return fn, [(ot.ones(2), 1), (ot.ones(2), 3)], ("a number that Python used", "False", "True")


def of_a_mode() -> tuple[Any, list[Any], tuple[str, str, str]]:
    drop = nn.Dropout(0.5)
    return lambda x: drop(x), [(ot.ones(2),), drop.eval, (ot.ones(2),)], (
        "attribute `training` of a Dropout", "True", "False"
    )  # fmt: skip


CAUSES = [of_shape, of_a_global, of_an_attribute, of_a_number_that_python_used, of_a_mode]


@pytest.mark.parametrize("make", CAUSES, ids=lambda f: f.__name__)
def test_a_capture_says_why_it_was_needed(make: Any) -> None:
    fn, calls, (what, old, new) = make()
    compiled = ot.compile(fn)
    for call in calls:
        compiled(*call) if isinstance(call, tuple) else call()
    first, second = compiled.ledger
    assert first.cause is None and first.hits == second.hits == 1
    assert (second.cause.what, second.cause.old, second.cause.new) == (what, old, new)
    assert second.cause.advice
    if make in (of_a_global, of_an_attribute, of_a_number_that_python_used):
        line = fn.__code__.co_firstlineno + 1
        assert second.cause.line == f"{__file__}:{line}"
    assert "load" in first.seconds or first.seconds["capture"] > 0


def test_the_text_is_compared_with_a_file(tmp_path: Path) -> None:
    def run(shapes: list[int]) -> Any:
        compiled = ot.compile(lambda x: x * 3)
        for n in shapes:
            compiled(ot.ones(n))
        return compiled

    golden = tmp_path / "golden.txt"
    run([2, 3]).ledger.write(golden)
    run([2, 3, 2]).assert_ledger(golden)
    with pytest.raises(AssertionError, match=r"line 4 of .* is 'nothing', now it is 'variant of"):
        run([2, 3, 1]).assert_ledger(golden)
    assert str(tmp_path.parent) not in golden.read_text()


def test_captures_are_limited() -> None:
    compiled = ot.compile(lambda x: x + 1, limit=2)
    for n in (1, 2):
        compiled(ot.ones(n))
    with pytest.warns(
        ot.RecompileWarning, match=r"2 captures are the limit.*shape of argument 0 was"
    ):
        assert compiled(ot.ones(3)).tolist() == [2.0] * 3
    assert compiled(ot.ones(4)).tolist() == [2.0] * 4 and len(compiled.ledger) == 2


@pytest.mark.parametrize("dims", [{}, {"x": {0: ot.Bucket(16, 64)}}])
def test_other_sizes_of_what_is_compiled_are_within_the_limit(dims: Any) -> None:
    def fn(x: Any) -> Any:
        return x + 1

    compiled = ot.compile(fn, limit=2, dims=dims)
    for n in (12, 20, 30, 13):
        assert compiled(ot.ones(n)).tolist() == [2.0] * n
    assert sum(record.hits for record in compiled.ledger) == 4
    with pytest.warns(ot.RecompileWarning, match="2 captures are the limit"):
        assert compiled(ot.ones(3000)).tolist() == [2.0] * 3000
    assert len(compiled.ledger) == 2


def test_calls_past_the_limit_ask_once_why() -> None:
    compiled = ot.compile(lambda x: x + 1, limit=1, on_event={"recompile": "warn"})
    compiled(ot.ones(1))
    with pytest.warns(ot.RecompileWarning) as found:
        for n in (2, 3, 2):
            compiled(ot.ones(n))
    texts = [str(w.message) for w in found]
    assert [t.startswith("recompile: ") for t in texts] == [True, False], texts


def test_regions_of_a_followed_function_are_limited() -> None:
    compiled = ot.compile(lambda x, n: x.reshape(n, -1).sum().item(), limit=4, verify="follow")
    for n in (1, 2, 3, 4):
        assert compiled(ot.ones(12), n) == 12.0
    assert "runs eagerly" not in str(compiled.ledger) + str(compiled.explain())
    with pytest.warns(ot.RecompileWarning, match="4 regions are the limit") as found:
        for n in (6, 12, 1):
            assert compiled(ot.ones(12), n) == 12.0
    assert len(found) == 1
    assert "  runs eagerly: 4 regions were not enough\n" in str(compiled.ledger)
    assert "  runs eagerly, since 4 regions were not enough\n" in str(compiled.explain())


def test_events_are_raised_or_said() -> None:
    compiled = ot.compile(lambda x: x + 1, on_event={"recompile": "raise"})
    compiled(ot.ones(1))
    with pytest.raises(ot.CaptureError, match=r"recompile: .*shape of argument 0 was"):
        compiled(ot.ones(2))
    with pytest.raises(ot.CaptureError, match=r"`\.item\(\)` needs a value now"):
        ot.compile(lambda x: x.sum().item(), on_event={"break": "raise"})(ot.ones(2))
    with pytest.warns(
        ot.RecompileWarning, match=r"break: .*`\.item\(\)` needs a value now at"
    ) as found:
        ot.compile(lambda x: x.sum().item(), on_event={"break": "warn"})(ot.ones(2))
    compiled = ot.compile(lambda x: x + 1, on_event={"recompile": "warn"})
    compiled(ot.ones(1))
    with pytest.warns(ot.RecompileWarning, match="recompile: ") as again:
        compiled(ot.ones(2))
    assert {w.filename for w in [*found, *again]} == {__file__}


WRONG: dict[str, dict[str, Any]] = {
    "on_event={'recompil': 'raise'} came; give for 'recompile' or 'break' one of 'ignore', "
    "'warn' and 'raise'": {"on_event": {"recompil": "raise"}},
    "on_event={'break': 'throw'} came; give for": {"on_event": {"break": "throw"}},
    "on_event='raise' came; give for": {"on_event": "raise"},
    "limit=0 came; give a number of captures from 1 on": {"limit": 0},
    "limit=2.0 came; give a number of captures from 1 on": {"limit": 2.0},
    "dims=3 came; give axes by argument": {"dims": 3},
}


@pytest.mark.parametrize("text", WRONG)
def test_options_that_there_are_not_are_refused(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        ot.compile(lambda x: x, **WRONG[text])
    assert str(refused.value).startswith(f"compile: {text}")
    with pytest.raises(TypeError, match="compile: 3 came; give a function or a module"):
        ot.compile(cast("Any", 3))
