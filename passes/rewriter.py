"""How passes change a graph: what is new has the source lines of what it replaces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue

from ..ir.dialects.ot import ConstantOp, FusionOp, GradientOp, TableOp
from ..ir.graph import GraphBuilder
from ..ir.locations import fuse_locations
from ..ir.pins import PIN
from .trail import OFF, Trail


def blocks_of(module: ModuleOp) -> Iterable[Block]:
    """The body of each function of a module."""
    return [op.body.block for op in module.ops if isinstance(op, FuncOp)]


def stand_before(builder: GraphBuilder, op: Operation, lines_of: Sequence[Operation] = ()) -> None:
    """Moves `builder` in front of `op`; what it makes has the lines of `op`, or of `lines_of`, and
    its pin."""
    builder.before, builder.pin = op, op.attributes.get(PIN)
    builder.location = fuse_locations([o.location for o in lines_of or (op,)])


def replace(op: Operation, values: Sequence[SSAValue]) -> None:
    """Makes the users of `op` use `values`, one of the same type for each result, and erases it."""
    assert len(values) == len(op.results), f"{op.name}: {len(values)} values for its results"
    for old, new in zip(op.results, values, strict=True):
        assert old.type == new.type, f"{op.name}: {new.type} instead of {old.type}"
        old.replace_all_uses_with(new)
    erase(op)


def copied(op: Operation, operands: Sequence[SSAValue]) -> Operation:
    """The same op on other operands, outside of any block."""
    copy = type(op).create(
        operands=operands, result_types=[r.type for r in op.results],
        properties=op.properties, attributes=op.attributes, location=op.location,
    )  # fmt: skip
    for old, new in zip(op.results, copy.results, strict=True):
        new.name_hint = old.name_hint
    return copy


def take_lines(kept: Operation, erased: Operation) -> None:
    """`kept` stands for `erased` from now on, so it names the lines of both."""
    if kept.location != erased.location:
        kept.location = fuse_locations([kept.location, erased.location])


def erase(op: Operation) -> None:
    """Removes an op whose results have no uses."""
    assert op.parent is not None, "an op outside of a block is erased already"
    op.parent.erase_op(op)


def erase_dead(block: Block, trail: Trail = OFF) -> None:
    """Removes ops that only compute and whose results nobody uses, back to front."""
    op = block.last_op
    while op is not None and not trail.done:
        previous = op.prev_op
        pure = isinstance(op, (TableOp, ConstantOp, GradientOp, FusionOp))
        if pure and all(r.first_use is None for r in op.results):
            erase(op)
            trail.note("erase_dead", op)
        op = previous
