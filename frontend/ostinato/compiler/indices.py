"""Indices that a replay looks at before it runs: kernels give NaN where eager ops refuse them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..ir.op import OPS

if TYPE_CHECKING:
    from .region import Node

Indices = tuple[Any, str, int, int | None, tuple[int, ...], tuple[int, ...], int]
"""Where a tensor of the CPU is found, the op that takes indices from it, how many there may be, the
one that counts for none, and which of its elements it takes: sizes, strides, offset."""

_INDEXED = {"index_select": 1, "gather": 1, "cross_entropy": 1}
"""The operand of each op that holds indices; operand 0 is what they lead into."""
_SAME = ("to", "clone", "detach", "contiguous")


def indices_of(
    nodes: Sequence[Node], values: Sequence[Any], source_of: Callable[[int], Any]
) -> list[Indices]:
    """Those of a region that are elements of its inputs; `source_of` tells where a value is found,
    None of one that is no input. Indices that are computed are within bounds or give NaN."""
    made = {result: node for node in nodes for result in node.results}
    found: list[Indices] = []
    for node in nodes:
        if node.name not in _INDEXED:
            continue
        shown = _shown(node.operands[_INDEXED[node.name]], made, values, source_of)
        if shown is not None:
            size, ignored = _bounds(node, values[node.operands[0]][2])
            found.append((shown[0], node.name, size, ignored, *shown[1]))
    return found


def _bounds(node: Node, shape: tuple[int, ...]) -> tuple[int, int | None]:
    """How many rows or classes there are, and the class that is ignored."""
    if node.name == "cross_entropy":
        return shape[1 if len(shape) > 1 else 0], node.attrs[0]
    dim: int = node.attrs[0]
    return shape[dim] if shape else 1, None


def _part(of: Any, dim: int, index: int) -> Any:
    """The meaning of `select`, as a view."""
    return of.swapaxes(0, dim)[index : index + 1 or None].swapaxes(0, dim).squeeze(dim)


def _shown(
    value: int, made: dict[int, Node], values: Sequence[Any], source_of: Callable[[int], Any]
) -> Any:
    """The input of which `value` is a view, and sizes, strides and offset of the view."""
    import numpy as np

    way: list[Node] = []
    while value in made:
        node = made[value]
        if node.name is None or not (OPS[node.name].view or node.name in _SAME):
            return None
        way.append(node)
        value = node.operands[0]
    source = source_of(value)
    if source is None:
        return None
    whole = shown = np.empty(values[value][2], np.int8)  # never touched: only its layout counts
    for node in reversed(way):
        op = OPS[node.name or ""]
        if op.view:
            named = {p.name: v for p, v in zip(op.attrs, node.attrs, strict=True)}
            shown = _part(shown, **named) if op.name == "select" else op.body(shown, **named)
    if whole.size and not np.may_share_memory(whole, shown):
        return None  # a copy, of which the layout tells nothing
    offset = shown.ctypes.data - whole.ctypes.data if whole.size else 0
    return source, (tuple(shown.shape), tuple(shown.strides), offset)
