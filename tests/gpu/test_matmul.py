"""Matrix products on a CUDA device, whatever the layout of their operands and their precision."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from device_cases import Place, assert_alike, misaligned, on_cpu, on_cuda, transposed, value_of
from ostinato.runtime import _C

SHAPES = [
    ((65, 33), (33, 17)),
    ((5, 64, 32), (32, 48)),
    ((3, 4, 16, 8), (3, 4, 8, 24)),
    ((3, 1, 16, 8), (4, 8, 24)),
    ((16, 8), (3, 4, 8, 24)),
    ((12, 1, 7, 5), (1, 10, 5, 6)),
    ((1, 9), (9, 1)),
]


def made(shapes: Any, place: Place) -> list[Any]:
    numbers = np.random.default_rng(0)
    return [place(numbers.standard_normal(s).astype("float32")) for s in shapes]


@pytest.mark.parametrize("second", [on_cuda, transposed, misaligned])
@pytest.mark.parametrize("first", [on_cuda, transposed, misaligned])
@pytest.mark.parametrize("shapes", SHAPES)
def test_products_of_any_layout(shapes: Any, first: Place, second: Place) -> None:
    (a, _), (_, b) = made(shapes, first), made(shapes, second)
    assert_alike([a @ b], [_C.call("matmul", *made(shapes, on_cpu))])


@pytest.fixture
def high() -> Iterator[None]:
    ot.set_float32_matmul_precision("high")
    yield
    ot.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("high")
def test_high_precision_rounds_the_factors() -> None:
    a, b = made(((32, 64), (64, 16)), on_cuda)
    exact = value_of(a).array.astype("float64") @ value_of(b).array.astype("float64")
    away = np.abs(value_of(a @ b).array - exact).max()
    assert ot.get_float32_matmul_precision() == "high"
    assert 2.0**-18 < away < 2.0**-5


def test_precision_is_one_of_three() -> None:
    with pytest.raises(ValueError) as refusal:
        ot.set_float32_matmul_precision("low")
    text = "set_float32_matmul_precision: 'low' came; give 'highest', 'high' or 'medium'"
    assert str(refusal.value) == text
