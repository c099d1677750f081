"""Layouts of what calls give: written in the order in which it is read, where the kernel can.

Attention gives (batch, heads, length, width) and its reader wants heads side by side: with the axes
in memory in that order, the transposition and reshape that follow are a view instead of a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import ArrayAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue

from ...ir.dialects.integers import integers_attribute, integers_of
from ...ir.dialects.ot import TableOp
from ..trail import OFF, Trail
from .index import Linear, axes_of, strides_for, strides_of, weighted
from .types import Shape, shape_of, size_of
from .views import index_of, is_view

LAYOUTS = "layouts"
"""The attribute with the strides in memory of each result of a call; () for row-major ones."""


def choose_layouts(block: Block, strided_results: frozenset[str], trail: Trail = OFF) -> None:
    """Notes layouts on the calls of ops in `strided_results` whose results are read permuted."""
    end = block.last_op
    returned = {_viewed(v) for v in end.operands} if end is not None else set[SSAValue]()
    for op in block.ops:
        if isinstance(op, TableOp) and op.SCHEMA.name in strided_results:
            strides = [None if r in returned else _wanted(r) for r in op.results]
            if any(strides) and not trail.done:
                op.attributes[LAYOUTS] = ArrayAttr([integers_attribute(s or ()) for s in strides])
                trail.note("choose_layouts", op)


def strides_in_memory(op: Operation) -> list[Sequence[int]]:
    """The strides of each result in memory; () for row-major ones."""
    given = op.attributes.get(LAYOUTS)
    if not isinstance(given, ArrayAttr):
        return [()] * len(op.results)
    return [integers_of(s) for s in cast("ArrayAttr[Attribute]", given)]


def layouts_of(block: Block) -> dict[SSAValue, Linear]:
    """The element offset of row-major number n, of each value that is not row-major."""
    return {
        r: weighted(axes_of(shape_of(r)), s)
        for op in block.ops if LAYOUTS in op.attributes
        for r, s in zip(op.results, strides_in_memory(op), strict=True) if s
    }  # fmt: skip


def _viewed(value: SSAValue) -> SSAValue:
    while is_view(value.owner):
        value = value.owner.operands[0]
    return value


def _wanted(value: SSAValue) -> tuple[int, ...] | None:
    """Strides with which the first permuted view that is reshaped lies in memory row by row."""
    for view in (use.operation for use in value.uses if is_view(use.operation)):
        shown = shape_of(view.results[0])
        if size_of(view.results[0]) != size_of(value) or not _is_reshaped(view.results[0]):
            continue
        strides = strides_for(index_of(view), shown)
        if strides is not None and strides != strides_of(shown):
            return _inverse(shape_of(value), shown, strides)
    return None


def _is_reshaped(value: SSAValue) -> bool:
    return any(use.operation.name in ("ot.reshape", "ot.view") for use in value.uses)


def _inverse(shape: Shape, shown: Shape, strides: Sequence[int]) -> tuple[int, ...] | None:
    """The strides of a tensor of `shape` of which the view of shape `shown` is row-major."""
    places = dict(zip(strides, strides_of(shown), strict=True))
    wanted = [
        places.get(s, 0) if n > 1 else 1 for s, n in zip(strides_of(shape), shape, strict=True)
    ]
    return tuple(wanted) if all(wanted) else None
