"""Which values that leave their group are stored, and which each reader computes again.

Storing costs writing once and reading in every group that reads; computing again costs the ops
and whatever else a reader has to read for them. Values are decided in program order, so what a
value is computed from is already known to be in memory or not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from xdsl.ir import SSAValue

from .groups import Group, Grouping, pinned_together, result_count, scalar_link
from .index import Linear, identity
from .nodes import Arg, Guard, Node, guarded
from .types import count, dtype_of, shape_of

_MOST_OPS = 40

_Read = tuple[Node, Arg]
"""A node that reads a value, with what it reads."""
_Again = tuple[Group, set[Node], set[SSAValue]]
"""A group that computes a value again: the nodes for that, and what it reads for them."""


class Storage:
    """`stored`: nodes whose result goes to memory. `inlined[group]`: nodes of other groups that
    `group` computes for itself. `read[group]`: values that it reads from memory."""

    def __init__(self, grouping: Grouping, wanted: Iterable[SSAValue]) -> None:
        self.grouping, self.target = grouping, grouping.target
        self.stored: set[Node] = set()
        self.inlined: dict[Group, set[Node]] = {g: set() for g in grouping.groups}
        self.read: dict[Group, set[SSAValue]] = {g: set() for g in self.inlined}
        self._readers: dict[Node, list[tuple[Node, Arg]]] = {}
        self._needed: set[Node] = set()
        self._running: set[Group] = set()
        outside = {p for v in wanted if (p := self._producer(v))}
        self._scan(outside)
        self._running.update(self.grouping.of[n] for n in outside if not n.is_opaque)
        for node in grouping.region.nodes:
            if not node.is_opaque and node in self._needed:
                self._decide(node, node in outside)

    def _producer(self, value: SSAValue) -> Node | None:
        base = self.grouping.region.views.source(value)[0]
        return self.grouping.region.of.get(value) or self.grouping.region.of.get(base)

    def _scan(self, outside: set[Node]) -> None:
        """Collects readers; what no one needs is left out."""
        stack = [n for n in self.grouping.region.nodes if n.is_opaque or n in outside]
        self._needed = set(stack)
        while stack:
            node = stack.pop()
            for arg in node.args:
                source = arg.source
                if source is None:
                    continue
                self._readers.setdefault(source, []).append((node, arg))
                if node.is_opaque and not source.is_opaque:
                    outside.add(source)
                if source not in self._needed:
                    self._needed.add(source)
                    stack.append(source)
        for node in self._needed:
            group = self.grouping.of.get(node)
            if group is not None:
                self.read[group].update(
                    a.value for a in node.args if a.source is None or a.source.is_opaque
                )

    def join(self, a: Group, b: Group, whole: Group) -> None:
        """`whole` stands for `a` and `b` from now on."""
        inlined, read = self.inlined[a] | self.inlined[b], self.read[a] | self.read[b]
        self.inlined[whole], self.read[whole] = inlined, read

    def is_needed(self, node: Node) -> bool:
        """True for nodes that a result of the region depends on."""
        return node in self._needed

    def _crossing(self, node: Node) -> dict[Group, list[_Read]]:
        """The reads of `node` in other groups; its own computes it wherever it needs it."""
        own = self.grouping.of[node]
        found: dict[Group, list[_Read]] = {}
        for reader, arg in self._readers.get(node, ()):
            group = self.grouping.of.get(reader)
            if group is not None and group is not own:
                found.setdefault(group, []).append((reader, arg))
        return found

    def _decide(self, node: Node, must: bool) -> None:
        crossing = self._crossing(node)
        if not must and not crossing:
            return
        plan = None if must or node.is_reduction else self._plan(node, crossing)
        if plan is None:
            plan = self._pinned_plan(node, crossing)
            again = {group for group, _, _ in plan}
            self._store(node, [group for group in crossing if group not in again])
        for group, nodes, leaves in plan:
            self.inlined[group] |= nodes
            self.read[group] |= leaves
            for value in leaves:
                source = self.grouping.producer(value)
                if source is not None and not source.is_opaque:
                    self.stored.add(source)

    def _store(self, node: Node, readers: Iterable[Group]) -> None:
        self.stored.add(node)
        self._running.add(self.grouping.of[node])
        for group in readers:
            self.read[group].add(node.result)

    def _pinned_plan(self, node: Node, crossing: dict[Group, list[_Read]]) -> list[_Again]:
        """What the groups compute that are to have `node` in their kernel, though it is stored."""
        wanted = {g: reads for g, reads in crossing.items() if _is_pinned(node, reads)}
        if not wanted or node.is_reduction:
            return []
        return self._plan(node, wanted) or []

    def _plan(self, node: Node, crossing: dict[Group, list[_Read]]) -> list[_Again] | None:
        """What each reading group would compute and read instead; None where storing is better, or
        a reader is to stay apart."""
        fence = self.grouping.of[node].fence
        if any(group.fence != fence for group in crossing):
            return None
        memory = self.target.byte_cost
        size = self.target.typical(result_count(node)) * dtype_of(node.result).itemsize
        keeping = size * memory
        if self.grouping.of[node] not in self._running:
            keeping += self.target.launch_cost
        computing = 0.0
        plan: list[_Again] = []
        for group, reads in crossing.items():
            found = self._computed_again(node, group, reads)
            if found is None:
                return None
            nodes, leaves, cost = found
            times = max(self._evaluations(a.link, r.count) for r, a in reads)
            keeping += max(size * memory, times * self.target.load_cost)
            computing += cost
            plan.append((group, nodes, leaves))
        if computing <= keeping or all(_is_pinned(node, reads) for reads in crossing.values()):
            return plan
        return None

    def able(self, node: Node) -> set[Group]:
        """The groups whose kernel could compute `node` again and not read it."""
        if node.is_reduction:
            return set()
        crossing = self._crossing(node)
        return {g for g, reads in crossing.items() if self._computed_again(node, g, reads)}

    def _computed_again(
        self, node: Node, group: Group, reads: list[_Read]
    ) -> tuple[set[Node], set[SSAValue], float] | None:
        if any(a.gathered or r in self.grouping.moved for r, a in reads):
            return None
        return self._closure(node, group, [a for _, a in reads], reads[0][0].count)

    def _closure(self, node: Node, group: Group, reads: list[Arg], reading: int
                 ) -> tuple[set[Node], set[SSAValue], float] | None:  # fmt: skip
        """What `group` computes and reads to have `node`, and the cost; None where it cannot."""
        nodes: set[Node] = {node}
        leaves: dict[SSAValue, dict[Linear, float]] = {}
        cost = 0.0
        stack: list[tuple[Node, Linear, Guard]] = [(node, a.link, a.guard) for a in reads]
        while stack:
            n, link, guard = stack.pop()
            times = self._evaluations(link, reading)
            cost += 0.0 if n in self.inlined[group] else n.cost * times
            for arg in n.args:
                inner = guarded(arg, link, guard)
                if inner is None or len(nodes) > _MOST_OPS:
                    return None
                source = self._recomputed(arg)
                if source is None:
                    times = math.inf if arg.gathered else self._evaluations(inner[0], reading)
                    leaves.setdefault(arg.value, {})[inner[0]] = times
                elif source not in nodes:
                    nodes.add(source)
                    stack.append((source, *inner))
        for value, links in leaves.items():
            if value not in self.read[group]:
                cost += self._leaf_cost(value, sum(links.values()))
        return nodes, set(leaves), cost

    def _recomputed(self, arg: Arg) -> Node | None:
        """The node whose result is computed again where `arg` is; None if it lies in memory."""
        source = arg.source
        lies = source is None or source.is_opaque or source.is_reduction or source in self.stored
        return None if lies or arg.gathered else source

    def _leaf_cost(self, value: SSAValue, times: float) -> float:
        """What reading `times` elements costs (infinity: any), and writing what no one else needs
        in memory."""
        source = self.grouping.producer(value)
        whole = self.target.typical(count(shape_of(value)))
        fresh = source is not None and not source.is_opaque and source not in self.stored
        moved = min(whole, times) + (whole if fresh else 0)
        byte_cost = dtype_of(value).itemsize * self.target.byte_cost
        return moved * byte_cost + self.target.operand_cost

    def _evaluations(self, link: Linear, reading: int) -> float:
        """How often a group of `reading` elements computes what it reads by `link`."""
        typical = self.target.typical(reading)
        if scalar_link(link):
            return max(1.0, typical / 16384)
        if link == identity(reading):
            return typical
        return typical / min(self.target.typical(weight) for weight, _, _ in link.terms)


def _is_pinned(node: Node, reads: Iterable[_Read]) -> bool:
    """Whether the user wants `node` in one kernel with one of those that read it."""
    return any(pinned_together(node, reader) for reader, _ in reads)
