"""Writes a maximum and sums of exponentials relative to it as one loop over a long row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xdsl.ir import SSAValue

from .access import LANES
from .nodes import PRODUCT, SUM, Node, Writer, literal
from .online import Online
from .reduce import across, combined
from .scalar import compare, select, signless

if TYPE_CHECKING:
    from .nest import Given, Nest


def write_online(nest: Nest, pair: Online) -> None:
    """A maximum and sums relative to it, in one loop over blocks."""
    w, op = nest.w, pair.sums
    yielded: list[SSAValue] = []

    def step(first: Node, arange: Node) -> Given:
        index = signless(w, "+", first, arange, "int64")
        index.hint, index.named = "j", True
        nest.values[op.index] = nest.values[pair.maximum.index] = index
        nest.bound(LANES, index, op.length, nest.tile.blocks[op.length])
        return _relative(nest, pair, yielded)

    name, count = nest.lane_size(op.length), op.length
    with nest.lanes(count) as arange:
        blocks = nest.lengths.range(count, name, nest.tile.blocks[count])
        highest, *sums = nest.loop(op, blocks, lambda k: step(k, arange), "")
    top = across(w, nest.shape, "max", "float32", highest, LANES)
    weight = w.function("exp", [_minus(w, highest, top)], "float32")
    totals = dict(zip(yielded, sums[: len(yielded)], strict=True))
    counts = dict(zip(pair.picked, sums[len(yielded) :], strict=False))
    end = op.body.block.last_op
    assert end is not None
    nest.values[pair.maximum.res[0]] = top
    for result, v in zip(op.results, end.operands, strict=True):
        tile = totals[v]
        if v in pair.exponentials:
            tile = w.infix("*", tile, weight, "float32", PRODUCT, hint="weighted")
        total = across(w, nest.shape, "sum", tile.held, tile, LANES)
        if v in pair.picked:
            total = _less(nest, total, counts[v], top)
        nest.values[result] = total


def _relative(nest: Nest, pair: Online, yielded: list[SSAValue]) -> Given:
    """One block of `_both`: the maximum so far, then what is added to each of `yielded`, then
    how many elements are picked."""
    w, end = nest.w, pair.sums.body.block.last_op
    nest.ops(pair.maximum.body.block)
    first = pair.maximum.body.block.last_op
    assert end is not None and first is not None
    element = nest.element("max", first.operands[0], LANES)
    before = Node("", (), "float32", element.value.axes, hint="max", depth=w.depth)
    after = combined(w, "max", before, element.value)
    none = compare(w, "==", after, literal(float("-inf"), "float32"))
    # A lane that has seen nothing but -inf is relative to 0: -inf less -inf is no number.
    base = select(w, none, literal(0.0, "float32"), after)
    nest.values[pair.maximum.res[0]] = base
    nest.ops(pair.sums.body.block, {v.owner for v in (*pair.picked, *pair.exponentials)})  # pyright: ignore
    plain = nest.values[first.operands[0]]
    if all(nest.values[x] is plain for x in pair.exponentials.values()):
        term, scale = _one_exponential(w, element.value, before)
        nest.values.update(dict.fromkeys(pair.exponentials, term))
    else:
        scale = w.function("exp", [_minus(w, before, base)], "float32")
        for v, x in pair.exponentials.items():
            nest.values[v] = w.function("exp", [_minus(w, nest.values[x], base)], "float32")
    yielded += dict.fromkeys(end.operands)
    given: Given = [replace(element, value=after, inside=before)]
    for v in yielded:
        if v in pair.picked:
            condition, x = (nest.values[n] for n in pair.picked[v])
            nest.values[v] = select(w, condition, x, literal(0.0, "float32"))
        added = nest.element("sum", v, LANES)
        given.append(replace(added, scale=scale) if v in pair.exponentials else added)
    for v in (v for v in pair.picked if v in yielded):
        ones = [literal(n, "float32") for n in (1.0, 0.0)]
        nest.values[v] = select(w, nest.values[pair.picked[v][0]], *ones)
        given.append(nest.element("sum", v, LANES))
    return given


def _one_exponential(w: Writer, x: Node, before: Node) -> tuple[Node, Node]:
    """exp(x - m) and exp(before - m), m the larger of both; 0 and 1 of an `x` of -inf."""
    one, zero = literal(1.0, "float32"), literal(0.0, "float32")
    grown = compare(w, ">", x, before, hint="grown")
    distance = w.call("tl.abs", [_minus(w, x, before)], "float32", hint="distance")
    away = w.infix("*", distance, literal(-1.0, "float32"), "float32", PRODUCT, hint="away")
    smaller = w.function("exp", [away], "float32")
    none = compare(w, "==", x, literal(float("-inf"), "float32"))
    term = select(w, grown, one, select(w, none, zero, smaller))
    return term, select(w, grown, smaller, one)


def _minus(w: Writer, a: Node, b: Node) -> Node:
    return w.infix("-", a, b, "float32", SUM, hint="less")


def _less(nest: Nest, total: Node, tile: Node, most: Node) -> Node:
    """A sum of picked elements, each of them less the maximum."""
    w = nest.w
    count = across(w, nest.shape, "sum", "float32", tile, LANES)
    product = w.infix("*", count, most, "float32", PRODUCT, hint="of_max")
    none = compare(w, "==", count, literal(0.0, "float32"))
    return select(w, none, total, _minus(w, total, product))
