"""What kernels find wrong is raised when the host waits for the device, in the words of the CPU."""

from typing import Any

import numpy as np
import pytest

from device_cases import Place, on_cpu, on_cuda
from op_cases import native_operand
from ostinato.ir.op import OPS
from ostinato.runtime import _C

X = np.ones(4, "float32")
FAILURES: dict[str, dict[str, Any]] = {
    "index_select": {"x": X, "index": np.array([0, 4, 1]), "dim": 0},
    "gather": {"x": X, "index": np.array([0, -1, 1]), "dim": 0},
    "index_add": {"x": X, "index": np.array([3, 2, 9]), "source": np.ones(3, "float32"), "dim": 0},
    "scatter_add": {"x": X, "index": np.array([0, 7]), "src": np.ones(2, "float32"), "dim": 0},
    "cross_entropy": {"input": np.ones((2, 3), "float32"), "target": np.array([1, 3])},
    "multinomial": {"input": np.array([0.5, -1.0]), "num_samples": 1, "rng": (1, 0)},
}


def fetched(name: str, place: Place) -> Any:
    """The op's result on the host."""
    kinds = {p.name: p.kind for p in OPS[name].params}
    given = {k: native_operand(kinds[k], v, place) for k, v in FAILURES[name].items()}
    positional = [given[p.name] for p in OPS[name].params if p.name in given and p.kind != "rng"]
    keyed = {k: v for k, v in given.items() if kinds[k] == "rng"}
    return _C.call(name, *positional, **keyed).to("cpu")


@pytest.mark.parametrize("name", FAILURES)
def test_failure_is_raised_once_and_then_forgotten(name: str) -> None:
    with pytest.raises((IndexError, ValueError)) as here:
        fetched(name, on_cpu)
    with pytest.raises(here.type) as there:
        fetched(name, on_cuda)
    assert str(there.value) == str(here.value)
    assert on_cuda(X).to("cpu").tolist() == X.tolist()
