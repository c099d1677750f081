"""Parts that one kernel makes, and that only an `ot.cat` reads, are stored where they lie in the
whole: the kernel then makes that, and nothing is copied."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from ...ir.dialects.ot import TableOp
from .groups import Group, Grouping, result_count
from .nodes import Node
from .recompute import Storage
from .types import count, shape_of


def joined_parts(grouping: Grouping, storage: Storage) -> dict[Operation, Group]:
    """The calls of `ot.cat` that become results of a group, where the target has loops."""
    if grouping.target.tiles:
        return {}
    found: dict[Operation, Group] = {}
    for node in grouping.region.nodes:
        if node.is_opaque and node.op.name == "ot.cat" and storage.is_needed(node):
            group = _maker(grouping, storage, node)
            if group is not None:
                found[node.op] = group
    return found


def _maker(grouping: Grouping, storage: Storage, cat: Node) -> Group | None:
    """The group that makes all parts, in loops over any one of them."""
    assert isinstance(cat.op, TableOp)
    parts = cat.op.operands
    makers = [grouping.producer(v) for v in parts]
    if any(m is None or m.is_opaque or m not in storage.stored for m in makers):
        return None
    groups = {grouping.of[m] for m in makers if m is not None}
    group = groups.pop()
    alike = all(v.type == parts[0].type and _stays(grouping, v, group, cat.op) for v in parts)
    if groups or not alike or not group.is_plain:
        return None
    whole = all(m is not None and result_count(m) == group.count for m in makers)
    shape = shape_of(parts[0])
    run = count(shape[cat.op.attribute_values()["dim"] % len(shape) :])
    return group if whole and run % grouping.target.lanes == 0 else None


def _stays(grouping: Grouping, value: SSAValue, group: Group, cat: Operation) -> bool:
    """Whether only `cat`, once, and ops of the group read `value`."""
    others = [use.operation for use in value.uses if use.operation is not cat]
    readers = [grouping.producer(op.results[0]) if op.results else None for op in others]
    within = all(r is not None and grouping.of.get(r) is group for r in readers)
    return within and len(others) + 1 == sum(1 for _ in value.uses)
