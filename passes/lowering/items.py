"""What a kernel computes, element by element: which values, at which index, in which pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from xdsl.ir import SSAValue

from ..fusion.extraction import Extraction
from ..fusion.index import Linear, compose
from ..fusion.nodes import Guard, Node, bounds_of, guarded

_LOAD = 0.05


@dataclass(eq=False, slots=True)
class Item:
    """Element `e` of a value. `node` is None for what is loaded.

    `level` counts the row reductions on the longest way to it; `cost` is that of computing it with
    all that it needs, in nanoseconds; `phases` are the passes over the row in which it is needed.
    """

    value: SSAValue
    e: Linear
    node: Node | None
    parts: list[Item] = field(default_factory=list["Item"])
    level: int = 0
    cost: float = _LOAD
    deep: bool = False
    phases: set[int] = field(default_factory=set[int])


class Items:
    """Every element that the given ones are computed from; `length` is that of a row."""

    def __init__(self, region: Extraction, layouts: dict[SSAValue, Linear], length: int) -> None:
        self.region, self.layouts, self.length = region, layouts, length
        self.of: dict[tuple[SSAValue, Linear], Item] = {}
        self.folds: dict[Node, Item] = {}
        self.offsets: dict[Linear, None] = {}
        self.inputs: dict[SSAValue, None] = {}

    @property
    def ordered(self) -> Iterable[Item]:
        """Every item, after its parts."""
        return self.of.values()

    def add(self, value: SSAValue, e: Linear, guard: Guard = ()) -> Item:
        """The item for element `e` of `value`, which is read where `guard` holds."""
        known = self.of.get((value, e))
        if known is not None:
            return known
        node = self.region.of.get(value)
        item = Item(value, e, node)
        if node is None:
            self._load(item, guard)
        elif node.is_reduction:
            source = self.fold(node)
            item.level, item.cost = source.level + 1, 0.0
            item.deep = self._is_deep(e)
        else:
            self._compute(item, node, guard)
        self.of[value, e] = item
        return item

    def fold(self, node: Node) -> Item:
        """The item for what a reduction folds."""
        known = self.folds.get(node)
        if known is None:
            arg = node.args[0]
            known = self.add(arg.value, arg.link)
            self.folds[node] = known
        return known

    def _is_deep(self, e: Linear) -> bool:
        return any(weight < self.length for weight, _, _ in e.terms)

    def _load(self, item: Item, guard: Guard) -> None:
        layout = self.layouts.get(item.value)
        offset = item.e if layout is None else compose(layout, item.e, bounds_of(guard))
        assert offset is not None
        self.offsets[offset] = None
        self.inputs[item.value] = None
        item.deep = self._is_deep(offset)

    def _compute(self, item: Item, node: Node, guard: Guard) -> None:
        numbers = [compose(i, item.e, bounds_of(guard)) for i in node.indices]
        numbers += [compose(c.index, item.e, bounds_of(guard)) for c in node.conditions]
        for arg in node.args:
            found = guarded(arg, item.e, guard)
            assert found is not None
            item.parts.append(self.add(arg.value, *found))
            numbers += [c.index for c in found[1]]
        for at in numbers:
            assert at is not None
            self.offsets[at] = None
            item.deep = item.deep or self._is_deep(at)
        item.deep = item.deep or any(p.deep for p in item.parts)
        item.level = max((p.level for p in item.parts), default=0)
        item.cost = node.cost + sum(p.cost for p in item.parts if p.deep)
