"""Errors in shape rules: results off by one or with their axes exchanged, expressions changed.

A rule has a Python and a C++ form. What a changed Python form gives is compared with the oracles,
and with the C++ form as it was built: where these differ, a changed C++ form would differ as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from types import FunctionType
from typing import Any

import test_native_ops
import test_op_table
import test_shape_rules
from mutants import Mutant, attribute, changes, functions_of, off_by_one, other_axis
from op_cases import Case, cases_of
from ostinato.ir.op import OPS, Op
from test_shape_rules import EXPRESSIONS, MIXED

DAMAGES = {"off by one": off_by_one, "wrong axis": other_axis}
Check = Callable[[], None]
Shape = tuple[Any, ...]


def mutants() -> Iterator[Mutant]:
    """Those of the rule of every result, and of the functions in which rules are written."""
    for op in _table():
        for i, rule in enumerate(op.shape):
            for damage, change, damaged in RESULTS:
                wrong = (*op.shape[:i], _Damaged(rule, damaged), *op.shape[i + 1 :])
                planted = partial(attribute, op, "shape", wrong)
                text = change if len(op.shape) == 1 else f"{change} of result {i}"
                yield Mutant("shape", op.name, damage, text, planted, _against_oracles(op))
                yield Mutant("shape in C++", op.name, damage, text, planted, _against_cpp(op))
    for function, ops in _users().items():
        target = function.__qualname__.removesuffix(".__call__")
        for change in changes(function, DAMAGES):
            checks = [c for op in ops for c in _against_oracles(op) + _refusals(op)]
            checks += _on_symbols()
            given = (target, change.damage, change.text, change.planted)
            yield Mutant("shape", *given, checks)
            yield Mutant("shape in C++", *given, [c for op in ops for c in _against_cpp(op)])


def _table() -> list[Op]:
    return [op for op in OPS.values() if test_op_table.is_table_op(op)]


def _users() -> dict[FunctionType, list[Op]]:
    users: dict[FunctionType, list[Op]] = {}
    for op in _table():
        for rule in dict.fromkeys(map(type, op.shape)):
            root: Any = rule.__call__
            for function in functions_of(root, ("ostinato.ir.shapes", "ostinato.ir.dims")):
                users.setdefault(function, []).append(op)
    return users


@cache
def _cases(op: Op) -> list[Case]:
    return list(cases_of(op))


def _against_oracles(op: Op) -> list[Check]:
    checks = (
        test_op_table.test_rules_agree_with_the_oracle,
        test_op_table.test_rules_on_symbols_give_the_same_sizes,
    )
    return [partial(check, case) for check in checks for case in _cases(op)]


def _refusals(op: Op) -> list[Check]:
    return [
        partial(test_op_table.test_refusals, *row)
        for row in test_op_table.REFUSED
        if row[0] == op.name
    ]


def _on_symbols() -> list[Check]:
    refused = test_shape_rules.test_known_sizes_that_do_not_fit_are_refused_beside_symbols
    return [
        *(partial(test_shape_rules.test_a_symbol_fits_every_size, *row) for row in MIXED),
        *(
            partial(test_shape_rules.test_sizes_that_are_symbols_have_the_values_of_numbers, name)
            for name in EXPRESSIONS
        ),
        *(partial(refused, *row) for row in test_shape_rules.REFUSED),
        test_shape_rules.test_numbers_of_sizes,
    ]


def _against_cpp(op: Op) -> list[Check]:
    return [
        *(partial(test_native_ops.test_both_forms_of_a_rule_agree, case) for case in _cases(op)),
        partial(test_native_ops.test_bad_calls_are_refused_with_the_text_of_the_rule, op),
        *_refusals(op),
    ]


# Results.


class _Damaged:
    """A rule whose results are damaged."""

    def __init__(self, rule: Any, damage: Callable[[Shape], Shape]) -> None:
        self.rule, self.damage = rule, damage

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        return self.damage(self.rule(name, operands, attrs))


RESULTS: list[tuple[str, str, Callable[[Shape], Shape]]] = [
    ("off by one", "an axis more", lambda shape: (*shape, 1)),
    ("off by one", "the first size", lambda s: (s[0] + 1, *s[1:]) if s else (1,)),
    ("off by one", "the last size", lambda s: (*s[:-1], s[-1] + 1) if s else (1,)),
    ("wrong axis", "axes backwards", lambda shape: shape[::-1]),
    ("wrong axis", "the first axis last", lambda shape: (*shape[1:], *shape[:1])),
]
