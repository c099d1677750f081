"""Programs with awkward capture behaviour do compiled what they do eagerly: five calls each, with
equal results, side effects, sharing of memory, gradients, exceptions and warnings."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

import awkward_arguments
import awkward_attributes
import awkward_classes
import awkward_company
import awkward_containers
import awkward_control
import awkward_functions
import awkward_gradients
import awkward_graphs
import awkward_hidden
import awkward_kinds
import awkward_memory
import awkward_methods
import awkward_modules
import awkward_names
import awkward_objects
import awkward_results
import awkward_unasked
import awkward_values
import awkward_world
import ostinato as ot
from awkward import Program, observe, same

TABLES = (
    awkward_control, awkward_functions, awkward_names, awkward_attributes, awkward_containers,
    awkward_methods, awkward_arguments, awkward_modules, awkward_memory, awkward_gradients,
    awkward_graphs, awkward_values, awkward_world, awkward_company, awkward_results,
    awkward_objects, awkward_classes, awkward_hidden, awkward_kinds, awkward_unasked,
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


@pytest.fixture(scope="module", autouse=True)
def _what_was_there_before() -> Iterator[None]:
    """Collections of garbage look through what programs made, not through the whole suite's."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("name", BY_NAME)
def test_compiled_calls_are_those_of_the_eager_function(name: str) -> None:
    program = BY_NAME[name]
    want, got = observe(program, ot, eager), observe(program, ot, ot.compile)
    if program.refused:
        assert all(program.refused in c["result"].get("text", "") for c in got.calls)
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


WAYS: dict[str, dict[str, Any]] = {
    "followed": {"verify": "follow"},
    "verified": {"verify": 0.5},
    "checked": {"check": "first"},
}
IN_ALL_WAYS = (  # of each kind some, and those by which another way was once told apart
    "any_and_all_of_python", "exception_of_the_user_half_way", "generator_with_a_break",
    "python_flag_flips", "attribute_changes", "numbers_are_returned", "whole_and_part_as_arguments",
    "overlapping_slices_as_arguments", "overlapping_slices_are_scaled", "view_with_gaps_is_changed",
    "array_of_what_is_changed", "group_is_added_between_calls", "accumulation_over_four_replays",
    "gradients_in_one_buffer", "arrays_of_a_parameter_and_its_gradient", "gradient_is_none_or_zero",
    "backward_twice_with_the_graph_kept", "backward_twice_without_the_graph", "no_grad_inside",
    "detach_in_the_middle", "update_by_hand", "shared_parameter", "two_optimizers_in_turn",
    "data_of_a_tensor_is_changed", "division_by_zero_and_nan", "modules_train_and_eval",
    "random_tensors", "leaf_is_made_inside", "generator_is_closed",
)  # fmt: skip


@pytest.mark.parametrize("name", IN_ALL_WAYS)
def test_ways_to_run_change_nothing(name: str) -> None:
    program = BY_NAME[name]
    want = observe(program, ot, eager)
    for way, options in WAYS.items():
        got = observe(program, ot, lambda fn, o=options, **own: ot.compile(fn, **o, **own))
        if difference := first_difference(got, want, 1e-5):
            pytest.fail(f"{way}: {difference}")


@pytest.mark.parametrize("name", [p.name for p in PROGRAMS if p.torch])
def test_eager_calls_are_those_of_torch(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    program = BY_NAME[name]
    want, got = observe(program, torch, eager), observe(program, ot, eager)
    for seen in (want, got):
        del seen.end["drawn"]  # of a generator of its own
    if difference := first_difference(got, want, 1e-4):
        pytest.fail(difference)


def failing(names: list[str]) -> list[str]:
    """Those of the programs that are not as they should be."""
    found: list[str] = []
    for name in names:
        try:
            test_compiled_calls_are_those_of_the_eager_function(name)
        except (AssertionError, pytest.fail.Exception):
            found.append(name)
    return found


def test_replays_without_guards_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: variants that are replayed whatever changed."""
    from ostinato.compiler.variant import Variant

    monkeypatch.setattr(Variant, "fits", lambda self, leaves: True)
    wrong = ["closure_flag_rebinds", "method_is_swapped", "element_of_a_list_is_replaced"]
    assert failing(wrong) == wrong


def test_effects_that_are_not_looked_for_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: every function is replayed, whatever it does outside."""
    from ostinato.compiler.effects import Watch

    monkeypatch.setattr(Watch, "_report", lambda *a, **k: None)
    wrong = ["print_before_and_after", "random_of_python"]
    assert failing(wrong) == wrong


def test_views_that_are_not_delivered_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: returned views are made as copies."""
    from ostinato.compiler.finish import _Returned

    def copied(self: Any, output: Any) -> Any:
        known = isinstance(output, ot.Tensor) and id(output) in self._views
        return ("value", self._place(output)) if known else ("same", output)

    monkeypatch.setattr(_Returned, "_entry", copied)
    wrong = ["view_of_input_is_returned", "result_and_views_of_it"]
    assert failing(wrong) == wrong


def test_the_table_is_large_and_no_name_comes_twice() -> None:
    assert len(PROGRAMS) == len(BY_NAME) >= 150
