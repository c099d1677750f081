"""Composites become their bodies, except those that a backend computes or fuses whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue

from ..ir.dialects.ot import TableOp
from ..ir.graph import GraphBuilder
from ..ir.op import Op, building, is_list
from ..ir.stages import CLAIMS
from .rewriter import replace, stand_before
from .target import Kernels, Shape
from .trail import OFF, Trail


def decompose(
    module: ModuleOp,
    claims: frozenset[str] = frozenset(),
    kernels: Mapping[str, Kernels] = MappingProxyType({}),
    trail: Trail = OFF,
) -> None:
    """Replaces each composite whose name is not in `claims` or whose `kernels` do not take its
    operands, and notes `claims` on the function."""
    whole = _Whole(claims, kernels)
    for func in module.ops:
        if isinstance(func, FuncOp):
            func.attributes[CLAIMS] = ArrayAttr([StringAttr(name) for name in sorted(claims)])
            _decompose_block(func.body.block, whole, trail)


@dataclass(frozen=True)
class _Whole:
    """Tells which composites stay."""

    claims: frozenset[str]
    kernels: Mapping[str, Kernels]

    def keeps(self, op: Op, operands: Sequence[Any]) -> bool:
        """False where `op` is to become its body."""
        if op.kind != "composite" or op.elementwise:
            return True
        known = self.kernels.get(op.name)
        return op.name in self.claims and (known is None or known.take(_shapes(operands)))


def _shapes(operands: Sequence[Any]) -> list[Shape | None]:
    return [None if o is None else (o.dtype.name, tuple(o.shape)) for o in operands]


def _decompose_block(block: Block, whole: _Whole, trail: Trail) -> None:
    builder = GraphBuilder(block)
    with building(builder):
        op = block.first_op
        while op is not None and not trail.done:
            op = _visit(op, builder, whole, trail)


def _visit(op: Operation, builder: GraphBuilder, whole: _Whole, trail: Trail) -> Operation | None:
    """Puts the body of a composite in its place, where that is to be, and gives the op to go on
    with: bodies have composites in them."""
    if not isinstance(op, TableOp) or op.SCHEMA.kind != "composite":
        return op.next_op
    operands = [_wrapped(o, builder) for o in op.grouped_operands()]
    if whole.keeps(op.SCHEMA, operands):
        return op.next_op
    before = op.prev_op
    stand_before(builder, op)
    replace(op, _body_values(op, operands))
    trail.note("body", op)
    return builder.block.first_op if before is None else before.next_op


def _body_values(op: TableOp, operands: list[Any]) -> list[SSAValue]:
    named = {p.name: o for p, o in zip(op.SCHEMA.operands, operands, strict=True)}
    results = op.SCHEMA.body(**named, **op.attribute_values())
    return [r.value for r in (results if is_list(results) else (results,))]


def _wrapped(operand: Any, builder: GraphBuilder) -> Any:
    if operand is None:
        return None
    if is_list(operand):
        return [builder.wrap(v) for v in operand]
    return builder.wrap(operand)
