"""Edge values of every dtype, and the operand dtypes that each kind of scalar node takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.ir.dtypes import DTYPES, DType, bool_
from ostinato.ir.scalar.expression import KINDS, Scalar, argument, make, uint32, uint64
from ostinato.ir.scalar.numpy import numpy_dtype

Array = NDArray[Any]
EVERY = (*DTYPES, uint32, uint64)
_LETTERS = {"b": "bool", "f": "float32 float64", "h": "float16 bfloat16", "u": "uint32",
            "i": "uint8 int8 int16 int32 int64 uint32 uint64"}  # fmt: skip


def domain(kind: str) -> list[DType]:
    """The dtypes that values of `kind` may have."""
    names = {name for letter in KINDS[kind].domain for name in _LETTERS[letter].split()}
    return [d for d in EVERY if d.name in names]


def edges(dtype: DType) -> Array:
    """Values of `dtype` where arithmetic goes wrong: extremes, zeros, infinities, NaN, halves."""
    if dtype is bool_:
        return np.array([False, True])
    if dtype.is_integer:
        low = -(1 << (dtype.bits - 1)) if dtype.signed else 0
        high = low + (1 << dtype.bits) - 1
        picked = [low, low + 1, high, high - 1, high // 2, 0, 1, 2, 3, 7, 13, dtype.bits]
        picked += [-1, -2, -3, -7, -13] if dtype.signed else [high - 6, high // 2 + 1]
        return np.array(picked, numpy_dtype(dtype))
    return np.array(_float_edges(dtype), numpy_dtype(dtype))


def _float_edges(dtype: DType) -> list[float]:
    fraction = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}[dtype.name]
    bias = {"float16": 15, "float64": 1023}.get(dtype.name, 127)
    largest = (2.0 - 2.0**-fraction) * 2.0**bias
    positive = [0.0, 2.0 ** (1 - bias - fraction), 2.0 ** (1 - bias), 0.5, 1.0, 1.5, 2.5, 3.0,
                7.25, largest, np.inf, 1.0 - 2.0 ** (-fraction - 1)]  # fmt: skip
    return [*positive, *(-x for x in positive), np.nan]


def pairs(dtype: DType) -> tuple[Array, Array]:
    """Every edge value against every edge value."""
    x = edges(dtype)
    a, b = np.meshgrid(x, x)
    return a.ravel(), b.ravel()


def nodes() -> Iterator[tuple[str, DType, Scalar, list[Array]]]:
    """(kind, dtype, node, operand arrays) of each kind and dtype; conversions have their own."""
    for kind, row in KINDS.items():
        if row.result == "given":
            continue
        for dtype in domain(kind):
            a, b = pairs(dtype)
            if row.result == "select":
                which = np.arange(len(a)) % 3 == 0
                node = make(kind, argument(0, bool_), argument(1, dtype), argument(2, dtype))
                yield kind, dtype, node, [which, a, b]
            else:
                operands = [argument(i, dtype) for i in range(row.arity)]
                yield kind, dtype, make(kind, *operands), [a, b][: row.arity]


def same_bits(a: Array, b: Array) -> bool:
    """Equal dtype, shape and bits; all NaNs count as one."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    nan = np.isnan(a)
    equal = (a == b) & (np.signbit(a) == np.signbit(b))
    return bool(np.array_equal(nan, np.isnan(b)) and np.all(equal | nan))
