"""What an op of the table computes of each element, as a scalar expression over its operands'."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from xdsl.ir import SSAValue

from ...ir.dialects.ot import ConstantOp
from ...ir.dtypes import DType, float32
from ...ir.op import OPS, Type
from ...ir.scalar.expression import Scalar, argument, cast, constant, postorder, substitute


def wide(dtype: DType) -> DType:
    """What a value of `dtype` is computed in: float32 for the half types."""
    return float32 if dtype.is_floating_point and dtype.bits == 16 else dtype


@lru_cache(1 << 12)
def compact(root: Scalar, given: int) -> tuple[Scalar, tuple[int, ...]]:
    """`root` with its arguments among the first `given` renumbered without gaps, and their old
    numbers."""
    used = sorted({n.payload for n in postorder([root]) if n.kind == "argument"})
    kept = tuple(i for i in used if i < given)
    if kept == tuple(range(given)):
        return root, kept
    table = {old: i for i, old in enumerate(used)}
    highest = max(used, default=-1) + 1
    types = {n.payload: n.dtype for n in postorder([root]) if n.kind == "argument"}
    fresh = [argument(table.get(i, 0), types.get(i, float32)) for i in range(highest)]
    return substitute(root, fresh), kept


def cost_of(nodes: Iterable[Scalar], costs: dict[str, float], default: float) -> float:
    """Nanoseconds for one element of `nodes`."""
    return sum(
        costs.get(n.kind, default) for n in nodes
        if n.kind not in ("argument", "constant", "cast", "bitcast")
    )  # fmt: skip


def as_wide(x: Scalar, dtype: DType) -> Scalar:
    """`x` rounded to nothing narrower than float32 on its way to `dtype`."""
    return cast(x, wide(dtype))


class Literal(NamedTuple):
    """A Python number, with the text that tells 0.0 from -0.0, 0 and False."""

    text: str
    value: bool | int | float


OperandKey = tuple[DType, bool, bool]


@lru_cache(1 << 12)
def pointwise_expression(
    name: str, keys: tuple[OperandKey, ...], constants: tuple[Literal | None, ...],
    attrs: tuple[tuple[str, Any], ...], result: DType,
) -> Scalar:  # fmt: skip
    """The body of op `name` over `argument(i)`, operand i as (dtype, has no axes, is a number),
    where `constants[i]` is no literal."""
    schema = OPS[name]
    types = [Type(() if zero_d else (2,), d, wrapped) for d, zero_d, wrapped in keys]
    compute = wide(schema.compute(types, dict(attrs)))
    operands: list[Scalar] = []
    for i, (dtype, _, _) in enumerate(keys):
        target = dtype if i in schema.uncast else compute
        literal = constants[i]
        if literal is not None:
            operands.append(_constant(literal.value, target))
        else:
            operands.append(cast(argument(i, wide(dtype)), target))
    body = schema.scalar_body(*operands, **dict(attrs))
    return as_wide(body, result)


def _constant(value: bool | int | float, dtype: DType) -> Scalar:
    if dtype.name == "bool":
        return constant(bool(value), dtype)
    return constant(float(value) if dtype.is_floating_point else int(value), dtype)


def constant_of(value: SSAValue) -> Literal | None:
    """The number where `value` is a literal."""
    op = value.owner
    return Literal(repr(op.python_value), op.python_value) if isinstance(op, ConstantOp) else None
