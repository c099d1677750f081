"""A sample of the planted errors is found, and what plants them does what it says."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import mutants
import planted
from mutants import Mutant, NoErrorAtAll
from ostinato.ir.op import OPS
from ostinato.passes.algebra import PAIRS

SEED = 20261125
EACH = 14
"""Errors of a family; `python tests/mutation/planted.py --all` plants every one."""


@cache
def every() -> list[Mutant]:
    return planted.mutants()


def drawn() -> list[Any]:
    return [pytest.param(m, id=m.name) for m in planted.sample(every(), EACH, SEED)]


@pytest.mark.parametrize("mutant", drawn())
def test_a_planted_error_is_found(mutant: Mutant) -> None:
    assert planted.tried(mutant).verdict != "survived"


def test_errors_have_names_of_their_own_and_reasons_are_of_errors() -> None:
    names = [m.name for m in every()]
    assert len(set(names)) == len(names)
    assert list(planted.unused_reasons(every(), [])) == []


def test_every_rule_has_errors_of_every_kind() -> None:
    kinds: dict[tuple[str, str], set[str]] = {}
    for m in every():
        kinds.setdefault((m.family, m.target), set()).add(m.damage)
    for op in OPS.values():
        if op.vjp_rule is not None and op.name != "detach":
            assert {"negate", "drop a term"} <= kinds["gradient", op.name], op.name
        if op.kind != "function":
            for family in ("shape", "shape in C++"):
                assert {"off by one", "wrong axis"} <= kinds[family, op.name], op.name
    for pair in PAIRS:
        assert "negate" in kinds["algebra", pair.name]


# What is planted.


def example(x: int, y: int, sizes: list[int]) -> tuple[int, ...]:
    """Text and annotations stay: 1 - 2."""
    if x < y:
        return -x, x - y
    return max(x, y), x * y + sizes[x], divmod(x, 2)[0], y if x > 7 else 1


CHANGES = {
    "negate": (mutants.negated, ["-x -> x"]),
    "swap operands": (
        mutants.swapped,
        ["x - y -> y - x", "divmod(x, 2) -> divmod(2, x)",
         "y if x > 7 else 1 -> 1 if x > 7 else y"],
    ),
    "drop a term": (
        mutants.term_dropped,
        ["x - y -> x", "x - y -> y", "x * y + sizes[x] -> x * y", "x * y + sizes[x] -> sizes[x]",
         "x * y -> x", "x * y -> y"],
    ),
    "off by one": (
        mutants.off_by_one,
        ["x < y -> x <= y", "divmod(x, 2)[0] -> divmod(x, 2)[1]", "divmod(x, 2) -> divmod(x, 3)",
         "x > 7 -> x >= 7", "x > 7 -> x > 8", "y if x > 7 else 1 -> y if x > 7 else 2"],
    ),
    "wrong axis": (
        mutants.other_axis,
        ["sizes[x] -> sizes[x - 1]", "divmod(x, 2)[0] -> divmod(x, 2)[0 - 1]"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", CHANGES)
def test_changes_of_a_function(damage: str) -> None:
    variants, wanted = CHANGES[damage]
    found = list(mutants.changes(example, {damage: variants}))  # pyright: ignore[reportArgumentType]
    assert sorted(c.text for c in found) == sorted(wanted)


def test_a_change_is_there_while_it_is_planted() -> None:
    (change,) = (
        c
        for c in mutants.changes(example, {"": mutants.swapped})
        if c.text == "x - y -> y - x"  # pyright: ignore[reportArgumentType]
    )
    assert example(1, 4, []) == (-1, -3)
    with change.planted():
        assert example(1, 4, []) == (-1, 3)
    assert example(1, 4, []) == (-1, -3)


# What is said of it.


def right() -> None:
    assert example(1, 4, []) == (-1, -3)


def passing() -> None: ...


def harmless() -> None:
    raise NoErrorAtAll("nothing is wrong")


def never() -> None:
    raise ValueError("always")


def swap(*checks: Callable[[], None]) -> Mutant:
    (change,) = (
        c
        for c in mutants.changes(example, {"": mutants.swapped})
        if c.text == "x - y -> y - x"  # pyright: ignore[reportArgumentType]
    )
    return Mutant("example", "example", "swap", "x - y", change.planted, checks)


def test_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    caught = planted.tried(swap(passing, right, never))
    assert caught.verdict == "caught"
    assert caught.by.endswith("test_planted.right: AssertionError")
    assert planted.tried(swap(passing)).verdict == "survived"
    none = planted.tried(swap(harmless))
    assert (none.verdict, none.reason) == ("no error", "nothing is wrong")
    with pytest.raises(RuntimeError, match=r"test_planted\.never fails without example: "):
        planted.tried(swap(never))
    monkeypatch.setitem(planted.REASONS, "example: example: swap: x - y", "it is an example")
    explained = planted.tried(swap(passing))
    assert (explained.verdict, explained.reason) == ("explained", "it is an example")
    stale = planted.unused_reasons([*every(), swap()], [planted.tried(swap(right))])
    assert list(stale) == ["example: example: swap: x - y: caught"]


def test_a_check_that_hangs_finds_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "SECONDS", 1)

    def loops() -> None:
        while example(1, 4, []) != (-1, -3):
            pass

    assert planted.tried(swap(loops)).by.endswith("loops: TimeoutError")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner().invoke
    out = tmp_path / "planted.json"
    done = run(planted.main, ["--only", "gradient: exp: negate", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert '"verdict": "caught"' in out.read_text()
    monkeypatch.setattr(planted, "REASONS", {})
    done = run(planted.main, ["--only", "gradient: floor: negate"])
    assert done.exit_code == 1
    assert "survived: gradient: floor: negate: the answer for x" in done.output
    assert run(planted.main, []).exit_code == 2
