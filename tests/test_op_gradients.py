"""Gradient rules: against differences and torch in float64, on bodies, scalars and symbols."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from op_cases import Case, all_cases, assert_close, called, flat, to_array
from op_tape import gradients
from oracles import ORACLE
from oracles_torch import to_torch
from ostinato.ir.op import Op

# Results that are not differentiable: the logarithm of the sums in attention.
CONSTANT_RESULTS = {"attention": (1,)}
# No gradient, as in torch; or steps of an optimizer, which nobody differentiates.
WITHOUT_RULE = (
    "floor_divide eq ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and "
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
    """A weight for each element of each result; None for constant and integer results."""
    constant = CONSTANT_RESULTS.get(case.op.name, ())
    return [
        None
        if i in constant or to_array(r).dtype.kind != "f"
        else np.cos(np.arange(r.array.size) + i).reshape(r.shape)
        for i, r in enumerate(results)
    ]


def float64_attrs(case: Case) -> dict[str, Any]:
    """The attributes, casts to a narrower float taken out."""
    dtype = case.attrs.get("dtype")
    return case.attrs if dtype is None else case.attrs


def test_every_op_has_a_rule_or_a_reason() -> None:
    from ostinato.ir.op import OPS

    missing = {o.name for o in OPS.values() if not has_gradient(o) and o.kind != "function"}
    assert missing == set(WITHOUT_RULE)


def narrowing(case: Case) -> bool:
    """True for a result that is not float64, whose rounding differences would see."""
    return case.attrs.get("dtype") is not None


@pytest.mark.parametrize("case", [c for c in smooth_cases() if not narrowing(c.values[0])])
def test_rule_agrees_with_differences(case: Case) -> None:
    operands = widened(case.operands)
    weights = cotangents_of(case, flat(called(case.op, operands, case.attrs)))
    found = gradients(case.op, operands, case.attrs, weights)

    def loss() -> float:
        results = flat(called(case.op, operands, case.attrs))
        pairs = zip(results, weights, strict=True)
        return sum(float((r.array * w).sum()) for r, w in pairs if w is not None)

    for x, g in zip(flat(operands), found, strict=True):
        if is_float(x):
            expected = differences(loss, x)
            assert_close(np.zeros_like(x) if g is None else g, expected, 1e-7)


def differences(loss: Callable[[], float], x: Any) -> Any:
    """Central differences of `loss` for each element of x, which is changed in place and back."""
    out = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        kept, values = x[at], []
        for step in (1e-5, -1e-5):
            x[at] = kept + step
            values.append(loss())
        x[at] = kept
        out[at] = (values[0] - values[1]) / 2e-5
    return out


# torch has no gradient for these, or our oracle leaves torch.
NOT_IN_TORCH = (
    "layer_norm_backward rms_norm_backward cross_entropy_backward attention_backward "
    "index_select_backward sgd_step sgd_momentum_step adam_step adamw_step bernoulli iota"
).split()


def in_torch(op: Op) -> bool:
    return has_gradient(op) and op.name not in NOT_IN_TORCH


def all_gradient_cases() -> list[Any]:
    """Samples with float operands, kinks among them: there we take the subgradient of torch."""
    cases = all_cases(in_torch)
    return [c for c in cases if any(is_float(o) for o in flat(c.values[0].operands))]


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
        sum(total).backward()  # pyright: ignore[reportAttributeAccessIssue]
    found = gradients(case.op, operands, case.attrs, weights)
    for leaf, g in zip(flat(leaves), found, strict=True):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            wanted = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
            assert_close(np.zeros(leaf.shape) if g is None else g, wanted, 1e-11)


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
