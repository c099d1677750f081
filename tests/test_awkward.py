"""Programs with awkward capture behaviour do compiled what they do eagerly: five calls each, with
equal results, side effects, sharing of memory, gradients, exceptions and warnings."""

from __future__ import annotations

from typing import Any

import pytest

import awkward_arguments
import awkward_attributes
import awkward_containers
import awkward_control
import awkward_functions
import awkward_memory
import awkward_methods
import awkward_modules
import awkward_names
import ostinato as ot
from awkward import Program, observe, same

TABLES = (
    awkward_control, awkward_functions, awkward_names, awkward_attributes, awkward_containers,
    awkward_methods, awkward_arguments, awkward_modules, awkward_memory,
)  # fmt: skip
PROGRAMS = [p for table in TABLES for p in table.TABLE.programs]
BY_NAME = {p.name: p for p in PROGRAMS}


def eager(fn: Any, **_: Any) -> Any:
    return fn


def first_difference(got: Any, want: Any, tolerance: float) -> str | None:
    """What of a run is not as it should be, and when."""
    calls = enumerate(zip(got.calls, want.calls, strict=True))
    pairs = [(f"call {i}", a, b) for i, (a, b) in calls]
    for when, a, b in [*pairs, ("the end", got.end, want.end)]:
        for what in b:
            if not same(a[what], b[what], tolerance):
                return f"{when}, {what}:\n  {a[what]}\n  instead of\n  {b[what]}"
    return None


@pytest.mark.parametrize("name", BY_NAME)
def test_compiled_calls_are_those_of_the_eager_function(name: str) -> None:
    program = BY_NAME[name]
    want, got = observe(program, ot, eager), observe(program, ot, ot.compile)
    if program.refused:
        text = str(got.calls)
        assert "CaptureError" in text and program.refused in text
        return
    if difference := first_difference(got, want, 1e-5):
        pytest.fail(difference)
    check_columns(program, got.world.compiled)


def check_columns(program: Program, compiled: list[Any]) -> None:
    """Variants and breaks are no more than the program needs."""
    followed = [e.followed.why for c in compiled for e in c.entries.values() if e.followed]
    if program.variants is not None:
        assert not followed
        assert sum(len(c.variants) for c in compiled) == program.variants
    if program.follows is not None:
        assert bool(followed) == program.follows


@pytest.mark.parametrize("name", [p.name for p in PROGRAMS if p.torch])
def test_eager_calls_are_those_of_torch(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    program = BY_NAME[name]
    want, got = observe(program, torch, eager), observe(program, ot, eager)
    for seen in (want, got):
        del seen.end["drawn"]  # of a generator of its own
    if difference := first_difference(got, want, 1e-4):
        pytest.fail(difference)


def test_the_table_is_large_and_no_name_comes_twice() -> None:
    assert len(PROGRAMS) == len(BY_NAME) >= 150
