"""Which ops are in different kernels and why; what `with ot.fuse()` wants in one is joined, or an
error says why it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations

from xdsl.ir import SSAValue

from ...ir.errors import CompileError
from ...ir.locations import told_lines
from ...ir.pins import pin_of
from ..reasons import Reason, table_name
from .groups import FULL, Fit, Group, Grouping
from .nodes import Node
from .recompute import Storage


def pairs_apart(
    grouping: Grouping, storage: Storage
) -> Iterator[tuple[Node, SSAValue, Node, Reason]]:
    """A node, its value that another one reads from memory, that one, and why, for each."""
    able = cache(storage.able)
    for node in grouping.region.nodes:
        if not storage.is_needed(node) or (node.family and node is not node.family[0]):
            continue
        group = grouping.of.get(node)
        for source, value in {a.source: a.value for a in node.args}.items():
            if source is None or grouping.of.get(source) is (group or node):
                continue
            if group is not None and source in storage.inlined[group]:
                continue
            if source in storage.stored or source.is_opaque:
                yield source, value, node, _why(grouping, able, source, node)


def _why(
    grouping: Grouping, able: Callable[[Node], set[Group]], source: Node, node: Node
) -> Reason:
    if source.is_opaque or node.is_opaque:
        return Reason.CALL
    if grouping.of[source].fence != grouping.of[node].fence:
        return Reason.PINNED
    if grouping.of[node] in able(source):
        return Reason.STORED
    return grouping.refusals.get((source, node), Reason.STORED)


def join_pinned(grouping: Grouping, storage: Storage) -> None:
    """Joins the groups of ops that are pinned together. CompileError where one kernel cannot have
    all of them, with two that stay apart and the reason."""
    pinned: dict[int, list[Node]] = {}
    for node in grouping.region.nodes:
        pin = pin_of(node.op)
        if pin > 0 and storage.is_needed(node):
            pinned.setdefault(pin, []).append(node)
    for nodes in pinned.values():
        calls = [n for n in nodes if n.is_opaque]
        if calls and len(nodes) > 1:
            other = next(n for n in nodes if n is not calls[0])
            raise _refused(calls[0], other, Reason.CALL)
        if not calls:
            _join_all(grouping, storage, nodes)


def _join_all(grouping: Grouping, storage: Storage, nodes: Sequence[Node]) -> None:
    while (missing := _first_apart(grouping, storage, nodes)) is not None:
        a, b = missing
        first, second = grouping.of[a], grouping.of[b]
        refusal = grouping.merge(first, second, Fit(second, FULL), pinned=True)
        if refusal is not None:
            raise _refused(a, b, grouping.refusals.get((a, b), refusal))
        storage.join(first, second, grouping.of[a])


def _first_apart(
    grouping: Grouping, storage: Storage, nodes: Sequence[Node]
) -> tuple[Node, Node] | None:
    """Two of `nodes` that are in different kernels, a producer and its reader if there are such;
    None where one kernel computes all."""
    if any(_computes(grouping, storage, group, nodes) for group in grouping.groups):
        return None
    apart = [(a, b) for a, b in combinations(nodes, 2) if grouping.of[a] is not grouping.of[b]]
    reads = [(a, b) for a, b in apart if any(x.value == a.result for x in b.args)]
    return (*reads, *apart)[0]


def _computes(grouping: Grouping, storage: Storage, group: Group, nodes: Sequence[Node]) -> bool:
    return all(grouping.of[n] is group or n in storage.inlined[group] for n in nodes)


def _refused(a: Node, b: Node, reason: Reason) -> CompileError:
    first, second = (f"{table_name(n.op)} at {told_lines(n.op.location)[0]}" for n in (a, b))
    return CompileError(
        f"fuse: {first} and {second} cannot be in one kernel ({reason}: {reason.text}); take one "
        "of them out of `with ot.fuse()`"
    )
