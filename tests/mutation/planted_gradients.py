"""Errors in gradient rules: an answer negated, dropped or exchanged, an expression changed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache, partial
from itertools import pairwise
from types import FunctionType
from typing import Any

import test_autodiff
import test_op_gradients
from mutants import (
    Mutant,
    attribute,
    changes,
    definition,
    functions_of,
    negated,
    swapped,
    term_dropped,
)
from op_cases import Case
from ostinato.ir.op import OPS, Op
from ostinato.ir.vjp import Value

DAMAGES = {"negate": negated, "swap operands": swapped, "drop a term": term_dropped}


def mutants() -> Iterator[Mutant]:
    """Those of every rule, and of the functions that rules call."""
    for op in OPS.values():
        if op.vjp_rule is not None:
            for damage, change, planted in _damaged_answers(op):
                yield Mutant("gradient", op.name, damage, change, planted, checks_of(op))
    for function, ops in _users().items():
        target = ops[0].name if function is ops[0].vjp_rule else function.__name__
        checks = [check for op in ops for check in checks_of(op)]
        for change in changes(function, DAMAGES):
            yield Mutant("gradient", target, change.damage, change.text, change.planted, checks)


def _users() -> dict[FunctionType, list[Op]]:
    users: dict[FunctionType, list[Op]] = {}
    for op in OPS.values():
        if op.vjp_rule is not None:
            assert isinstance(op.vjp_rule, FunctionType)
            for function in functions_of(op.vjp_rule, "ostinato.ir.ops"):
                users.setdefault(function, []).append(op)
    return users


def checks_of(op: Op) -> list[Callable[[], None]]:
    """The tests of the rule of `op`, quick ones first."""
    torch, body, symbols = _cases_against_torch(), _cases_against_bodies(), _cases_on_symbols()
    return [
        *(partial(test_op_gradients.test_rule_agrees_with_torch, c) for c in torch.get(op, ())),
        *(
            partial(test_op_gradients.test_rule_of_a_composite_agrees_with_its_body, c)
            for c in body.get(op, ())
        ),
        *(
            partial(test_op_gradients.test_rule_on_symbols_is_the_rule_on_arrays, c)
            for c in symbols.get(op, ())
        ),
        partial(test_autodiff.test_gradients_agree_with_differences, op),
    ]


@cache
def _cases_against_torch() -> dict[Op, list[Case]]:
    return _by_op(test_op_gradients.all_gradient_cases())


@cache
def _cases_against_bodies() -> dict[Op, list[Case]]:
    keep = test_op_gradients.is_composite_with_rule
    return _by_op(test_op_gradients.smooth_cases(keep))


@cache
def _cases_on_symbols() -> dict[Op, list[Case]]:
    return _by_op(test_op_gradients.smooth_cases())


def _by_op(parameters: list[Any]) -> dict[Op, list[Case]]:
    found: dict[Op, list[Case]] = {}
    for parameter in parameters:
        (case,) = parameter.values
        found.setdefault(case.op, []).append(case)
    return found


# Answers: what a rule returns, one for each operand.

Answers = tuple[Any, ...]
Planting = Callable[[], AbstractContextManager[object]]


def _damaged_answers(op: Op) -> Iterator[tuple[str, str, Planting]]:
    texts = _answer_texts(op)
    for i in texts:
        name = op.operands[i].name
        yield "negate", f"the answer for {name}", _planting(op, partial(_negate, i))
        yield "drop a term", f"the answer for {name}", _planting(op, partial(_drop, i))
    for i, j in pairwise(texts):
        if texts[i] != texts[j]:
            change = f"the answers for {op.operands[i].name} and {op.operands[j].name}"
            yield "swap operands", change, _planting(op, partial(_exchange, i, j))


def _answer_texts(op: Op) -> dict[int, list[str]]:
    """The expressions of each answer, where not all of them are None."""
    assert isinstance(op.vjp_rule, FunctionType)
    returns = [
        n.value for n in ast.walk(definition(op.vjp_rule.__code__)) if isinstance(n, ast.Return)
    ]
    found: dict[int, list[str]] = {}
    for i, p in enumerate(op.operands):
        texts = [
            ast.unparse(r.elts[i]) if isinstance(r, ast.Tuple) else f"{i} of {ast.unparse(r)}"
            for r in returns
            if r is not None
        ]
        if p.kind != "rng" and set(texts) != {"None"}:
            found[i] = texts
    return found


def _planting(op: Op, damage: Callable[[Answers], Answers]) -> Planting:
    rule = op.vjp_rule
    assert rule is not None
    return partial(attribute, op, "vjp_rule", lambda *x, **attrs: damage(rule(*x, **attrs)))


def _negate(i: int, answers: Answers) -> Answers:
    return *answers[:i], _negative(answers[i]), *answers[i + 1 :]


def _negative(answer: Any) -> Any:
    if isinstance(answer, (tuple, list)):
        return tuple(_negative(a) for a in answer)
    return -answer if isinstance(answer, Value) else answer


def _drop(i: int, answers: Answers) -> Answers:
    return *answers[:i], None, *answers[i + 1 :]


def _exchange(i: int, j: int, answers: Answers) -> Answers:
    made = list(answers)
    made[i], made[j] = answers[j], answers[i]
    return tuple(made)
