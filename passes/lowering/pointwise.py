"""Pointwise fusions: one flat vector loop, or rows of vectors where what is read changes by row."""

from __future__ import annotations

from ...ir.scalar.expression import Scalar, postorder
from ..fusion.expressions import cost_of
from ..fusion.index import identity
from ..target import Target
from .emit import outermost
from .fused import Fused, Kernel, row_near, store_all, through, unroll_for
from .items import Items
from .space import Axis, breaks

_LEAST_ROW = 16
_LONG_ROW = 8192
_WORTH_ROWS = 4.0


def lower_pointwise(fused: Fused, name: str) -> Kernel:
    """The kernel of a fusion without reductions."""
    size = fused.size
    items = fused.items(size)
    whole = identity(size)
    for o in fused.outputs:
        items.add(o.value, through(o.link, whole))
        if o.place is not None:
            items.offsets[o.place] = None
    tiles = fused.target.tiles
    length = size if tiles else _row_length(fused.target, items, size)
    in_order = all(o.place is None for o in fused.outputs)
    if length == size and in_order and not tiles and _uniform_cost(fused, items) > _WORTH_ROWS:
        length = row_near(fused.target, size, _LONG_ROW // 2)
    cost = max((items.add(o.value, o.link).cost for o in fused.outputs), default=0.0)
    unroll = unroll_for(cost, list(items.inputs))
    if length == size:
        grain = fused.grain(items, 1)
        b, emission = fused.open(name, items, size, vector=True, unroll=unroll, grain=grain)
        emission.space.axes.append(Axis(b.index, 1, size, 0))
        store_all(emission, fused.outputs, whole)
        return fused.close(b, emission)
    grain = fused.grain(items, length)
    b, emission = fused.open(name, items, size // length, grain=grain)
    emission.space.axes.append(Axis(b.index, length, size // length, 0))
    with emission.loop(length, 1, vector=True, unroll=unroll):
        store_all(emission, fused.outputs, whole)
    return fused.close(b, emission)


def _uniform_cost(fused: Fused, items: Items) -> float:
    """Nanoseconds of what is the same for every element: rows compute it once, a flat loop every
    time."""
    found: set[Scalar] = set()
    for item in items.ordered:
        if item.node is None or item.node.expression is None:
            continue
        depths = [1 if part.deep else 0 for part in item.parts]
        depths += [1] * (len(item.node.indices) + len(item.node.conditions))
        outer = outermost([item.node.expression], depths, 1)
        found.update(postorder(outer[1] if outer else ()))
    return cost_of(found, fused.target.op_costs, fused.target.default_op_cost)


def _row_length(target: Target, items: Items, size: int) -> int:
    """The longest run of elements along which everything is read at one stride; the whole domain
    where no run is long enough to be worth a loop of its own."""
    typical = target.typical
    found = sorted(breaks(list(items.offsets), size), key=typical)
    length = next((w for w in found if typical(w) >= _LEAST_ROW), size)
    shorter = found[: found.index(length)] if length in found else found
    fits = all(length % w == 0 for w in shorter) and size % length == 0
    if not fits or (found and typical(found[0]) < _LEAST_ROW):
        return size
    if typical(length) > _LONG_ROW and length < size:
        return row_near(target, length, _LONG_ROW // 2)
    return length
