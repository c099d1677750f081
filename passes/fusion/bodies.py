"""Elementwise composites fuse whole: their bodies become expressions, one for each result.

Written out, the optimizer steps of a model of a hundred parameters would be thousands of ops, most
of them on numbers. Kept whole, each is a few expressions over the same elements; what depends on
numbers alone is computed once a row (`lowering/emit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any

from ...ir.dialects.ot import TableOp
from ...ir.dtypes import DType, bool_, float64, int64
from ...ir.op import OPS, Op, Type, Value, is_list
from ...ir.scalar.expression import Scalar, argument, constant, substitute
from .expressions import Literal, constant_of, pointwise_expression, wide
from .extraction import Extraction
from .index import broadcast
from .nodes import Node
from .types import shape_of, type_of

_Operand = tuple[DType, bool, bool, Literal | None]
"""(dtype, has no axes, is a number, the number where it is a literal)."""


class _Element(Value):
    """An element of a value in a body: what computes it from the elements of the operands."""

    def __init__(self, type_: Type, expression: Scalar) -> None:
        self.type, self.expression = type_, expression
        self.shape, self.dtype = type_.shape, type_.dtype

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if op.kind == "composite":
            return op.body(*operands, **attrs)
        assert op.is_pointwise, f"{op.name} in the body of an elementwise composite"
        given = [o if isinstance(o, _Element) else _number(o) for o in operands]
        result = op.infer([g.type for g in given], attrs)[0]
        keys = tuple((g.dtype, not g.shape, g.type.wrapped) for g in given)
        literals = tuple(g.literal for g in given)
        over = pointwise_expression(op.name, keys, literals, tuple(attrs.items()), result.dtype)
        return _Element(result, substitute(over, [g.expression for g in given]))

    @property
    def literal(self) -> Literal | None:
        """The number where the element is one."""
        value = self.expression.payload
        return Literal(repr(value), value) if self.expression.kind == "constant" else None


def _number(value: bool | int | float) -> _Element:
    dtype = bool_ if isinstance(value, bool) else int64 if isinstance(value, int) else float64
    return _Element(Type((), dtype, True), constant(value, dtype))


@lru_cache(1 << 8)
def _expressions(
    name: str, operands: tuple[_Operand, ...], attrs: tuple[tuple[str, Any], ...]
) -> tuple[Scalar, ...]:
    """Each result of composite `name` over `argument(i)`, the element of its operand number i of
    those that are no literals."""
    numbers = count()
    given = [
        _Element(
            Type(() if flat else (2,), dtype, wrapped),
            argument(next(numbers), wide(dtype))
            if literal is None
            else constant(literal.value, wide(dtype)),
        )
        for dtype, flat, wrapped, literal in operands
    ]
    made = OPS[name].body(*given, **dict(attrs))
    return tuple(e.expression for e in (made if is_list(made) else (made,)))


def nodes_of(x: Extraction, op: TableOp) -> list[Node]:
    """A node for each result of `op`, over the same elements."""
    operands: list[_Operand] = []
    for v in op.operands:
        t = type_of(v)
        operands.append((t.dtype, t.ndim == 0, t.wrapped, constant_of(v)))
    attrs = tuple(op.attribute_values().items())
    roots = _expressions(op.SCHEMA.name, tuple(operands), attrs)
    target = shape_of(op.results[0])
    args = [
        x.arg(v, None if shape_of(v) == target else broadcast(shape_of(v), target))
        for v, (_, _, _, literal) in zip(op.operands, operands, strict=True)
        if literal is None
    ]
    return x.family(op, roots, args)
