"""Products with few rows, which are not left to BLAS, are what they are to rounding."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F

# On both sides of what is taken: 8 and 16 rows, 64 columns, and multiples of 16 of them.
ROWS = (1, 2, 5, 9, 15, 16, 17)
COLUMNS = (63, 64, 67, 80, 200)
INNER = (16, 17, 40, 300)  # the last is more than is held of it at once
LAYOUTS = list(product("CF", repeat=2))


def array(rng: Any, shape: tuple[int, int], dtype: str, order: Any) -> Any:
    return np.asarray(rng.standard_normal(shape), dtype, order=order)


def tolerance(dtype: str) -> float:
    return {"float32": 2.0**-18, "float64": 2.0**-45}[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("orders", LAYOUTS, ids="".join)
def test_products(orders: tuple[str, str], dtype: str) -> None:
    rng = np.random.default_rng(0)
    for m, n, k in product(ROWS, COLUMNS, INNER):
        a, b = array(rng, (m, k), dtype, orders[0]), array(rng, (k, n), dtype, orders[1])
        exact = a.astype("longdouble") @ b.astype("longdouble")
        found = (ot.from_numpy(a) @ ot.from_numpy(b)).numpy()
        np.testing.assert_allclose(found, exact.astype(dtype), rtol=0, atol=tolerance(dtype) * k)


@pytest.mark.parametrize("m", ROWS)
def test_a_bias_is_added(m: int) -> None:
    rng = np.random.default_rng(1)
    for n, k in product(COLUMNS, INNER):
        x, w = (array(rng, s, "float32", "C") for s in ((m, k), (n, k)))
        bias = rng.standard_normal(n).astype("float32")
        found = F.linear(*(ot.from_numpy(v) for v in (x, w, bias))).numpy()
        exact = x.astype("float64") @ w.T.astype("float64") + bias
        np.testing.assert_allclose(found, exact, rtol=0, atol=tolerance("float32") * k)


def test_operands_within_larger_matrices() -> None:
    rng = np.random.default_rng(2)
    left, right = (rng.standard_normal(s).astype("float32") for s in ((20, 300), (50, 120)))
    found = ot.from_numpy(left)[3:11, 7:47] @ ot.from_numpy(right)[5:45, 20:100]
    exact = left[3:11, 7:47].astype("float64") @ right[5:45, 20:100].astype("float64")
    np.testing.assert_allclose(found.numpy(), exact, rtol=0, atol=1e-4)
