"""Keeps padding out of results, as a plan says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from ...ir.dialects.ot import ConstantOp
from ...ir.graph import GraphBuilder, GraphTensor, main_of
from ...ir.op import OPS, building
from ..rewriter import stand_before
from .axes import Padded, is_padded
from .node import Mask, Plan


def mask_padding(module: ModuleOp, plan: Plan, first: int) -> None:
    """Does what `plan` says to a module at stage `decomposed`, whose arguments from number `first`
    on are the plan's numbers."""
    func = main_of(module)
    builder = GraphBuilder(func.body.block)
    numbers = [builder.wrap(a) for a in func.args[first : first + len(plan.numbers)]]
    ops = [op for op in func.body.block.ops if not isinstance(op, ConstantOp)]
    with building(builder):
        for edit in plan.edits:
            op = ops[edit.op]
            stand_before(builder, op)
            if isinstance(edit, Mask):
                value = _masked(builder.wrap(op.operands[edit.operand]), edit, plan, numbers)
            else:
                value = numbers[edit.number]
            _set_operand(op, edit.operand, value)


def _set_operand(op: Operation, place: int, value: Any) -> None:
    op.operands = [value.value if i == place else v for i, v in enumerate(op.operands)]


def _masked(given: GraphTensor, mask: Mask, plan: Plan, numbers: Sequence[Any]) -> Any:
    """`given` with `fill` for what is padding."""
    real: Any = None
    for i, axis in enumerate(mask.axes):
        if axis is not None and is_padded(axis):
            sizes = [plan.padded[f.number] if isinstance(f, Padded) else f for f in axis]
            inside = _inside(axis, sizes, numbers)
            shape = (math.prod(sizes), *(1,) * (len(mask.axes) - 1 - i))
            inside = OPS["reshape"](inside, shape=shape) if len(shape) > 1 else inside
            real = inside if real is None else OPS["logical_and"](real, inside)
    return OPS["where"](real, given, mask.fill)


def _inside(axis: Sequence[int | Padded], sizes: Sequence[int], numbers: Sequence[Any]) -> Any:
    """Whether each place along an axis is one without padding."""
    place = OPS["iota"](math.prod(sizes), 0, 1)
    found: Any = None
    for i, (factor, size) in enumerate(zip(axis, sizes, strict=True)):
        if isinstance(factor, Padded):
            behind = math.prod(sizes[i + 1 :])
            at = OPS["floor_divide"](place, behind) if behind > 1 else place
            at = OPS["remainder"](at, size) if math.prod(sizes[:i]) > 1 else at
            each = OPS["lt"](at, numbers[factor.number])
            found = each if found is None else OPS["logical_and"](found, each)
    return found
