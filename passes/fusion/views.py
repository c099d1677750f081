"""Views as index maps: which element of its source each element of a view is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeGuard
from weakref import WeakKeyDictionary

from xdsl.ir import Block, Operation, SSAValue

from ...ir.dialects.ot import TableOp
from ...ir.shapes import axis_of
from ...ir.shapes_index import slice_bounds
from .index import (
    Linear,
    axes_of,
    broadcast,
    compose,
    identity,
    strides_for,
    strides_of,
    weighted,
)
from .types import Shape, count, shape_of

Rule = Callable[[Shape, Shape, dict[str, Any]], Linear]


def _same(source: Shape, result: Shape, attrs: dict[str, Any]) -> Linear:
    return identity(count(result))


def _expand(source: Shape, result: Shape, attrs: dict[str, Any]) -> Linear:
    return broadcast(source, result)


def _permuted(source: Shape, result: Shape, order: list[int]) -> Linear:
    steps = strides_of(source)
    return weighted(axes_of(result), [steps[axis] for axis in order])


def _permute(source: Shape, result: Shape, attrs: dict[str, Any]) -> Linear:
    return _permuted(source, result, [d % len(source) for d in attrs["dims"]])


def _transpose(source: Shape, result: Shape, attrs: dict[str, Any]) -> Linear:
    order = list(range(len(source)))
    if order:
        a, b = attrs["dim0"] % len(source), attrs["dim1"] % len(source)
        order[a], order[b] = order[b], order[a]
    return _permuted(source, result, order)


def _axis(source: Shape, attrs: dict[str, Any]) -> int:
    return axis_of("view", attrs["dim"], len(source), source)


def _slice(source: Shape, result: Shape, attrs: dict[str, Any]) -> Linear:
    axis, steps = _axis(source, attrs), list(strides_of(source))
    start = slice_bounds(source[axis], attrs["start"], attrs["stop"])[0] * steps[axis]
    steps[axis] *= attrs["step"]
    return weighted(axes_of(result), steps, start)


def _select(source: Shape, result: Shape, attrs: dict[str, Any]) -> Linear:
    axis, steps = _axis(source, attrs), list(strides_of(source))
    start = attrs["index"] % source[axis] * steps.pop(axis)
    return weighted(axes_of(result), steps, start)


def _flip(source: Shape, result: Shape, attrs: dict[str, Any]) -> Linear:
    steps, start = list(strides_of(source)), 0
    for d in attrs["dims"]:
        axis: int = d % max(len(source), 1)
        if source:
            start += steps[axis] * (source[axis] - 1)
            steps[axis] = -steps[axis]
    return weighted(axes_of(result), steps, start)


def _as_strided(source: Shape, result: Shape, attrs: dict[str, Any]) -> Linear:
    return weighted(axes_of(result), attrs["stride"], attrs["storage_offset"])


_RULES: dict[str, Rule] = {
    "reshape": _same, "view": _same, "squeeze": _same, "unsqueeze": _same, "detach": _same,
    "expand": _expand, "as_strided": _as_strided,
    "permute": _permute, "transpose": _transpose, "slice": _slice, "select": _select,
    "flip": _flip,
}  # fmt: skip
"""Ops that only rename elements of their first operand."""


def is_view(op: object) -> TypeGuard[TableOp]:
    """True for ops that only rename elements of their one operand."""
    return isinstance(op, TableOp) and op.SCHEMA.name in _RULES


def keeps_order(op: TableOp) -> bool:
    """True for views that only give their operand another shape."""
    return _RULES.get(op.SCHEMA.name) is _same


@lru_cache(1 << 12)
def _cached(name: str, source: Shape, result: Shape, attrs: tuple[tuple[str, Any], ...]) -> Linear:
    return _RULES[name](source, result, dict(attrs))


_indices: WeakKeyDictionary[Operation, Linear] = WeakKeyDictionary()
"""Of views met before: passes give an op other operands, but of the same type."""


def index_of(op: Operation) -> Linear:
    """The element of the source, by row-major number, that element n of the view is."""
    assert isinstance(op, TableOp)
    index = _indices.get(op)
    if index is None:
        attrs = tuple(op.attribute_values().items())
        source, result = shape_of(op.operands[0]), shape_of(op.results[0])
        index = _indices[op] = _cached(op.SCHEMA.name, source, result, attrs)
    return index


class Views:
    """The views of one block, followed to what they show, no further than to a copy.

    `copies` are views that must be materialised: no index map leads through a later view of them (a
    reshape that cuts unevenly through a permuted axis), or a call reads them and they have no
    strides. `equal` maps views to an earlier copy that shows the same. `layouts` gives the element
    offset of row-major number n of values that are not row-major in memory.
    """

    def __init__(self, block: Block, calls: Iterable[Operation] = (),
                 layouts: Mapping[SSAValue, Linear] | None = None) -> None:  # fmt: skip
        self.layouts = layouts or {}
        self.copies: set[SSAValue] = set()
        self.equal: dict[SSAValue, SSAValue] = {}
        self._sources: dict[SSAValue, tuple[SSAValue, Linear]] = {}
        self._copied: dict[SSAValue, tuple[SSAValue, Linear]] = {}
        views = [op for op in block.ops if is_view(op)]
        for op in views:
            self._sources[op.results[0]] = self._follow(op)
        self._copy_for(calls)
        if self.copies:
            self._cut(views)

    def source(self, value: SSAValue) -> tuple[SSAValue, Linear]:
        """The value that `value` shows, and which of its elements element n is."""
        found = self._sources.get(value)
        return (value, identity(count(shape_of(value)))) if found is None else found

    def shown(self, value: SSAValue) -> tuple[SSAValue, Linear]:
        """What a copy is a copy of."""
        return self._copied.get(value) or self.source(value)

    def _follow(self, op: Operation) -> tuple[SSAValue, Linear]:
        viewed, index = op.operands[0], index_of(op)
        base, inner = self.source(viewed)
        whole = compose(inner, index)
        if whole is None:
            self._copy(viewed)
            return viewed, index
        return base, whole

    def _copy(self, value: SSAValue) -> None:
        self.copies.add(value)
        self._copied[value] = self.source(value)
        self._sources[value] = value, identity(count(shape_of(value)))

    def _copy_for(self, calls: Iterable[Operation]) -> None:
        for op in calls:
            for v in op.operands:
                if not self._has_strides(v):
                    self.copies.add(self._first_without_strides(v))

    def _has_strides(self, value: SSAValue) -> bool:
        return self.in_memory(value) is not None

    def in_memory(self, value: SSAValue) -> tuple[SSAValue, tuple[int, ...], int] | None:
        """What a view shows, its strides in the memory of that and where it starts; None where it
        has no strides."""
        base, link = self.source(value)
        layout = self.layouts.get(base)
        offset = link if layout is None else compose(layout, link)
        strides = None if offset is None else strides_for(offset, shape_of(value))
        return None if strides is None or offset is None else (base, strides, offset.const)

    def _first_without_strides(self, value: SSAValue) -> SSAValue:
        """The first view on the way to `value` that has no strides."""
        first = value
        while is_view(value.owner):
            if not self._has_strides(value):
                first = value
            value = value.owner.operands[0]
        return first

    def _cut(self, views: Sequence[Operation]) -> None:
        """Follows every view again; of copies that show the same only the first stays one."""
        copies, self.copies = self.copies, set()
        self._sources.clear()
        originals: dict[tuple[SSAValue, Linear], SSAValue] = {}
        for op in views:
            value = op.results[0]
            self._sources[value] = key = self._follow(op)
            if key in originals:
                self.equal[value] = originals[key]
            elif value in copies:
                self._copy(value)
                originals[key] = value
