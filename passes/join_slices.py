"""Slices that are added up become the tensor that they are slices of.

What reads a tensor slice by slice, as a loop over the steps of a sequence does, gives it a gradient
that is a sum of tensors of zeros, each with one slice written into it. Slices that leave out none
are joined instead. A -0.0 that a zero was added to stays what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue

from ..ir.dialects.ot import TableOp
from ..ir.graph import GraphBuilder, type_of
from ..ir.op import OPS, building
from .fold import number_of
from .join_products import LEAST, sums_of
from .rewriter import erase_dead, replace, stand_before
from .trail import OFF, Trail


@dataclass(frozen=True)
class _Slice:
    """A term of a sum that is zero but from `start` to `stop` along `axis`, where it is `part`,
    which may lack the axis."""

    term: SSAValue
    part: SSAValue
    axis: int
    start: int
    stop: int


def join_slices(func: FuncOp, trail: Trail = OFF) -> None:
    """Joins the slices of every sum that has all of a tensor, and at least LEAST."""
    block = func.body.block
    for root, terms in sums_of(block):
        if trail.done:
            return
        found = [s for s in map(_slice, terms) if s is not None]
        for axis in dict.fromkeys(s.axis for s in found):
            along = sorted((s for s in found if s.axis == axis), key=lambda s: s.start)
            ends = [0, *(s.stop for s in along)]
            whole = ends[-1] == type_of(root.results[0]).shape[axis]
            if whole and len(along) >= LEAST and [s.start for s in along] == ends[:-1]:
                _join(block, root, terms, along)
                trail.note("join_slices", root)
                break
    erase_dead(block, trail)


def _slice(term: SSAValue) -> _Slice | None:
    op = term.owner
    if not isinstance(op, TableOp) or not term.has_one_use():
        return None
    made = {"select_scatter": _scattered, "pad": _padded}.get(op.SCHEMA.name)
    return None if made is None else made(term, op)


def _scattered(term: SSAValue, op: TableOp) -> _Slice | None:
    whole, part = type_of(term), op.operands[1]
    if number_of(op.operands[0]) != 0 or type_of(part).dtype is not whole.dtype:
        return None
    attrs = op.attribute_values()
    axis: int = attrs["dim"] % whole.ndim
    size = whole.shape[axis]
    if not isinstance(size, int) or type_of(part).ndim != whole.ndim - 1:
        return None
    at = attrs["index"] % size
    return _Slice(term, part, axis, at, at + 1)


def _padded(term: SSAValue, op: TableOp) -> _Slice | None:
    attrs, part = op.attribute_values(), op.operands[0]
    amounts = attrs["pad"]
    grown = [i for i in range(len(amounts) // 2) if any(amounts[2 * i : 2 * i + 2])]
    if attrs["value"] != 0 or len(grown) != 1 or min(amounts) < 0:
        return None
    axis, start = type_of(part).ndim - 1 - grown[0], amounts[2 * grown[0]]
    size = type_of(part).shape[axis]
    return _Slice(term, part, axis, start, start + size) if isinstance(size, int) else None


def _join(
    block: Block, root: Operation, terms: Sequence[SSAValue], slices: Sequence[_Slice]
) -> None:
    builder = GraphBuilder(block)
    owners = [s.term.owner for s in slices]
    stand_before(builder, root, [*(o for o in owners if isinstance(o, Operation)), root])
    axis, joined = slices[0].axis, {s.term for s in slices}
    with building(builder):
        parts = [builder.wrap(s.part) for s in slices]
        ndim = type_of(root.results[0]).ndim
        total = OPS["cat"](
            [p if p.ndim == ndim else OPS["unsqueeze"](p, dim=axis) for p in parts], dim=axis
        )
        for term in terms:
            if term not in joined:
                total = total + builder.wrap(term)
    replace(root, [total.value])
