"""Optimizers change parameters on a CUDA device, many at once, as they do on the CPU."""

from typing import Any

import numpy as np
import pytest

import ostinato as ot
from device_cases import Place, assert_alike, on_cpu, on_cuda
from ostinato import optim

COUNT = 60
"""More parameters than one launch takes."""

OPTIMIZERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "sgd": (optim.SGD, {"weight_decay": 0.1}),
    "momentum": (optim.SGD, {"momentum": 0.9, "dampening": 0.2}),
    "nesterov": (optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (optim.Adam, {"weight_decay": 0.1}),
    "adamw": (optim.AdamW, {}),
}


def trained(make: Any, options: dict[str, Any], place: Place) -> list[Any]:
    """The parameters after three steps along fixed gradients, and their states."""
    numbers = np.random.default_rng(0)
    shapes = [(1 + i % 7, 1 + i * 13 % 400) for i in range(COUNT)]
    params = [place(numbers.standard_normal(s).astype("float32")) for s in shapes]
    params[3] = params[3].t()  # of other strides
    optimizer = make(params, lr=0.1, **options)
    for _ in range(3):
        for p in params:
            p.grad = place(numbers.standard_normal(p.shape).astype("float32"))
        optimizer.step()
    return [*params, *(t for p in params for t in optimizer.state[p].values())]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_many_parameters_step_as_on_the_cpu(name: str) -> None:
    make, options = OPTIMIZERS[name]
    assert_alike(trained(make, options, on_cuda), trained(make, options, on_cpu), 2.0**-20)


def test_parameters_of_two_devices_step() -> None:
    here, there = on_cpu(np.ones(3, "float32")), on_cuda(np.ones(3, "float32"))
    optimizer = optim.AdamW([here, there], lr=0.1)
    here.grad, there.grad = ot.ones(3), ot.ones(3).to("cuda")
    optimizer.step()
    assert_alike([there], [here], 2.0**-22)
