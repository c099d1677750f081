"""Rules for parts of tensors, and for elements at places that other tensors name."""

from __future__ import annotations

from typing import Any

from .axes import Axes, Axis, RefusedError, Vector, aligned, fixed, is_padded, is_run, merged
from .neutral import zero
from .node import Node, Rule, Tracked, adding_to

PARTS: dict[str, Rule] = {}
_rule = adding_to(PARTS)


def _count(value: Any, what: str) -> int:
    """A place on the padded axis, which must be counted from its start."""
    if value < 0:
        raise RefusedError(f"counts {what} from the end of the padded axis", "count from its start")
    return int(value)


def _expect_run(axis: Axis) -> None:
    if not is_run(axis):
        raise RefusedError("takes places on an axis whose padding lies between its elements")


@_rule("slice")
def _(node: Node) -> Tracked:
    axes, at = list(node.axes(0)), node.axis("dim", len(node.axes(0)))
    old, new = node.shape(0)[at], node.made()[at]
    step = node.fixed("step")
    if old == new and step == 1:
        return node.given(0)
    start = node.fixed("start")
    if is_padded(axes[at]):
        _count(start, "its start")
        _expect_run(axes[at])
        if len(set(new)) > 1:
            raise RefusedError("cuts a part off the padded axis whose size follows from the axis")
        axes[at] = fixed(new[0])
    else:
        axes[at] = node.sizes.run(new) if len(set(new)) > 1 else fixed(new[0])
    return Tracked(tuple(axes))


@_rule("select")
def _(node: Node) -> Tracked:
    axes = list(node.axes(0))
    at, index = node.axis("dim", len(axes)), node.fixed("index")
    if is_padded(axes[at]):
        _count(index, "a place")
        _expect_run(axes[at])
    return Tracked((*axes[:at], *axes[at + 1 :]), node.given(0).is_zero)


@_rule("slice_scatter")
def _(node: Node) -> Tracked:
    x, src = node.axes(0), node.axes(1)
    at = node.axis("dim", len(x))
    full: Axes = (*((1,),) * (len(x) - len(src)), *src)
    start, stop = node.fixed("start"), node.fixed("stop")
    if is_padded(x[at]):
        _count(start, "its start")
        _count(stop, "its end")
        _expect_run(x[at])
    if is_padded(full[at]):
        raise RefusedError("writes a padded axis over a part of another")
    node.fixed("step")
    rest = aligned([_without(x, at), _without(full, at)])
    return Tracked((*rest[:at], x[at], *rest[at:]))


@_rule("select_scatter")
def _(node: Node) -> Tracked:
    x, src = node.axes(0), node.axes(1)
    at, index = node.axis("dim", len(x)), node.fixed("index")
    if is_padded(x[at]):
        _count(index, "a place")
        _expect_run(x[at])
    rest = aligned([_without(x, at), src])
    return Tracked((*rest[:at], x[at], *rest[at:]))


def _without(axes: Axes, at: int) -> Axes:
    return (*axes[:at], *axes[at + 1 :])


@_rule("pad")
def _(node: Node) -> Tracked:
    given, value = node.given(0), node.fixed("value")
    amounts = [attrs["pad"] for attrs in node.attrs]
    axes = list(given.axes)
    cut: dict[int, Axis] = {}
    for i, (old, new) in enumerate(zip(node.shape(0), node.made(), strict=True)):
        place = 2 * (len(axes) - 1 - i)
        before = [a[place] if place < len(a) else 0 for a in amounts]
        if old == new and not any(before):
            continue
        if len(set(before)) > 1:
            raise RefusedError("moves the padded axis by an amount that follows from its size")
        if is_padded(axes[i]):
            cut[i] = node.ordered(0, i)
        axes[i] = _grown(node, axes[i], new, before[0])
    node.mask(0, value if node.dtype(0).is_floating_point else int(value), cut)
    return Tracked(tuple(axes), given.is_zero and value == 0)


