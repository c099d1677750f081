"""Composites become their bodies, except those that a backend computes or fuses whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, SSAValue

from ..ir.dialects.ot import TableOp
from ..ir.graph import GraphBuilder
from ..ir.op import Op, building, is_list
from ..ir.stages import CLAIMS
from .rewriter import replace, stand_before
from .target import Kernels, Shape


def decompose(
    module: ModuleOp,
    claims: frozenset[str] = frozenset(),
    kernels: Mapping[str, Kernels] = MappingProxyType({}),
) -> None:
    """Replaces each composite whose name is not in `claims` or whose `kernels` do not take its
    operands, and notes `claims` on the function."""
    whole = _Whole(claims, kernels)
    for func in module.ops:
        if isinstance(func, FuncOp):
            func.attributes[CLAIMS] = ArrayAttr([StringAttr(name) for name in sorted(claims)])
            _decompose_block(func.body.block, whole)


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


class BodyBuilder(GraphBuilder):
    """Builds the bodies of composites in place of composites, at any depth."""

    def __init__(self, block: Block, whole: _Whole) -> None:
        super().__init__(block)
        self.whole = whole

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if self.whole.keeps(op, operands):
            return super().apply_op(op, operands, attrs)
        named = {p.name: self._lift(o) for p, o in zip(op.operands, operands, strict=True)}
        return op.body(**named, **attrs)


def _decompose_block(block: Block, whole: _Whole) -> None:
    builder = BodyBuilder(block, whole)
    with building(builder):
        for op in list(block.ops):
            if not isinstance(op, TableOp) or op.SCHEMA.kind != "composite":
                continue
            operands = [_wrapped(o, builder) for o in op.grouped_operands()]
            if not whole.keeps(op.SCHEMA, operands):
                stand_before(builder, op)
                replace(op, _body_values(op, operands, builder))


def _body_values(op: TableOp, operands: list[Any], builder: BodyBuilder) -> list[SSAValue]:
    results = builder.apply_op(op.SCHEMA, operands, op.attribute_values())
    return [r.value for r in (results if is_list(results) else (results,))]


def _wrapped(operand: Any, builder: GraphBuilder) -> Any:
    if operand is None:
        return None
    if is_list(operand):
        return [builder.wrap(v) for v in operand]
    return builder.wrap(operand)
