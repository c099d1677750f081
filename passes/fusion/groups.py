"""Grouping: which ops run in one loop nest.

A group iterates over `count` elements, seen as rows of `length`. Its members are of three classes:
full (one value an element), row (one value a row: what row reductions give, and ops on that) and
column (what column reductions give, and ops on that). A column reduction sees the rows as `outer`
runs and folds each run to one row.

Members have one depth: the most calls on a way from the region's inputs. So nothing can lie
between two members but groups of the same depth, and the test for cycles is a short search.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from xdsl.ir import SSAValue

from ...ir.pins import pin_of
from ..reasons import Reason
from ..target import Target
from ..trail import OFF, Trail
from .extraction import Extraction
from .index import ZERO, Linear, identity, rows
from .nodes import Arg, Node, guarded

_MANY_READERS = 4
_MOST_MEMBERS = 120
_MOST_RECOMPUTED = 24

FULL, ROW, COLUMN = "full", "row", "column"

MERGE = "merge"
"""The choice that two groups are one, as passes note it."""


@dataclass(eq=False, slots=True)
class Group:
    """Ops of one kernel; `length` and `outer` are 0 until a member decides them. `fence` is the pin
    of members that stay apart from others, else 0."""

    members: list[Node]
    classes: dict[Node, str]
    count: int
    depth: int
    first: int
    last: int
    length: int = 0
    outer: int = 0
    has_rows: bool = False
    has_columns: bool = False
    has_epilogue: bool = False
    fence: int = 0
    reads: set[SSAValue] = field(default_factory=set[SSAValue])

    @property
    def is_plain(self) -> bool:
        """True where all members are pointwise and full."""
        return not (self.has_rows or self.has_columns)

    def result_class(self, node: Node) -> str:
        """The class of what a member computes."""
        if not node.is_reduction:
            return self.classes[node]
        return ROW if node.inner == 1 else COLUMN


def relation_of(link: Linear, count: int, source: int) -> tuple[str, int]:
    """How element n of `count` reads one of `source` elements: (`full`, 0) for its own, (`row`,
    length) for that of its row, (`other`, 0) for anything else."""
    if source == count and link == identity(count):
        return FULL, 0
    if source and count % source == 0 and 1 < source < count:
        length = count // source
        if link == rows(count, length):
            return ROW, length
    return "other", 0


class Grouping:
    """Groups of the nodes of a region, grown one node at a time in program order.

    `moved` holds members that their group also computes at indices other than its own. Nodes that
    are pinned together go together wherever that is right: they may differ in depth.
    """

    def __init__(self, region: Extraction, target: Target, trail: Trail = OFF) -> None:
        self.region, self.target, self.trail = region, target, trail
        self.depths: dict[Node, int] = {}
        self.of: dict[Node, Group] = {}
        self.refusals: dict[tuple[Node, Node], Reason] = {}
        self.moved: set[Node] = set()
        self._mixes_depths = False
        for node in region.nodes:
            self._place(node)

    @property
    def groups(self) -> list[Group]:
        """Every group once, by first member."""
        return sorted(set(self.of.values()), key=lambda g: g.first)

    def producer(self, value: SSAValue) -> Node | None:
        """The node that computes `value`; None for inputs and literals."""
        return self.region.of.get(value)

    def _place(self, node: Node) -> None:
        sources = [a.source for a in node.args if a.source is not None]
        self.depths[node] = max((self.depths[p] + p.is_opaque for p in sources), default=0)
        if node.is_opaque:
            for p in sources:
                self.refusals[p, node] = Reason.CALL
            return
        self.of[node] = _alone(node, self.depths[node])
        if node.family and node is not node.family[0]:
            self._unite(self.of[node.family[0]], self.of[node], Fit(self.of[node], FULL))
            return
        for arg in node.args:
            if arg.source is not None:
                refusal = self._join(arg.source, node, arg)
                if refusal is not None:
                    self.refusals[arg.source, node] = refusal

    def _join(self, source: Node, node: Node, arg: Arg) -> Reason | None:
        """Puts `node` and `source`, which it reads, into one group; else says why not."""
        if source.is_opaque:
            return Reason.CALL
        a, b = self.of[source], self.of[node]
        if a is b:
            return None
        pinned = pinned_together(source, node)
        if self.depths[source] != self.depths[node] and not pinned:
            return Reason.DEPTH
        if not arg.is_plain:
            return Reason.ACCESS
        if node.count == 1 and self._fan_out(source) > _MANY_READERS and not pinned:
            return Reason.LIMIT
        count = result_count(source)
        how, length = relation_of(arg.link, node.count, count)
        late = source.is_reduction and (source.inner > 1 or source.outer == 1)
        if how == "other":
            return Reason.UNFINISHED if late else Reason.ACCESS
        fit = _fit(a, b, a.result_class(source), b.classes[node], how, length)
        refusal = Reason.DOMAIN if fit is None else self.merge(a, b, fit, pinned)
        return Reason.UNFINISHED if refusal is Reason.DOMAIN and late else refusal

    def _fan_out(self, node: Node) -> int:
        return sum(1 for _ in node.result.uses)

    def merge(self, a: Group, b: Group, fit: Fit, pinned: bool = False) -> Reason | None:
        """Makes `a` and `b` one group, as `fit` says they go together; else says why not. Where it
        is `pinned`, what is right is done, be it slower."""
        if self.trail.done:
            return Reason.STOPPED
        if a.fence != b.fence:
            return Reason.PINNED
        if not self._spaces_agree(a, b, fit):
            return Reason.DOMAIN
        if not pinned and (costs := self._costs(a, b, fit)):
            return costs
        if self._misread(a, b, fit) or self._misread(b, a, fit):
            return Reason.ACCESS
        if self.is_between(a, b) or self.is_between(b, a):
            return Reason.CYCLE
        joining = b.members[0].op
        self._unite(a, b, fit)
        self.trail.note(MERGE, joining)
        return None

    def _costs(self, a: Group, b: Group, fit: Fit) -> Reason | None:
        """Why one kernel would be slower than two."""
        if self._starves(a, b, fit):
            return Reason.FEW
        if self.target.most_batched and not (a.is_plain and b.is_plain):
            if any(n.family for g in (a, b) for n in g.members):
                return Reason.BATCH
        members = len(a.members) + len(b.members)
        crowded = members > 12 and self._buffers(a, b) > self.target.most_buffers
        return Reason.LIMIT if members > _MOST_MEMBERS or crowded else None

    def _spaces_agree(self, a: Group, b: Group, fit: Fit) -> bool:
        big, small = (b, a) if fit.small is a else (a, b)
        if fit.as_class == FULL:
            same = big.count == small.count
            lengths = {g.length for g in (a, b) if g.length}
            outers = {g.outer for g in (a, b) if g.outer}
            epilogue, by_row = a.has_epilogue or b.has_epilogue, a.has_rows or b.has_rows
            return same and len(lengths) < 2 and len(outers) < 2 and not (epilogue and by_row)
        if not small.is_plain:
            return False
        if fit.as_class == COLUMN:
            return big.has_columns and not big.has_rows and small.count * _folded(big) == big.count
        length = big.length or fit.length
        if big.has_epilogue or length != (fit.length or length):
            return False
        return small.count * length == big.count and (big.has_rows or self._is_long(length))

    def _starves(self, a: Group, b: Group, fit: Fit) -> bool:
        """Whether rows, which run side by side, would follow each other for the sake of sums of
        columns, in runs that are long and few."""
        summing = [g for g in (a, b) if g.has_columns]
        by_row = a.has_rows or b.has_rows or fit.as_class == ROW
        if not (self.target.tiles and summing and by_row):
            return False
        runs, rows = map(self.target.typical, (summing[0].outer, _folded(summing[0])))
        return 8 * runs < self.target.programs and rows >= 4 * self.target.chunk_rows

    def _is_long(self, length: int) -> bool:
        return self.target.typical(length) >= self.target.lanes

    def _buffers(self, a: Group, b: Group) -> int:
        inside = {n.result for g in (a, b) for n in g.members}
        read = {x.value for g in (a, b) for n in g.members for x in n.args} - inside
        return len(read) + sum(n.is_reduction for g in (a, b) for n in g.members)

    def _misread(self, a: Group, b: Group, fit: Fit) -> bool:
        """True where a member of `b` reads a value of `a` that it cannot compute for itself."""
        for n in b.members:
            for x in n.args:
                p = x.source
                if p is None or self.of.get(p) is not a:
                    continue
                classes = fit.class_in(a, a.result_class(p)), fit.class_in(b, b.classes[n])
                if not self._is_readable(p, n, x, classes):
                    return True
        return False

    def _is_readable(self, source: Node, node: Node, arg: Arg, classes: tuple[str, str]) -> bool:
        how = relation_of(arg.link, node.count, result_count(source))[0] if arg.is_plain else ""
        if (how == FULL and classes[0] == classes[1]) or (how == ROW and classes == (ROW, FULL)):
            return True
        found = None if arg.gathered else self._recomputed(source, arg)
        self.moved.update(found or ())
        return found is not None

    def _recomputed(self, source: Node, arg: Arg) -> set[Node] | None:
        """The members that `arg` is computed from once more, at the index that it reads; None if
        they are too many, or none can be: reductions, and what no index map leads to."""
        group = self.of[source]
        stack = [(source, arg.link, arg.guard)]
        seen = {source}
        while stack:
            n, link, guard = stack.pop()
            if n.is_reduction or len(seen) > _MOST_RECOMPUTED:
                return None
            for x in n.args:
                found = guarded(x, link, guard)
                p = x.source
                inside = p is not None and self.of.get(p) is group
                if found is None or (inside and x.gathered):
                    return None
                if p is not None and inside and p not in seen:
                    seen.add(p)
                    stack.append((p, *found))
        return seen

    def is_between(self, a: Group, b: Group) -> bool:
        """True where a third group needs `a` and is needed by `b`."""
        if self._mixes_depths or a.depth != b.depth:
            return self._is_anything_between(a, b)
        seen: set[Group] = {a, b}
        stack = [g for g in self._sources(b) if g is not a]
        while stack:
            g = stack.pop()
            if g in seen or g.depth < a.depth or g.last < a.first:
                continue
            seen.add(g)
            for s in self._sources(g):
                if s is a:
                    return True
                stack.append(s)
        return False

    def _is_anything_between(self, a: Group, b: Group) -> bool:
        """The same for groups of any depths, with calls between them."""
        seen: set[Group | Node] = {a, b}
        stack = [u for u in self._needs(b) if u is not a]
        while stack:
            unit = stack.pop()
            if unit in seen:
                continue
            seen.add(unit)
            needs = list(self._needs(unit))
            if a in needs:
                return True
            stack += needs
        return False

    def _needs(self, unit: Group | Node) -> Iterable[Group | Node]:
        """The groups and calls that a group or a call reads a value of."""
        for n in unit.members if isinstance(unit, Group) else [unit]:
            for x in n.args:
                if x.source is not None and (found := self.of.get(x.source, x.source)) is not unit:
                    yield found

    def _sources(self, group: Group) -> Iterable[Group]:
        for n in group.members:
            for x in n.args:
                g = self.of.get(x.source) if x.source is not None else None
                if g is not None and g is not group:
                    yield g

    def _unite(self, a: Group, b: Group, fit: Fit) -> None:
        big, small = (b, a) if fit.small is a else (a, b)
        self._mixes_depths |= a.depth != b.depth
        if fit.as_class != FULL:
            for n in small.members:
                small.classes[n] = fit.as_class
            big.has_rows |= fit.as_class == ROW
            big.has_epilogue |= fit.as_class == COLUMN
            big.length = big.length or fit.length or big.count // small.count
        big.members += small.members
        big.classes |= small.classes
        big.first, big.last = min(a.first, b.first), max(a.last, b.last)
        big.length, big.outer = big.length or small.length, big.outer or small.outer
        if fit.as_class == FULL:
            big.has_rows |= small.has_rows
            big.has_columns |= small.has_columns
            big.has_epilogue |= small.has_epilogue
        for n in small.members:
            self.of[n] = big


@dataclass(frozen=True)
class Fit:
    """How two groups go together: `small` becomes of class `as_class` in the other."""

    small: Group
    as_class: str
    length: int = 0

    def class_in(self, group: Group, before: str) -> str:
        """The class in the joined group of what is of class `before` in `group`."""
        return self.as_class if group is self.small and self.as_class != FULL else before


def pinned_together(a: Node, b: Node) -> bool:
    """Whether the user wants both in one kernel."""
    pin = pin_of(a.op)
    return pin > 0 and pin == pin_of(b.op)


def _alone(node: Node, depth: int) -> Group:
    group = Group([node], {node: FULL}, node.count, depth, node.position, node.position)
    group.fence = min(pin_of(node.op), 0)
    if node.is_reduction:
        group.has_rows, group.has_columns = node.inner == 1, node.inner > 1
        group.length = node.reduced if node.inner == 1 else node.inner
        group.outer = 0 if node.inner == 1 else node.outer
    return group


def _fit(a: Group, b: Group, source: str, reader: str, how: str, length: int) -> Fit | None:
    """How `a` goes with `b`, a reader of one of its values: of which classes the two are, and
    whether the same element is read or that of the row."""
    if how == ROW:
        if source == ROW and reader == FULL:
            return Fit(a, FULL) if length == a.length else None
        return Fit(a, ROW, length) if source == FULL and reader == FULL else None
    if source == reader:
        return Fit(a, FULL) if len(a.members) < len(b.members) else Fit(b, FULL)
    if reader == FULL:
        return Fit(b, source, a.length if source == ROW else 0)
    if source == FULL:
        return Fit(a, reader, b.length if reader == ROW else 0)
    return None


def _folded(group: Group) -> int:
    """How many elements a column reduction of the group folds to one."""
    return group.count // (group.outer * group.length)


def result_count(node: Node) -> int:
    """The number of elements of a node's result."""
    return node.count // node.reduced if node.is_reduction else node.count


def scalar_link(link: Linear) -> bool:
    """True where every element reads the same one."""
    return link == ZERO or not link.terms
