"""Gradient rules against torch in float64, and on the forms that a rule takes elsewhere."""

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
from op_cases import Case, all_cases, assert_close, called, flat, to_array
from op_tape import gradients
from oracles import ORACLE
from oracles_torch import to_torch
from ostinato.ir.dtypes import BY_NAME, float64
from ostinato.ir.interpret.arrays import tensor
from ostinato.ir.op import OPS, Op
from ostinato.ir.scalar import expression as s
from ostinato.ir.scalar.numpy import evaluate
from ostinato.ir.vjp import unbroadcast
from ostinato.runtime import _C
from symbolic_cases import gradients_by_symbols

# No gradient, as in torch; or steps of an optimizer, which nobody differentiates.
WITHOUT_RULE = (
    "eq ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and "
    "bitwise_or bitwise_xor bitwise_not isnan isinf isfinite argmax argmin any all size_tensor "
    "rand randn randint randperm multinomial rng_advance"
).split()


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def widened(operands: Any) -> list[Any]:
    """The operands with their float arrays in float64, where differences are accurate."""
    return [
        tuple(widened(o)) if isinstance(o, tuple) else o.astype("float64") if is_float(o) else o
        for o in operands
    ]


def has_gradient(op: Op) -> bool:
    """True for ops with a rule, or a body to derive one from, that the tests differentiate."""
    return op.kind != "function" and (op.vjp_rule is not None or op.kind == "composite")


def smooth_cases(keep: Callable[[Op], bool] = has_gradient) -> list[Any]:
    """Samples that have a gradient for a float operand."""
    return [
        case
        for case in all_cases(keep)
        if case.values[0].has_gradient and any(is_float(o) for o in flat(case.values[0].operands))
    ]


def cotangents_of(case: Case, results: list[Any]) -> list[Any]:
    """A weight, which is not 1, for each element of each result; None for integer results."""
    return [
        None
        if to_array(r).dtype.kind != "f"
        else np.cos(1.0 + i + np.arange(r.array.size)).reshape(r.shape)
        for i, r in enumerate(results)
    ]


def test_every_op_has_a_rule_or_a_reason() -> None:
    missing = {o.name for o in OPS.values() if not has_gradient(o) and o.kind != "function"}
    assert missing == set(WITHOUT_RULE)


def narrows(case: Case) -> bool:
    """True for a cast, whose rounding of the cotangents is not worth a test."""
    return case.attrs.get("dtype") not in (None, float64)


# torch has no gradient for these, or our oracle leaves torch.
NOT_IN_TORCH = (
    "layer_norm_backward rms_norm_backward cross_entropy_backward attention_backward "
    "attention_backward_stacked "
    "index_select_backward sgd_step sgd_momentum_step adam_step adamw_step bernoulli iota "
    "floor_divide"
).split()
# torch's own rule refuses an index smaller than the source, and gives NaN for a row of -inf.
NOT_AS_TORCH = {"scatter_add-2", "logsumexp-13"}


def in_torch(op: Op) -> bool:
    return has_gradient(op) and op.name not in NOT_IN_TORCH


def all_gradient_cases() -> list[Any]:
    """Samples with float operands, kinks among them: there we take the subgradient of torch."""
    cases = [c for c in all_cases(in_torch) if str(c.values[0]) not in NOT_AS_TORCH]
    floats = [c for c in cases if any(is_float(o) for o in flat(c.values[0].operands))]
    return [c for c in floats if not narrows(c.values[0])]


@pytest.mark.parametrize("case", all_gradient_cases())
def test_rule_agrees_with_torch(case: Case) -> None:
    operands = widened(case.operands)
    leaves = [to_torch(o) for o in operands]
    for leaf in flat(leaves):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            leaf.requires_grad_()
    results = flat(ORACLE[case.op.name](*leaves, **case.attrs))
    weights = cotangents_of(case, flat(called(case.op, operands, case.attrs)))
    total = [
        (r * torch.from_numpy(w)).sum()
        for r, w in zip(results, weights, strict=True)
        if w is not None and r.requires_grad
    ]
    if total:
        reduce(operator.add, total).backward()
    found = gradients(case.op, operands, case.attrs, weights)
    for leaf, g in zip(flat(leaves), found, strict=True):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            wanted = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
            assert_close(np.zeros(leaf.shape) if g is None else g, wanted, 1e-11)


