"""The meaning of `arith` and `math` ops on NumPy arrays, through the scalar language's kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.arith import CMPF_COMPARISON_OPERATIONS, CMPI_COMPARISON_OPERATIONS
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Attribute, Operation

from ..dtypes import BY_IR
from ..scalar.arith import PRIMITIVE_KINDS, UNSIGNED, function_of, predicate_of
from ..scalar.expression import Scalar, argument, cast
from ..scalar.functions import expand
from ..scalar.numpy import MEANINGS, evaluate

Array = NDArray[Any]

_NUMPY = {
    "i1": "bool",
    "index": "int64",
    "f16": "float16",
    "bf16": "float32",
    "f32": "float32",
    "f64": "float64",
}
_COMPARISONS: dict[str, Callable[..., Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def numpy_type(type_: Attribute) -> np.dtype[Any]:
    """The dtype of arrays that hold values of a scalar type; float32 for bf16."""
    name = str(type_)
    return np.dtype(_NUMPY[name] if name in _NUMPY else name.replace("i", "int"))


def evaluate_op(op: Operation, operands: Sequence[Array]) -> Array:
    """The value of an `arith` or `math` op; arrays broadcast. Raises KeyError for any other op."""
    with np.errstate(all="ignore"):
        result = _evaluate(op, operands)
    return np.asarray(result, numpy_type(op.results[0].type))


def _evaluate(op: Operation, operands: Sequence[Array]) -> Array:
    row = _ROWS.get(op.name)
    if row is not None:
        return row(op, operands)
    kind = PRIMITIVE_KINDS.get(op.name)
    if kind is None:
        return evaluate([_expanded(op)], operands)[0]
    if op.name in UNSIGNED:
        operands = [_unsigned(x) for x in operands]
        return MEANINGS[kind](*operands).view(numpy_type(op.results[0].type))
    return MEANINGS[kind](*operands)


def _expanded(op: Operation) -> Scalar:
    function = function_of(op)
    if function is None:
        raise KeyError(f"{op.name}: no meaning as a scalar op")
    return _written_out(function)


@cache
def _written_out(function: Scalar) -> Scalar:
    return expand(function)


def _unsigned(x: Array) -> Array:
    return x if x.dtype.kind == "b" else np.ascontiguousarray(x).view(f"u{x.dtype.itemsize}")


def _constant(op: Operation, operands: Sequence[Array]) -> Array:
    value = op.properties["value"]
    assert isinstance(value, (IntegerAttr, FloatAttr))
    return np.asarray(value.value.data).astype(numpy_type(op.results[0].type))


def _compare_integers(op: Operation, operands: Sequence[Array]) -> Array:
    predicate = CMPI_COMPARISON_OPERATIONS[predicate_of(op)]
    if predicate[0] == "u":
        operands = [_unsigned(x) for x in operands]
    result: Array = _COMPARISONS[predicate[-2:]](*operands)
    return result


def _compare_floats(op: Operation, operands: Sequence[Array]) -> Array:
    predicate = CMPF_COMPARISON_OPERATIONS[predicate_of(op)]
    a, b = operands
    unordered = (a != a) | (b != b)
    if predicate in ("uno", "ord"):
        return unordered if predicate == "uno" else ~unordered
    if predicate in ("true", "false"):
        return unordered | True if predicate == "true" else unordered & False
    holds = _COMPARISONS[predicate[1:]](a, b)
    return holds | unordered if predicate[0] == "u" else holds & ~unordered


def _divide(op: Operation, operands: Sequence[Array]) -> Array:
    """C's division, rounding toward zero."""
    a, b = operands
    down = np.floor_divide(a, b)
    return down + ((down * b != a) & ((a < 0) != (b < 0)) & (b != 0)).astype(down.dtype)


def _convert(op: Operation, operands: Sequence[Array]) -> Array:
    """Casts between floats and signed integers by value, as the scalar language does."""
    source, target = op.operands[0].type, op.results[0].type
    x = cast(argument(0, BY_IR[str(source)]), BY_IR[str(target)])
    return evaluate([x], operands)[0]


def _from_unsigned(op: Operation, operands: Sequence[Array]) -> Array:
    wide = _unsigned(operands[0]).astype(np.float64)
    if str(op.results[0].type) == "f64":
        return wide
    # A float32 of the exact integer: one rounding.
    single = _unsigned(operands[0]).astype(np.float32)
    x = cast(argument(0, BY_IR["f32"]), BY_IR[str(op.results[0].type)])
    return evaluate([x], [single])[0]


def _to_unsigned(op: Operation, operands: Sequence[Array]) -> Array:
    dtype = numpy_type(op.results[0].type)
    wide = np.int64 if dtype.itemsize < 8 else np.uint64
    return operands[0].astype(wide).astype(f"u{dtype.itemsize}").view(dtype)


def _resize(op: Operation, operands: Sequence[Array]) -> Array:
    target = numpy_type(op.results[0].type)
    if target.kind == "b":
        return (operands[0] & 1) != 0
    return operands[0].astype(target)


def _extend_unsigned(op: Operation, operands: Sequence[Array]) -> Array:
    return _unsigned(operands[0]).astype(numpy_type(op.results[0].type))


def _extend_signed(op: Operation, operands: Sequence[Array]) -> Array:
    extended = _resize(op, operands)
    return -extended if operands[0].dtype.kind == "b" else extended


def _bitcast(op: Operation, operands: Sequence[Array]) -> Array:
    x = np.ascontiguousarray(operands[0]).reshape(operands[0].shape)
    if str(op.operands[0].type) == "bf16":
        x = (x.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    if str(op.results[0].type) == "bf16":
        return (x.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    return x.view(numpy_type(op.results[0].type))


_ROWS: dict[str, Callable[[Operation, Sequence[Array]], Array]] = {
    "arith.constant": _constant,
    "arith.cmpi": _compare_integers,
    "arith.cmpf": _compare_floats,
    "arith.select": lambda op, x: np.where(x[0], x[1], x[2]),
    "arith.divsi": _divide,
    "arith.extf": _convert,
    "arith.truncf": _convert,
    "arith.sitofp": _convert,
    "arith.fptosi": _convert,
    "arith.uitofp": _from_unsigned,
    "arith.fptoui": _to_unsigned,
    "arith.trunci": _resize,
    "arith.extsi": _extend_signed,
    "arith.extui": _extend_unsigned,
    "arith.index_cast": _resize,
    "arith.bitcast": _bitcast,
}
