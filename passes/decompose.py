"""Composites become their bodies, except those that a backend computes or fuses whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, SSAValue

from ..ir.dialects.ot import TableOp
from ..ir.graph import GraphBuilder
from ..ir.op import Op, building, is_list
from ..ir.stages import CLAIMS
from .rewriter import replace, stand_before


def decompose(module: ModuleOp, claims: frozenset[str] = frozenset()) -> None:
    """Replaces each composite whose name is not in `claims`, and notes `claims` on the function."""
    for func in module.ops:
        if isinstance(func, FuncOp):
            func.attributes[CLAIMS] = ArrayAttr([StringAttr(name) for name in sorted(claims)])
            _decompose_block(func.body.block, claims)


def is_composite(op: Op, claims: frozenset[str]) -> bool:
    """True where `op` is to become its body."""
    return op.kind == "composite" and not op.elementwise and op.name not in claims


class BodyBuilder(GraphBuilder):
    """Builds the bodies of composites in place of composites, at any depth."""

    def __init__(self, block: Block, claims: frozenset[str]) -> None:
        super().__init__(block)
        self.claims = claims

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if not is_composite(op, self.claims):
            return super().apply_op(op, operands, attrs)
        named = {p.name: self._lift(o) for p, o in zip(op.operands, operands, strict=True)}
        return op.body(**named, **attrs)


def _decompose_block(block: Block, claims: frozenset[str]) -> None:
    builder = BodyBuilder(block, claims)
    with building(builder):
        for op in list(block.ops):
            if isinstance(op, TableOp) and is_composite(op.SCHEMA, claims):
                stand_before(builder, op)
                replace(op, _body_values(op, builder))


def _body_values(op: TableOp, builder: BodyBuilder) -> list[SSAValue]:
    operands = [_wrapped(o, builder) for o in op.grouped_operands()]
    results = builder.apply_op(op.SCHEMA, operands, op.attribute_values())
    return [r.value for r in (results if is_list(results) else (results,))]


def _wrapped(operand: Any, builder: GraphBuilder) -> Any:
    if operand is None:
        return None
    if is_list(operand):
        return [builder.wrap(v) for v in operand]
    return builder.wrap(operand)
