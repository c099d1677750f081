"""Gradients of attention that end up as slices of one tensor are written into it at once.

Where query, key and value are slices of one tensor along an axis, its gradient is a sum of three
tensors of zeros, each with one gradient scattered into it. One call then gives the sum, as a tensor
of which kernels write the slices in place. A zero in it may come to be -0.0.
"""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from ...ir.dialects.ot import TableOp
from ...ir.graph import GraphBuilder, type_of
from ...ir.op import OPS
from ...ir.stages import CLAIMS
from ..fold import number_of
from ..rewriter import erase_dead, replace, stand_before
from ..trail import OFF, Trail

_STACKED = "attention_backward_stacked"


def stack_gradients(func: FuncOp, trail: Trail = OFF) -> None:
    """Replaces such sums over `ot.attention_backward` by `ot.attention_backward_stacked`, where a
    backend claims that."""
    claims: Any = func.attributes.get(CLAIMS, ())
    if StringAttr(_STACKED) not in claims:
        return
    block = func.body.block
    for op in list(block.ops):
        if isinstance(op, TableOp) and op.SCHEMA.name == "attention_backward":
            total = _total(op)
            if total is not None and not trail.done:
                _replace(op, *total)
                trail.note("stack_gradients", op)
    erase_dead(block, trail)


def _total(op: TableOp) -> tuple[TableOp, int] | None:
    """The sum of the scattered results of `op`, and the axis along which result i is slice i."""
    scattered = [_scattered(r, i) for i, r in enumerate(op.results)]
    found = [s for s in scattered if s is not None]
    axes = {axis for _, axis in found}
    if len(found) != len(op.results) or len(axes) != 1:
        return None
    values = [s.results[0] for s, _ in found]
    for first, second, third in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        inner = _sum(values[first], values[second])
        outer = None if inner is None else _sum(inner.results[0], values[third])
        if outer is not None:
            return outer, axes.pop()
    return None


def _scattered(value: SSAValue, index: int) -> tuple[TableOp, int] | None:
    """What scatters `value`, and nothing else, as slice `index` of three into zeros; the axis."""
    op = _only_user(value, "select_scatter")
    if op is None or op.operands[1] is not value or number_of(op.operands[0]) != 0:
        return None
    attrs, shape = op.attribute_values(), type_of(op.results[0]).shape
    axis = attrs["dim"] % len(shape)
    return (op, axis) if shape[axis] == 3 and attrs["index"] % 3 == index else None


def _sum(a: SSAValue, b: SSAValue) -> TableOp | None:
    """The op that adds `a` and `b`, where nothing else uses them."""
    op = _only_user(a, "add")
    return op if op is not None and op is _only_user(b, "add") and a is not b else None


def _only_user(value: SSAValue, name: str) -> TableOp | None:
    users = [use.operation for use in value.uses]
    user = users[0] if len(users) == 1 else None
    return user if isinstance(user, TableOp) and user.SCHEMA.name == name else None


def _replace(op: TableOp, total: TableOp, axis: int) -> None:
    assert op.parent is not None
    builder = GraphBuilder(op.parent)
    stand_before(builder, total, [op, total])
    operands = [None if v is None else builder.wrap(v) for v in op.grouped_operands()]
    stacked = OPS[_STACKED](*operands, **op.attribute_values())
    order = [*range(1, axis + 1), 0, *range(axis + 1, stacked.ndim)]
    moved = OPS["permute"](stacked, dims=tuple(order)) if axis else stacked
    replace(total, [moved.value])
