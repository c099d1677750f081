"""Rules for attention: queries are rows of their own, and padded keys must not be looked at."""

from __future__ import annotations

from .axes import Axes, Axis, PaddedKeysError, RefusedError, aligned, is_padded, joined
from .node import Node, Rule, Tracked, adding_to

ATTENTION: dict[str, Rule] = {}
_rule = adding_to(ATTENTION)


def _attended(node: Node, first: int) -> tuple[Axes, Axes, Axes]:
    """The axes of query, key and value, those of one order along rows and along keys."""
    query, key, value = (node.axes(first + i) for i in range(3))
    if is_padded(joined(query[-1], key[-1])):
        raise RefusedError("multiplies along the padded axis", "pad no width of heads")
    rows = node.ordered(first, len(query) - 2)
    keys = joined(node.ordered(first + 1, len(key) - 2), value[-2])
    mask = node.at(first + (3 if first == 0 else 5))
    if is_padded(keys) and not (mask is None and node.fixed("is_causal") and rows == keys):
        raise PaddedKeysError
    batch = aligned([a[:-2] for a in (query, key, value)])
    return (*batch, rows, query[-1]), (*batch, keys, key[-1]), (*batch, keys, value[-1])


def _all_zero(node: Node, places: dict[int, Axis], behind: int) -> None:
    """Masks the axes of operands that have `behind` more after them."""
    for place, axis in places.items():
        node.mask(place, 0.0, {len(node.axes(place)) - 1 - behind: axis})


@_rule("attention")
def _(node: Node) -> list[Tracked]:
    query, key, value = _attended(node, 0)
    _all_zero(node, {1: key[-2], 2: key[-2]}, 1)
    return [Tracked((*query[:-1], value[-1])), Tracked(query[:-1])]


@_rule("attention_backward")
def _(node: Node) -> list[Tracked]:
    query, key, value = _attended(node, 1)
    rows, keys = query[-2], key[-2]
    # Rows of padding then add zeros, and nothing in them is infinite.
    _all_zero(node, {0: rows, 1: rows, 2: keys, 3: keys, 4: rows}, 1)
    _all_zero(node, {5: rows}, 0)
    return [Tracked(query), Tracked(key), Tracked(value)]
