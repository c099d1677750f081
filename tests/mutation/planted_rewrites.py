"""Errors in rewrites: sides of an algebraic pair, and the code of rewrites of views and numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, wraps
from types import FunctionType
from typing import Any

import test_algebra
import test_passes
from mutants import (
    Mutant,
    attribute,
    changes,
    functions_of,
    negated,
    off_by_one,
    other_axis,
    swapped,
)
from ostinato.ir.dtypes import bool_
from ostinato.ir.op import OPS
from ostinato.passes import fold, views
from ostinato.passes.algebra import PAIRS, Pair

IN_CODE = {
    "negate": negated,
    "swap operands": swapped,
    "off by one": off_by_one,
    "wrong axis": other_axis,
}


def mutants() -> Iterator[Mutant]:
    """Those of every pair, and of every rewrite that is code."""
    for pair in PAIRS:
        assert isinstance(pair.build, FunctionType)
        checks = _checks(pair)
        for change in changes(pair.build, {"swap operands": swapped}):
            yield Mutant("algebra", pair.name, change.damage, change.text, change.planted, checks)
        planted = partial(attribute, pair, "build", _wrong_sign(pair.build))
        yield Mutant("algebra", pair.name, "negate", "the right side", planted, checks)
    for function in _code():
        for change in changes(function, IN_CODE):
            given = (function.__name__, change.damage, change.text, change.planted)
            yield Mutant("rewrite", *given, _checks_of_code())


def _checks(pair: Pair) -> list[Callable[[], None]]:
    return [partial(test_algebra.test_pairs_are_equal, pair)]


def _wrong_sign(build: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    @wraps(build)
    def wrong(*operands: Any) -> tuple[Any, Any]:
        before, after = build(*operands)
        return before, OPS["logical_not" if after.dtype is bool_ else "neg"](after)

    return wrong


def _code() -> list[FunctionType]:
    """The functions of all rewrites that are no pairs, and those that these call."""
    roots: list[Any] = [f for found in views.rewrites().values() for f in found]
    roots += [views.unchanged, fold.fold_pointwise, fold.fold_view]
    called = [
        f
        for root in roots
        for f in functions_of(root, ("ostinato.passes.views", "ostinato.passes.fold"))
    ]
    return list(dict.fromkeys(called))


def _checks_of_code() -> list[Callable[[], None]]:
    return [
        *(partial(test_passes.test_views_are_merged, *row[1:]) for row in test_passes.VIEWS),
        *(
            partial(test_passes.test_casts_are_merged_only_where_nothing_is_lost, x)
            for x in test_passes.CASTS
        ),
        test_passes.test_numbers_are_folded,
        test_passes.test_folding_looks_at_rank_and_dtype,
        test_passes.test_functions_that_differ_between_backends_are_not_folded,
        test_passes.test_live_numbers_are_not_folded,
        test_passes.test_detach_stays_while_gradients_are_to_be_taken,
        test_passes.test_equal_constants_differ_by_type_and_sign,
        *(
            partial(test_passes.test_random_views_mean_the_same_after_every_pass, s)
            for s in (0, 50)
        ),
        partial(test_passes.test_random_graphs_mean_the_same_after_every_pass, 0),
    ]