def test_a_row_of_minus_infinities_has_no_slope() -> None:
    """torch gives NaN."""
    x = np.array([[-np.inf, -np.inf], [-np.inf, 1.0]])
    attrs = {"dim": (1,), "keepdim": False}
    (found,) = gradients(OPS["logsumexp"], [x], attrs, [np.array([2.0, 3.0])])
    np.testing.assert_array_equal(found, [[0, 0], [0, 3]])


def is_composite_with_rule(op: Op) -> bool:
    return op.kind == "composite" and op.vjp_rule is not None


@pytest.mark.parametrize("case", smooth_cases(is_composite_with_rule))
def test_rule_of_a_composite_agrees_with_its_body(case: Case) -> None:
    operands = widened(case.operands)
    weights = cotangents_of(case, flat(called(case.op, operands, case.attrs)))
    found = gradients(case.op, operands, case.attrs, weights)
    through = gradients(case.op, operands, case.attrs, weights, through_body=True)
    for x, a, b in zip(flat(operands), found, through, strict=True):
        if is_float(x):
            zero = np.zeros_like(x)
            assert_close(zero if a is None else a, zero if b is None else b, 1e-11)


@pytest.mark.parametrize("case", [c for c in smooth_cases() if not narrows(c.values[0])])
def test_eager_gradient_agrees_with_the_rule(case: Case) -> None:
    """The tape runs Programs that the rule gave on symbols, or kernels printed from scalars."""
    operands = widened(case.operands)
    leaves = [native_leaf(p.kind, o) for p, o in zip(case.op.operands, operands, strict=True)]
    named = {p.name: v for p, v in zip(case.op.operands, leaves, strict=True)}
    results = flat(_C.call(case.op.name, **named, **case.attrs))
    weights = cotangents_of(case, flat(called(case.op, operands, case.attrs)))
    parts: list[Any] = [
        (r * ot.from_numpy(w)).sum()
        for r, w in zip(results, weights, strict=True)
        if w is not None and r.requires_grad
    ]
    if parts:
        reduce(operator.add, parts).backward()
    found = gradients(case.op, operands, case.attrs, weights)
    for leaf, x, g in zip(flat(leaves), flat(operands), found, strict=True):
        if is_float(x):
            wanted = np.zeros_like(x) if g is None else g
            ours = np.zeros_like(x) if leaf.grad is None else leaf.grad.numpy()
            assert_close(ours, wanted, 1e-11)


@pytest.mark.parametrize("case", smooth_cases())
def test_rule_on_symbols_is_the_rule_on_arrays(case: Case) -> None:
    """Where sizes are known at run time only, a rule may take other ways."""
    operands = widened(case.operands)
    results = flat(called(case.op, operands, case.attrs))
    weights = cotangents_of(case, results)
    wanted = gradients(case.op, operands, case.attrs, weights)
    found = gradients_by_symbols(case, operands, results, weights)
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            assert_close(ours, theirs, 1e-13)


def native_leaf(kind: str, value: Any) -> Any:
    """An operand for a native call; float arrays ask for their gradient."""
    if kind == "rng":
        generator = ot.Generator(int(value[0]))
        generator.offset = int(value[1])
        return generator
    if isinstance(value, tuple):
        return [native_leaf("tensor", v) for v in value]
    if isinstance(value, np.ndarray):
        leaf = ot.from_numpy(value.copy())
        return leaf.requires_grad_() if is_float(value) else leaf
    return value


def is_pointwise_with_rule(op: Op) -> bool:
    return op.is_pointwise and op.vjp_rule is not None and op.name != "to"


@pytest.mark.parametrize("case", smooth_cases(is_pointwise_with_rule))
def test_rule_on_scalars_is_the_rule_on_arrays(case: Case) -> None:
    assert case.op.vjp_rule is not None
    arrays = [np.asarray(o) for o in widened(case.operands)]
    arrays = [a if i in case.op.uncast else a.astype("float64") for i, a in enumerate(arrays)]
    (result,) = flat(called(case.op, arrays, case.attrs))
    (weight,) = cotangents_of(case, [result])
    values = [weight, result.array, *arrays]
    arguments = [s.argument(i, BY_NAME[v.dtype.name]) for i, v in enumerate(values)]
    answers = case.op.vjp_rule(*arguments, **case.attrs)
    found = gradients(case.op, arrays, case.attrs, [weight])
    for i, (answer, wanted) in enumerate(zip(answers, found, strict=True)):
        if wanted is not None:
            (g,) = evaluate([answer], values)
            g = tensor(np.broadcast_to(g, result.shape))
            assert_close(unbroadcast(g, arrays[i].shape).array, wanted, 1e-13)
