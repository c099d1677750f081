"""Random ops as nodes of pointwise kernels: element n computes its own Philox lane."""

from __future__ import annotations

from typing import Any

from xdsl.ir import SSAValue

from ...ir.dialects.ot import TableOp
from ...ir.dtypes import DType, float32, float64, int32, int64
from ...ir.scalar.expression import Scalar, argument, bitcast, cast, constant, mulhi, select, uint32
from ...ir.scalar.random import normal, random_bits, uniform
from .expressions import as_wide
from .extraction import Extraction
from .index import Linear, identity
from .nodes import Arg, Node
from .types import count, dtype_of, shape_of

_SEED, _OFFSET, _INDEX = (argument(i, int64) for i in range(3))
_SIGNIFICAND = {"float16": 11, "bfloat16": 8}


def _state(x: Extraction, rng: SSAValue) -> list[Arg]:
    return [x.arg(rng, Linear(i, ())) for i in (0, 1)]


def _drawn(x: Extraction, op: TableOp, value: Scalar) -> Node:
    """A node whose element is `value`, a function of seed, offset and element number."""
    result = op.results[0]
    whole = as_wide(value, dtype_of(result))
    return x.pointwise(op, whole, _state(x, op.operands[-1]), [identity(count(shape_of(result)))])


def _fraction(bits: Scalar, dtype: DType) -> Scalar:
    """A uniform number of as many bits as the significand of `dtype` holds (32 for float64)."""
    if dtype is float64:
        return cast(bits, float64) * 2.0**-32
    kept = _SIGNIFICAND.get(dtype.name)
    if kept is None:
        return uniform(bits)
    return cast(bitcast(bits >> (32 - kept), int32), float32) * 2.0**-kept


def rand(x: Extraction, op: TableOp) -> Node:
    """Uniform numbers."""
    bits = random_bits(_SEED, _OFFSET, _INDEX)
    return _drawn(x, op, _fraction(bits, dtype_of(op.results[0])))


def randn(x: Extraction, op: TableOp) -> Node:
    """Normal numbers; those of float64 have a native kernel alone."""
    if dtype_of(op.results[0]) is float64:
        return x.opaque(op)
    return _drawn(x, op, normal(_SEED, _OFFSET, _INDEX))


def randint(x: Extraction, op: TableOp) -> Node:
    """Uniform integers."""
    attrs: dict[str, Any] = op.attribute_values()
    span = attrs["high"] - attrs["low"]
    if not 0 < span <= 1 << 32:
        return x.opaque(op)
    bits = random_bits(_SEED, _OFFSET, _INDEX)
    scaled = bits if span == 1 << 32 else mulhi(bits, constant(span, uint32))
    return _drawn(x, op, cast(scaled, int64) + attrs["low"])


def rng_advance(x: Extraction, op: TableOp) -> Node:
    """The state after some elements were drawn."""
    drawn = -(-op.attribute_values()["count"] // 4)
    state, at = argument(0, int64), argument(1, int64)
    value = state + select(at.eq(1), constant(drawn, int64), 0)
    return x.pointwise(op, value, [x.arg(op.operands[0])], [identity(2)])
