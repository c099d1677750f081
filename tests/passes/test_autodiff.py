"""Gradients: every rule against differences in float64, the pass against the rules on arrays."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from gradient_cases import (
    Case,
    assert_gradients,
    cases,
    check,
    check_second,
    gradient_graph,
    has_gradient,
    slope,
    with_gradient,
)
from graph_cases import IR_OPS, graph, random_graph, same_bits
from ostinato.ir.dtypes import float16, float32, float64
from ostinato.ir.errors import GradientError
from ostinato.ir.graph import main_of, type_of
from ostinato.ir.interpret.arrays import ArrayTensor, tensor
from ostinato.ir.locations import lines_of
from ostinato.ir.op import OPS, Op, Type, Value
from ostinato.ir.stages import verify
from ostinato.ir.vjp import Applied, pull_back, record_body, unbroadcast
from ostinato.passes.autodiff import autodiff

DIFFERENTIABLE = [op for op in IR_OPS if has_gradient(op)]
WITHOUT_FLOAT_SAMPLES = {"detach", "bernoulli", "one_hot", "changed"}
"""No gradient (detach, bernoulli: a step), no floating operand (one_hot), a gradient by design that
is not the derivative (changed)."""


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_gradients_agree_with_differences(op: Op) -> None:
    found = list(cases(op))
    assert found or op.name in WITHOUT_FLOAT_SAMPLES
    for case in found:
        g = check(case)
        by_rules = g.run()
        autodiff(g.module)
        verify(g.module, "differentiated")
        same_bits(g.run(), by_rules)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_second_gradients_agree_with_differences(op: Op) -> None:
    for case in list(cases(op))[: 1 if op.kind == "composite" else 2]:
        check_second(case)


def test_slopes_are_those_of_known_functions() -> None:
    assert abs(slope(lambda t: np.exp(3 * t)) - 3) < 1e-10
    assert abs(slope(lambda t: np.tanh(1000 * t)) - 1000) < 1e-5


def negated(rule: Any) -> Any:
    """A rule with the sign of its first answer wrong."""

    def wrong(*operands: Any, **attrs: Any) -> Any:
        first, *rest = rule(*operands, **attrs)
        return -first, *rest

    return wrong


def swapped(rule: Any) -> Any:
    """A rule with its first two answers exchanged."""

    def wrong(*operands: Any, **attrs: Any) -> Any:
        first, second, *rest = rule(*operands, **attrs)
        return second, first, *rest

    return wrong


def dropped(rule: Any) -> Any:
    """A rule that forgets an operand."""
    return lambda *operands, **attrs: (None, *rule(*operands, **attrs)[1:])


def slightly_off(rule: Any) -> Any:
    """A rule off by a millionth."""

    def wrong(*operands: Any, **attrs: Any) -> Any:
        first, *rest = rule(*operands, **attrs)
        return first * (1 + 1e-6), *rest

    return wrong


PLANTED = [
    *((name, damage) for name in ("mul", "sin", "sum", "matmul", "maximum", "layer_norm")
      for damage in (negated, dropped)),
    *((name, swapped) for name in ("sub", "matmul", "attention", "linear")),
    *((name, slightly_off) for name in ("exp", "mean", "gelu", "cross_entropy")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage"), PLANTED)
def test_planted_errors_are_found(name: str, damage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    op = OPS[name]
    monkeypatch.setattr(op, "vjp_rule", damage(op.vjp_rule))
    with pytest.raises((AssertionError, KeyError)):
        for case in cases(op):
            check(case)


# What the walk over the nodes does.


def gradients(build: Any, *inputs: Any, of: int | None = None) -> list[Any]:
    """The gradients of the sum of what `build` makes, for all inputs (the first `of`)."""
    g = graph(lambda *xs: OPS["sum"](build(*xs)), *inputs)
    (total,) = g.run()
    wanted = range(len(inputs) if of is None else of)
    g = with_gradient(g, np.ones_like(total), 0, wanted)
    by_rules = g.run()
    autodiff(g.module)
    verify(g.module, "differentiated")
    same_bits(g.run(), by_rules)
    return by_rules


X = np.arange(1.0, 7.0).reshape(2, 3)
ROW, COLUMN, ONE = np.arange(1.0, 4.0), np.array([[2.0], [3.0]]), np.array(2.0)

BROADCASTS = [
    (ROW, X.sum(axis=0)),
    (COLUMN, X.sum(axis=1, keepdims=True)),
    (ONE, X.sum()),
    (ONE.reshape(1, 1, 1), X.sum().reshape(1, 1, 1)),
    (ROW.reshape(1, 3), X.sum(axis=0, keepdims=True)),
    (X, X),
]  # fmt: skip


@pytest.mark.parametrize(("y", "expected"), BROADCASTS, ids=lambda a: str(a.shape))
def test_cotangents_are_summed_to_the_shape_of_their_operand(y: Any, expected: Any) -> None:
    _, found = gradients(lambda x, y: x * y, X, y)
    same_bits([found], [expected])


def test_unbroadcast_sums_lead_and_inner_axes_at_once() -> None:
    wide = tensor(np.ones((4, 2, 3)))
    same_bits([unbroadcast(wide, (2, 1)).array], [np.full((2, 1), 12.0)])
    same_bits([unbroadcast(wide, (1, 1, 2, 1)).array], [np.full((1, 1, 2, 1), 12.0)])
    assert unbroadcast(wide, (4, 2, 3)) is wide


def test_cotangents_have_the_dtype_of_their_operand() -> None:
    half, wide = X.astype("float16"), np.array(1.5)
    found = gradients(lambda x, y: OPS["to"](x, dtype=float64) * y, half, wide)
    assert [g.dtype for g in found] == [np.float16, np.float64]


def test_an_operand_used_twice_gets_both_cotangents() -> None:
    same_bits(gradients(lambda x: x * x + x, X), [2 * X + 1])


def test_a_value_that_does_not_reach_the_output_has_zeros() -> None:
    found = gradients(lambda x, y: x + OPS["detach"](y), X, ROW)
    same_bits(found, [np.ones((2, 3)), 0 * ROW])


def test_behind_detach_an_op_needs_no_gradient() -> None:
    found = gradients(lambda x: x * OPS["floor_divide"](OPS["detach"](x), 2.0), X)
    same_bits(found, [X // 2])


def test_comparisons_and_integers_end_a_way() -> None:
    found = gradients(lambda x: OPS["where"](OPS["gt"](x, 3), x, OPS["argmax"](x)), X)
    same_bits(found, [(X > 3) * 1.0])


def test_lists_and_absent_operands() -> None:
    found = gradients(lambda x, y: OPS["clamp"](OPS["cat"]([x, y, x]), max=3.5), X, X + 1)
    same_bits(found, [2.0 * (X < 3.5), 1.0 * (X < 2.5)])


def test_gradients_for_values_between() -> None:
    def build(x: Any) -> Any:
        y = OPS["sin"](x)
        total = OPS["sum"](y * x)
        one = OPS["full"]((), 1.0, dtype=float64)
        return x.builder.gradient([total], [one], [y, x])

    g = graph(build, X)
    by_rules = g.run()
    np.testing.assert_allclose(by_rules, [X, np.sin(X) + X * np.cos(X)], rtol=1e-15)
    autodiff(g.module)
    same_bits(g.run(), by_rules)


def test_several_gradients_and_gradients_of_gradients() -> None:
    """Three derivatives of x^4, each taken through the one before."""

    def build(x: Any) -> Any:
        one = OPS["full"](x.shape, 1.0, dtype=float64)
        y = OPS["square"](OPS["square"](x))
        made = [y]
        for _ in range(3):
            made += x.builder.gradient(made[-1:], [one], [x])
        return made

    g = graph(build, X)
    autodiff(g.module)
    verify(g.module, "differentiated")
    np.testing.assert_allclose(g.run(), [X**4, 4 * X**3, 12 * X**2, 24 * X], rtol=1e-12)


def test_a_step_of_a_network_is_torchs() -> None:
    """A gradient penalty (a second gradient) through linear, gelu, layer norm and softmax."""
    numbers = np.random.default_rng(0)
    x, w, v = (numbers.standard_normal(s) for s in ((4, 5), (6, 5), (3, 6)))

    def build(x: Any, w: Any, v: Any) -> Any:
        one = OPS["full"]((), 1.0, dtype=float64)
        hidden = OPS["layer_norm"](OPS["gelu"](OPS["linear"](x, w)), (6,))
        loss = OPS["sum"](OPS["square"](OPS["softmax"](OPS["linear"](hidden, v), dim=-1)))
        (slopes,) = x.builder.gradient([loss], [one], [x])
        total = loss + OPS["sum"](OPS["square"](slopes))
        return total, *x.builder.gradient([total], [one], [w, v])

    g = graph(build, x, w, v)
    autodiff(g.module)
    tx, tw, tv = (torch.tensor(a, requires_grad=True) for a in (x, w, v))
    f = torch.nn.functional
    hidden = f.layer_norm(f.gelu(f.linear(tx, tw)), (6,))
    loss = torch.softmax(f.linear(hidden, tv), -1).square().sum()
    (slopes,) = torch.autograd.grad(loss, tx, create_graph=True)
    total = loss + slopes.square().sum()
    expected = (total, *torch.autograd.grad(total, (tw, tv)))
    for found, torchs in zip(g.run(), expected, strict=True):
        np.testing.assert_allclose(found, torchs.detach().numpy(), rtol=1e-12, atol=1e-14)


def test_new_ops_name_the_forward_line_and_that_of_the_gradient() -> None:
    g = with_gradient(graph(lambda x: OPS["sum"](OPS["sin"](x)), X), np.ones(()), 0, [0])
    forward = {op.name: op.location for op in g.module.walk()}
    gradient = g.named("gradient").location
    autodiff(g.module)
    named = [list(lines_of(op.location)) for op in g.module.walk() if op.name == "ot.cos"]
    assert named == [[forward["ot.sin"], gradient]]


def test_an_op_without_gradient_is_named() -> None:
    op = Op("stairs", "primitive", "Floor.", OPS["floor"].params, 1, np.floor,
            OPS["floor"].shape, OPS["floor"].dtype, OPS["floor"].compute)  # fmt: skip
    x = tensor(X)
    y = ArrayTensor(np.floor(X), float64)
    with pytest.raises(GradientError) as caught:
        pull_back([Applied(op, (x,), {}, (y,))], {y: x}, [x])
    assert str(caught.value) == (
        "stairs: has no gradient, and one was asked for through it; "
        "call it on a detached tensor or outside of the differentiated part"
    )
    assert pull_back([Applied(op, (x,), {}, (y,))], {y: x}, [y]) == {y: x}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda g, y, x: g, "the gradient rule of sin gives no tuple"),
        (lambda g, y, x: (g, g), "the gradient rule of sin answers for 2 of 1 operands"),
        (lambda g, y, x: (OPS["sum"](g, dim=(0,), keepdim=True),),
         "the gradient rule of sin gives shape (1, 3) for an operand of (2, 3)"),
        (lambda g, y, x: (OPS["sum"](g),), "a cotangent of shape () for (2, 3)"),
    ],
)  # fmt: skip
def test_a_rule_that_answers_wrongly_is_our_error(
    rule: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OPS["sin"], "vjp_rule", rule)
    with pytest.raises(AssertionError, match=re.escape(message)):
        gradients(lambda x: OPS["sin"](x), X)


def test_bodies_are_recorded_as_they_are_built() -> None:
    x = tensor(X)
    nodes, (y,) = record_body(OPS["softmax"], [x], {"dim": 1})
    assert [n.op.name for n in nodes] == ["amax", "sub", "exp", "sum", "div"]
    assert nodes[0].operands[0] is x and nodes[-1].results[0] is y
    assert all(isinstance(v, Value) for n in nodes for v in n.results)


def test_random_graphs_have_the_gradients_of_the_rules() -> None:
    """The pass on the IR, against the rules on arrays, bit for bit."""
    tried = 0
    for seed in range(120):
        with np.errstate(all="ignore"):
            g = random_graph(seed)
            results = g.run()
            floating = [i for i, r in enumerate(results) if r.dtype.kind == "f"]
            if not floating:
                continue
            which = floating[-1]
            wanted = [i for i, a in enumerate(main_of(g.module).args)
                      if type_of(a).dtype in (float16, float32, float64)]  # fmt: skip
            g = with_gradient(g, np.ones_like(results[which]), which, wanted)
            try:
                by_rules = g.run()
            except GradientError as error:
                with pytest.raises(GradientError, match=re.escape(str(error))):
                    autodiff(g.module)
                continue
            autodiff(g.module)
            verify(g.module, "differentiated")
            same_bits(g.run(), by_rules)
            tried += any(np.any(r) for r in by_rules)
    assert tried > 30


def test_gradient_cases_see_a_wrong_gradient() -> None:
    case = next(cases(OPS["mul"]))
    assert isinstance(case, Case) and isinstance(Type((), float64).shape, tuple)
    found = [g.copy() for g in gradient_graph(case).run()]
    arrays, weights = [case.arrays[i] for i in case.wanted], case.weights()

    def value() -> float:
        return float((case.value() * weights).sum())

    assert_gradients(arrays, value, found)
    found[0][0, 0] += 1e-5
    with pytest.raises(AssertionError):
        assert_gradients(arrays, value, found)