def _grown(node: Node, axis: Axis, new: Vector, before: int) -> Axis:
    """A padded axis that becomes a part of a fixed one, or the other way round."""
    if not is_padded(axis):
        return node.sizes.run(new) if len(set(new)) > 1 else fixed(new[0])
    if len(set(new)) > 1 or before < 0:
        raise RefusedError("makes the padded axis longer or shorter")
    _expect_run(axis)
    return fixed(new[0])


@_rule("cat")
def _(node: Node) -> Tracked:
    at = node.axis("dim", len(node.operands[0].axes))
    parts = [t.axes[at] for t in node.operands]
    rest = aligned([_without(t.axes, at) for t in node.operands])
    size = node.made()[at]
    if not any(map(is_padded, parts)):
        along = fixed(size[0])
    elif len(parts) == 1:
        along = parts[0]
    elif parts[0] is None or any(p != parts[0] for p in parts):
        raise RefusedError("joins tensors of other sizes along the padded axis")
    else:
        along = merged((len(parts), *parts[0]))
    is_zero = all(t.is_zero for t in node.operands)
    return Tracked((*rest[:at], along, *rest[at:]), is_zero)


# Places that other tensors name. Those of padding are made 0, so that they lie inside.


def _mask_index(node: Node, place: int) -> None:
    node.mask(place, 0)


@_rule("index_select")
def _(node: Node) -> Tracked:
    x, index = node.axes(0), node.axes(1)
    at = node.axis("dim", len(x))
    _expect_run(x[at])
    _mask_index(node, 1)
    return Tracked((*x[:at], *index, *x[at + 1 :]))


@_rule("index_select_backward", "index_add")
def _(node: Node) -> Tracked:
    adds = node.op.name == "index_add"
    place = 2 if adds else 0
    source, index, made = node.axes(place), node.axes(1), node.made()
    at = node.axis("dim", len(made))
    along = source[at : at + len(index)]
    if aligned([along, index]) != index:
        raise RefusedError("adds elements of equal axes at padded places")
    axes: Axes = (*source[:at], _table(node, made[at]), *source[at + len(index) :])
    held = {at + i: node.ordered(1, i) for i in range(len(index)) if is_padded(index[i])}
    node.mask(place, zero(node.dtype(place)), held)
    _mask_index(node, 1)
    return Tracked(aligned([axes, node.axes(0)]) if adds else axes)


def _table(node: Node, size: Vector) -> Axis:
    """The axis that places are of."""
    return node.sizes.run(size) if len(set(size)) > 1 else fixed(size[0])


@_rule("gather")
def _(node: Node) -> Tracked:
    x, index = node.axes(0), node.axes(1)
    _expect_within(node, x, index, "reads")
    _mask_index(node, 1)
    return Tracked(index)


@_rule("scatter_add")
def _(node: Node) -> Tracked:
    x, index, source = (node.axes(i) for i in range(3))
    _expect_within(node, x, index, "adds to")
    at = node.axis("dim", len(x))
    made = tuple(
        o if a is None and i != at else a for i, (a, o) in enumerate(zip(x, index, strict=True))
    )
    sizes = [node.sizes.product(axis) for axis in made if axis is not None]
    if index != source or None in (*made, *index) or sizes != node.made():
        raise RefusedError("adds a part of a tensor, or equal elements, at padded places")
    node.mask(2, zero(node.dtype(2)))
    _mask_index(node, 1)
    return Tracked(made)


def _expect_within(node: Node, x: Axes, index: Axes, does: str) -> None:
    """Along all axes but one, elements of x and of the index go together by their place."""
    at = node.axis("dim", len(x))
    for i, (one, other) in enumerate(zip(x, index, strict=True)):
        if not (is_run(one) and (i == at or one == other or is_run(other))):
            raise RefusedError(f"{does} places on an axis whose padding lies between its elements")
