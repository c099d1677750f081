"""`ot.detect_anomaly`: the op and the line that first make NaN, eagerly and in compiled functions,
forward and backward; and that nothing was changed by then."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato import nn, optim

Fn = Callable[..., Any]
HOW: dict[str, Callable[[Fn], Fn]] = {
    "eager": lambda fn: fn,
    "replayed": ot.compile,
    "trusted": lambda fn: ot.compile(fn, verify="trust"),
    "followed": lambda fn: ot.compile(fn, verify="follow"),
}


@dataclass(frozen=True)
class Case:
    """A function, the elements that it is given, how many lines below its first the anomaly is,
    and what is said before and after that line."""

    fn: Fn
    elements: list[float]
    line: int
    before: str
    after: str = " makes NaN of operands that have none"

    @property
    def given(self) -> Any:
        return ot.tensor(self.elements, requires_grad=self.before.startswith("backward"))

    def text(self) -> str:
        place = f"{__file__}:{self.fn.__code__.co_firstlineno + self.line}"
        return f"{self.before} at {place}{self.after}"


def of_log(x: Any) -> Any:
    y = x * 2
    z = (y - 4).log()
    return (z + y).exp().sum()


def masked(x: Any) -> Any:
    bad = x.sqrt()
    return ot.where(x > 0, bad, 0.0).sum()


def of_infinities(x: Any) -> Any:
    large = (x * 1e30).exp()
    small = x + 1
    return (large - large + small).sum()


def in_place(x: Any) -> Any:
    y = x + 1
    y.sub_(1).div_(y * 0)
    return y.sum()


def backward_of_sqrt(x: Any) -> Any:
    y = x.sqrt()
    loss = (y * 0).sum()
    loss.backward()
    return loss


def backward_of_norm(x: Any) -> Any:
    loss = (x * 0).square().sum().sqrt()
    loss.backward()
    return loss


ROOTS = [0.0, 1.0, 4.0]
CASES: dict[str, Case] = {
    "log": Case(of_log, [3.0, 1.0], 2, "detect_anomaly: log"),
    "masked": Case(masked, [3.0, -1.0], 1, "detect_anomaly: sqrt"),
    "infinities": Case(
        of_infinities, [3.0, 1.0], 3, "detect_anomaly: sub",
        " makes NaN of operands that have none; the first infinity was made by exp at "
        f"{__file__}:{of_infinities.__code__.co_firstlineno + 1}",
    ),
    "in place": Case(in_place, ROOTS, 2, "detect_anomaly: div"),
    "backward of sqrt": Case(
        backward_of_sqrt, ROOTS, 1, "backward: the gradient of sqrt",
        " holds NaN; look at the values that it saved",
    ),
    "backward of norm": Case(
        backward_of_norm, ROOTS, 1, "backward: the gradient of square",
        " holds NaN; the first infinity was made by the gradient of sqrt at "
        f"{__file__}:{backward_of_norm.__code__.co_firstlineno + 1}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", CASES)
def test_the_op_and_the_line_are_named(name: str, how: str) -> None:
    case = CASES[name]
    fn = HOW[how](case.fn)
    fn(case.given)  # without the block nothing is said
    for _ in range(2):
        with ot.detect_anomaly(), pytest.raises(ot.GradientError) as caught:
            fn(case.given)
        assert str(caught.value) == case.text()


@pytest.mark.parametrize("how", HOW)
def test_a_function_is_first_called_within_the_block(how: str) -> None:
    fn = HOW[how](of_log)
    with ot.detect_anomaly(), pytest.raises(ot.GradientError) as caught:
        fn(CASES["log"].given)
    assert str(caught.value) == CASES["log"].text()


@pytest.mark.parametrize("how", HOW)
def test_what_is_fine_is_left_alone(how: str) -> None:
    """Infinities that masks are made of, NaN that was given, and results as without."""

    def fn(x: Any, given: Any) -> Any:
        scores = ot.where(x > 1, x, -math.inf)
        return ot.softmax(scores, dim=-1) * 2, given + 1

    run = HOW[how](fn)
    args = ot.tensor([0.0, 2.0, 3.0]), ot.tensor([math.nan, 1.0, math.inf])
    plain = [t.numpy().copy() for t in fn(*args)]
    run(*args)
    with ot.detect_anomaly(inf=True):
        found = run(*args)
    for ours, wanted in zip(found, plain, strict=True):
        np.testing.assert_allclose(ours.numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("how", HOW)
def test_infinities_are_refused_where_that_is_asked_for(how: str) -> None:
    def fn(x: Any) -> Any:
        return (x - 1).log().exp().sum()

    run, x = HOW[how](fn), ot.tensor([1.0, 2.0])
    with ot.detect_anomaly():
        assert run(x).item() == 1.0
    place = f"{__file__}:{fn.__code__.co_firstlineno + 1}"
    text = f"detect_anomaly: log at {place} makes an infinity of finite operands"
    with ot.detect_anomaly(inf=True), pytest.raises(ot.GradientError, match=re.escape(text)):
        run(x)
    with ot.detect_anomaly(), ot.detect_anomaly(False):
        run(x)


@pytest.mark.parametrize("verify", [None, "follow"])
def test_a_gradient_taken_outside_names_the_op_inside(verify: Any) -> None:
    def fn(x: Any) -> Any:
        y = x + 0
        return (y.sqrt() * 0).sum()

    run, x = ot.compile(fn, verify=verify), ot.tensor(ROOTS, requires_grad=True)
    run(x)
    line = f"{__file__}:{fn.__code__.co_firstlineno + 2}"
    with ot.detect_anomaly():
        loss = run(x)
        with pytest.raises(ot.GradientError, match=re.escape(f"gradient of sqrt at {line}")):
            loss.backward()


def test_a_forward_before_the_block_names_the_function_and_what_to_do() -> None:
    def fn(x: Any) -> Any:
        return (x.sqrt() * 0).sum()

    loss = ot.compile(fn)(ot.tensor(ROOTS, requires_grad=True))
    text = "holds NaN; call it within detect_anomaly as well, which then names the op"
    with ot.detect_anomaly(), pytest.raises(ot.GradientError, match=text):
        loss.backward()


def step_of(weight: Any, optimizer: Any) -> Fn:
    def step(x: Any) -> Any:
        loss = (weight.sqrt() * x).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def test_an_anomaly_leaves_a_training_step_undone() -> None:
    weight = nn.Parameter(ot.tensor([0.0, 1.0]))
    step = step_of(weight, optim.SGD([weight], lr=0.1))
    run, x = ot.compile(step, fullgraph=True), ot.zeros(2)
    with ot.detect_anomaly():
        for _ in range(2):
            with pytest.raises(ot.GradientError, match="the gradient of sqrt at"):
                run(x)
    assert weight.detach().tolist() == [0.0, 1.0]
    assert weight.grad is None
    assert len(run.ledger) == 1
    run(x)
    assert math.isnan(weight.detach().tolist()[0])


def test_a_fine_training_step_is_that_of_the_program() -> None:
    losses: list[list[float]] = []
    for looks in (False, True):
        weight = nn.Parameter(ot.tensor([4.0, 1.0]))
        run = ot.compile(step_of(weight, optim.SGD([weight], lr=0.1)))
        with ot.detect_anomaly(looks):
            losses.append([run(ot.ones(2)).item() for _ in range(4)])
    assert losses[0] == losses[1]


def test_it_decorates_and_ends_with_its_block() -> None:
    @ot.detect_anomaly(inf=True)
    def fn(x: Any) -> Any:
        return x.log()

    with pytest.raises(ot.GradientError, match="makes an infinity"):
        fn(ot.zeros(1))
    assert fn(ot.ones(1)).item() == 0.0
    assert ot.zeros(1).log().item() == -math.inf
