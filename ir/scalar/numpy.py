"""The meaning of scalar expressions on NumPy arrays: what the reference interpreter runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import DType
from .expression import Scalar, postorder

Array = NDArray[Any]


def evaluate(roots: Sequence[Scalar], arguments: Sequence[Array]) -> list[Array]:
    """The values of `roots` where argument i is `arguments[i]`, broadcast against each other.

    Primitives are exact in their dtype; functions of float32 are computed in float64 and
    rounded. A bfloat16 value is a float32 array holding bfloat16 numbers.
    """
    values: dict[Scalar, Array] = {}
    with np.errstate(all="ignore"):
        for node in postorder(roots):
            if node.kind == "argument":
                index: int = node.payload
                values[node] = np.asarray(arguments[index])
            else:
                values[node] = _value(node, [values[x] for x in node.operands])
    return [values[root] for root in roots]


def numpy_dtype(dtype: DType) -> np.dtype[Any]:
    """The NumPy dtype of arrays that hold `dtype` values: float32 for bfloat16."""
    return np.dtype("float32" if dtype.name == "bfloat16" else dtype.numpy)


def _value(node: Scalar, operands: list[Array]) -> Array:
    dtype = numpy_dtype(node.dtype)
    if node.kind == "constant":
        return np.array(node.payload, dtype)
    if node.kind == "cast":
        return _cast(operands[0], node.dtype)
    if node.kind == "bitcast":
        return np.asarray(operands[0]).view(dtype)
    if node.kind in _FUNCTIONS and node.dtype.name == "float32":
        wide = [x.astype(np.float64) for x in operands]
        return np.asarray(_FUNCTIONS[node.kind](*wide), dtype)
    return np.asarray(MEANINGS[node.kind](*operands), dtype)


def _cast(x: Array, dtype: DType) -> Array:
    if not (dtype.is_floating_point and dtype.bits == 16):
        return np.asarray(x.astype(numpy_dtype(dtype)))
    single = x.astype(np.float32)
    return single.astype(np.float16) if dtype.name == "float16" else _to_bfloat16(single)


def _to_bfloat16(x: Array) -> Array:
    bits = x.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    kept = (rounded & np.uint32(0xFFFF0000)).view(np.float32)
    return np.asarray(np.where(np.isnan(x), x, kept), np.float32)


def _masked(shift: Callable[..., Array]) -> Callable[[Array, Array], Array]:
    return lambda a, b: shift(a, b & b.dtype.type(b.dtype.itemsize * 8 - 1))


def _pow(a: Array, b: Array) -> Array:
    if a.dtype.kind != "i":
        return np.power(a, b)
    sign = np.where((b & 1) != 0, a, 1)
    inverse = np.where(a == -1, sign, a == 1)
    return np.where(b < 0, inverse, np.power(a, np.where(b < 0, 0, b)))


def _extreme(wins: Callable[[Array, Array], Any]) -> Callable[[Array, Array], Array]:
    def choose(a: Array, b: Array) -> Array:
        return np.where(wins(a, b) | (a != a), a, b)

    return choose


def _high_product(a: Array, b: Array) -> Array:
    return (a.astype(np.uint64) * b.astype(np.uint64)) >> np.uint64(32)


def _rsqrt(x: Array) -> Array:
    return 1.0 / np.sqrt(x)


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1.0) / (1.0 + small)


_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "rsqrt": _rsqrt,
    "pow": _pow,
}

MEANINGS: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "rem": np.fmod,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "mulhi": _high_product,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "minimum": _extreme(np.less),
    "maximum": _extreme(np.greater),
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "shl": _masked(np.left_shift),
    "shr": _masked(np.right_shift),
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "select": np.where,
    **_FUNCTIONS,
}
