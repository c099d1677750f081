"""`ot.gradient` becomes ops, by the gradient rules of the op table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue

from ..ir.dialects.ot import GradientOp, TableOp
from ..ir.graph import GraphBuilder, GraphTensor
from ..ir.op import OPS, Op, building, is_list
from ..ir.vjp import WayBack, summed
from .rewriter import blocks_of, erase_dead, replace, stand_before
from .trail import OFF, Trail


def autodiff(module: ModuleOp, trail: Trail = OFF) -> None:
    """Expands each `ot.gradient`, in order, so that one may differentiate through another.

    Where it has to stop on the way, an `ot.gradient` of what it has come to gives the rest.

    GradientError where the way leads through an op without a gradient.
    """
    for block in blocks_of(module):
        found = [op for op in block.ops if isinstance(op, GradientOp)]
        for op in found:
            if not trail.done:
                _expand(op, block, trail)
        if found:
            erase_dead(block, trail)


@dataclass(frozen=True, eq=False)
class _Node:
    """An op of the graph as `ir.vjp.Node`."""

    source: TableOp
    op: Op
    operands: list[Any]
    attrs: dict[str, Any]
    results: list[GraphTensor]


def _expand(gradient: GradientOp, block: Block, trail: Trail) -> None:
    builder = GraphBuilder(block)
    stand_before(builder, gradient)
    wanted = [builder.wrap(v) for v in gradient.wrt]
    nodes = [_node(op, builder) for op in _path(gradient)]
    with building(builder):
        given = zip(gradient.outputs, gradient.cotangents, strict=True)
        seeds = summed((builder.wrap(v), builder.wrap(g)) for v, g in given)
        way = WayBack(nodes, seeds, wanted)
        passed = _walk(way, builder, gradient, trail)
        stand_before(builder, gradient)
        if trail.done:
            replace(gradient, _rest(way.total, passed, wanted, builder))
            return
        found = way.total
        gradients = [found[w] if w in found else _zeros(w) for w in wanted]
    replace(gradient, [g.value for g in gradients])
    trail.note("gradient", gradient)


def _walk(
    way: WayBack, builder: GraphBuilder, gradient: GradientOp, trail: Trail
) -> set[GraphTensor]:
    """Goes through the rules; the results of the ops that are done with."""
    passed = set[GraphTensor]()
    for node in way.nodes():
        if trail.done:
            break
        stand_before(builder, gradient, (node.source, gradient))
        way.through(node)
        passed.update(node.results)
        trail.note(f"{node.op.name}.vjp", node.source)
    return passed


def _rest(
    total: dict[Any, GraphTensor],
    passed: set[GraphTensor],
    wanted: Sequence[GraphTensor],
    builder: GraphBuilder,
) -> list[SSAValue]:
    """What `ot.gradient` gives for the cotangents that the walk has come to."""
    open_ = [v for v in total if v not in passed]
    ahead = [w for w in wanted if w not in passed]
    found = dict(zip(ahead, builder.gradient(open_, [total[v] for v in open_], ahead), strict=True))
    found |= {w: total[w] if w in total else _zeros(w) for w in wanted if w in passed}
    return [found[w].value for w in wanted]


def _path(gradient: GradientOp) -> Iterator[TableOp]:
    """The ops before `gradient` that compute its outputs, in order."""
    needed: set[Operation] = set()
    stack: list[SSAValue] = [*gradient.outputs]
    while stack:
        owner = stack.pop().owner
        if isinstance(owner, Operation) and owner not in needed:
            needed.add(owner)
            stack.extend(owner.operands)
    assert gradient.parent is not None, "an ot.gradient stands in a block"
    for op in gradient.parent.ops:
        if op in needed and isinstance(op, TableOp):
            yield op


def _node(op: TableOp, builder: GraphBuilder) -> _Node:
    operands = [_wrap(o, builder) for o in op.grouped_operands()]
    results = [builder.wrap(r) for r in op.results]
    return _Node(op, op.SCHEMA, operands, op.attribute_values(), results)


def _wrap(operand: Any, builder: GraphBuilder) -> Any:
    if is_list(operand):
        return [builder.wrap(v) for v in operand]
    return None if operand is None else builder.wrap(operand)


def _zeros(like: GraphTensor) -> GraphTensor:
    return OPS["full"](like.shape, 0, dtype=like.dtype)
