"""OSTINATO_GRAPH=0: the steps of a compiled region one by one, so that a failure names its step."""

import re
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from fake_driver import Fake

HERE = rf"\({re.escape(__file__)}:\d+\)"


def region() -> tuple[Any, ot.Tensor, Any]:
    """A product, a kernel and a call, compiled, their input, and the right product."""
    w, x = ot.ones(8, 4, device="cuda"), ot.ones(2, 8, device="cuda")

    def fn(x: Any) -> Any:
        y = x @ w
        return y, y.softmax(-1).cumsum(0)

    return ot.compile(fn), x, np.full((2, 4), 8.0)


# Which call of a function of the driver fails, and the step that the error names.
FAILURES = [
    ("LaunchKernel", 1, f"cuLaunchKernel failed with .*, in kernel amax_sum_div_0 {HERE}"),
    ("LaunchKernel", 2, f"the launch of scan_.* failed with .*, in op cumsum {HERE}"),
    ("EventSynchronize", 1, f"cuEventSynchronize failed with .*, in op matmul {HERE}"),
    ("EventSynchronize", 2, f"cuEventSynchronize failed with .*, in kernel amax_sum_div_0 {HERE}"),
    ("EventRecord", 6, f"cuEventRecord failed with .*, in op cumsum {HERE}"),
]


@pytest.mark.parametrize(("function", "nth", "text"), FAILURES)
def test_a_failure_names_the_step(function: str, nth: int, text: str, fake: Fake) -> None:
    run, x, product = region()
    np.testing.assert_array_equal(run(x)[0].cpu().numpy(), product)
    assert not fake.calls("GraphCreate")
    fake.fail(function, nth, result=1)
    with pytest.raises(ot.DeviceError) as caught:
        run(x)
    assert re.fullmatch(f"cuda: {text}", str(caught.value)), str(caught.value)
    np.testing.assert_array_equal(run(x)[0].cpu().numpy(), product)
