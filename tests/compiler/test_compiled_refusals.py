"""What the tape refuses of compiled functions; messages name the function and its call's line."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from both_libraries import pairs


def test_a_region_that_ran_backward_gives_results_whose_graph_is_gone() -> None:
    w: Any = pairs((4,))[0][0]

    def step(x: Any, retain: bool) -> Any:
        loss = (x * w * w).sum()
        loss.backward(retain_graph=retain)
        return loss

    x = ot.ones(4, dtype=ot.float64)
    loss = ot.compile(step)(x, False)
    assert loss.requires_grad and not loss.is_leaf
    with pytest.raises(ot.GradientError, match=gone("step")):
        loss.backward()
    w.grad.zero_()
    loss = ot.compile(step)(x, True)
    once = w.grad.numpy().copy()
    loss.backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * once)


def gone(name: str) -> str:
    return (
        rf"^backward: the saved tensors of the compiled function {name} at .*"
        r"test_compiled_refusals\.py:\d+ are gone, since backward ran before; pass "
        r"retain_graph=True to the first$"
    )


def square(x: Any) -> Any:
    return x * x


def twice(x: Any, f: Any) -> None:
    y = f(x)
    y.backward(ot.ones_like(x))
    y.backward(ot.ones_like(x))


def changed(x: Any, f: Any) -> None:
    y = f(x).sum()
    with ot.no_grad():
        x.add_(1)
    y.backward()


def result_changed(x: Any, f: Any) -> None:
    y = ot.compile(lambda x: (x @ x.t()).exp())(x.reshape(2, 2))
    y.detach().add_(1)
    y.sum().backward()


def second(x: Any, f: Any) -> None:
    f(x).sum().backward(create_graph=True)


REFUSED = {
    "backward twice": (twice, gone("square")),
    "an argument changed": (
        changed,
        r"^backward: a tensor that the compiled function square at .*test_compiled_refusals\.py:"
        r"\d+ saved was changed in place afterwards; change a clone\(\) instead$",
    ),
    "a result changed": (
        result_changed,
        r"^backward: a tensor that the compiled function <lambda> at .*:\d+ saved was changed in "
        r"place afterwards; change a clone\(\) instead$",
    ),
    "a second gradient": (
        second,
        r"^backward: create_graph=True leads through the compiled function square at "
        r".*test_compiled_refusals\.py:\d+, whose gradient cannot be differentiated again; call "
        r"that function uncompiled, or take both gradients inside of it$",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_function_and_the_line_of_its_call(name: str) -> None:
    use, message = REFUSED[name]
    (x,), _ = pairs((4,))
    with pytest.raises(ot.GradientError, match=message) as caught:
        use(x, ot.compile(square))
    line = use.__code__.co_firstlineno + 1
    assert re.search(rf":{line}\b", str(caught.value))


def test_anomaly_detection_names_the_compiled_function() -> None:
    x = ot.tensor([0.0, 1.0], requires_grad=True)
    y = ot.compile(lambda x: x.sqrt() * 0)(x).sum()
    with ot.detect_anomaly(), pytest.raises(ot.GradientError, match="the compiled function <lambd"):
        y.backward()
