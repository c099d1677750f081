"""Fusion: a region becomes few `ot.fusion` ops, each one kernel, and calls, in an order to run in.

Group what shares loops (`fusion/groups`), decide what is stored and what computed again
(`fusion/recompute`), join groups that read the same tensor, order them (`fusion/order`), and move
the ops into `ot.fusion` regions. Attributes of an `ot.fusion` name its loops: `kind`, and for
rows and columns the `length` of a row and the number of `outer` runs of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue

from ..ir.dialects.integers import integer_attribute
from ..ir.dialects.ot import ConstantOp, FusionOp, TableOp, YieldOp
from ..ir.graph import main_of, writes_of
from ..ir.locations import fuse_locations
from ..ir.pins import PIN
from .fusion.extraction import Extraction
from .fusion.groups import FULL, Fit, Group, Grouping
from .fusion.joined import joined_parts
from .fusion.nodes import Node
from .fusion.order import Unit, order
from .fusion.pins import join_pinned, pairs_apart
from .fusion.prepare import prepare
from .fusion.recompute import Storage
from .fusion.types import count, shape_of
from .fusion.views import is_view, keeps_order
from .reasons import ThroughMemory, through_memory
from .rewriter import copied
from .target import Target
from .trail import OFF, Trail

KIND, LENGTH, OUTER = "kind", "length", "outer"
POINTWISE, ROWS, COLUMNS = "pointwise", "rows", "columns"

FORM, KEEP = "form", "keep"
"""Rewrites: ops become a fusion, a call stays one. Which ops go together is chosen before."""

_WORTH_SHARING = 1 << 10


def fuse(module: ModuleOp, target: Target, trail: Trail = OFF) -> list[ThroughMemory]:
    """Fuses `@main` of a module at stage `simplified`; returns the pairs that stay apart."""
    calls = prepare(module, target, trail)
    if not trail.allows(FORM):
        return []
    func = main_of(module)
    block = func.body.block
    end = block.last_op
    assert isinstance(end, ReturnOp)
    region = Extraction(block, target, calls)
    grouping = Grouping(region, target, trail)
    storage = Storage(grouping, end.operands)
    _share_reads(grouping, storage)
    if not trail.done:
        join_pinned(grouping, storage)
    joined = joined_parts(grouping, storage)
    apart = [pair for pair in pairs_apart(grouping, storage) if pair[2].op not in joined]
    pairs = [through_memory(value, node.op, reason) for _, value, node, reason in apart]
    _Rebuilding(block, grouping, storage, joined, trail).run(writes_of(func))
    return pairs


def _share_reads(grouping: Grouping, storage: Storage) -> None:
    """Joins groups that read the same tensor in the same order and do not wait for each other."""
    readers: dict[SSAValue, list[Group]] = {}
    for group in grouping.groups:
        for value in storage.read[group]:
            size = count(shape_of(value))
            if size == group.count and size >= _WORTH_SHARING:
                readers.setdefault(value, []).append(group)
    for groups in readers.values():
        merged = groups[:1]
        for group in groups[1:]:
            group = grouping.of[group.members[0]]
            for i, other in enumerate(merged):
                other = merged[i] = grouping.of[other.members[0]]
                if other is group or _joined(grouping, storage, other, group):
                    break
            else:
                merged.append(group)


def _joined(grouping: Grouping, storage: Storage, a: Group, b: Group) -> bool:
    if a.depth != b.depth or grouping.merge(a, b, Fit(b, FULL)) is not None:
        return False
    storage.join(a, b, grouping.of[a.members[0]])
    return True


class _Rebuilding:
    """Puts fusions and calls, in the order in which they run, in front of the ops of a block that
    they take the place of."""

    def __init__(
        self, block: Block, grouping: Grouping, storage: Storage,
        joined: Mapping[Operation, Group], trail: Trail,
    ) -> None:  # fmt: skip
        self.block, self.grouping, self.storage, self.joined = block, grouping, storage, joined
        self.region, self.trail = grouping.region, trail
        self.values: dict[SSAValue, SSAValue] = {a: a for a in block.args}
        self.old = list(block.ops)

    def run(self, writes: Sequence[tuple[int, int]]) -> None:
        end = self.old[-1]
        assert isinstance(end, ReturnOp)
        units = [u for u in self._units() if u.results]
        targets = {end.operands[r]: self.block.args[a] for r, a in writes}
        sources = self.region.views.source
        targets = {sources(v)[0]: a for v, a in targets.items()}
        returned = {sources(v)[0] for v in end.operands}
        for unit in order(units, targets, returned, self.grouping.target):
            if not self.trail.allows(FORM):
                return self._leave_the_rest()
            if isinstance(unit.what, Node):
                self._call(unit.what.op)
                self.trail.note(KEEP, unit.what.op)
            else:
                self._fusion(unit)
        final = ReturnOp.create(operands=[self._outside(v) for v in end.operands])
        final.location = end.location
        for op in self.old:
            op.detach()
        self.block.add_op(final)
        for op in reversed(self.old):
            op.drop_all_references()

    def _leave_the_rest(self) -> None:
        """Old ops read what has been made."""
        for old, new in self.values.items():
            if old is not new:
                old.replace_all_uses_with(new)

    def _insert(self, op: Operation) -> None:
        self.block.insert_op_before(op, self.old[0])

    def _units(self) -> Iterator[Unit]:
        for node in self.region.nodes:
            if node.is_opaque and self.storage.is_needed(node) and node.op not in self.joined:
                reads = [a.value for a in node.args]
                yield Unit(node, node.position, reads, list(node.op.results))
        outputs: dict[Group, list[SSAValue]] = {}
        parts = {v for op in self.joined for v in op.operands}
        for node in self.region.nodes:
            if node in self.storage.stored and node.result not in parts:
                outputs.setdefault(self.grouping.of[node], []).append(node.result)
        for op, group in self.joined.items():
            outputs.setdefault(group, []).append(op.results[0])
        for group, made in outputs.items():
            body = _Body(self, group, made)
            reads = [self.region.views.source(v)[0] for v in body.inputs]
            yield Unit(group, body.first, reads, made, body)

    def is_leaf(self, value: SSAValue, group: Group) -> bool:
        """True where `group` reads `value` from memory.

        One element of a tensor is read as a tensor of its own, so that which one it is makes no
        other kernel.
        """
        node = self.region.of.get(value)
        if node is not None and node.op in self.joined:
            return self.joined[node.op] is not group
        if node is None:
            if is_view(value.owner) and count(shape_of(value)) == 1:
                base = self.region.views.source(value)[0]
                in_memory = self.region.views.in_memory(value) is not None
                return in_memory and base is not value and self.is_leaf(base, group)
            return isinstance(value, BlockArgument)
        stored = node in self.storage.stored and self.grouping.of[node] is not group
        return node.is_opaque or (stored and node not in self.storage.inlined[group])

    def _outside(self, value: SSAValue) -> SSAValue:
        """`value` in the rebuilt block; views and literals come to be where they are used."""
        known = self.values.get(value)
        if known is None:
            op = value.owner
            assert is_view(op) or isinstance(op, ConstantOp), f"{op} is not computed"
            self._call(op)
            known = self.values[value]
        return known

    def _call(self, op: Operation) -> None:
        copy = copied(op, [self._outside(v) for v in op.operands])
        self._insert(copy)
        self.values.update(zip(op.results, copy.results, strict=True))

    def _fusion(self, unit: Unit) -> None:
        body: _Body = unit.body
        op = body.build([self._outside(v) for v in body.inputs])
        self._insert(op)
        self.values.update(zip(unit.results, op.results, strict=True))
        self.trail.note(FORM, op)


class _Body:
    """The ops of one fusion: those that its outputs need, up to what is read from memory."""

    def __init__(self, around: _Rebuilding, group: Group, outputs: list[SSAValue]) -> None:
        self.group, self.outputs = group, outputs
        self.inputs: dict[SSAValue, None] = {}
        self.ops: dict[Operation, None] = {}
        stack: list[tuple[SSAValue, bool]] = [(v, False) for v in reversed(outputs)]
        while stack:
            value, ready = stack.pop()
            op = value.owner
            if ready:
                assert isinstance(op, Operation)
                self.ops[op] = None
            elif around.is_leaf(value, group):
                self.inputs[value] = None
            elif op not in self.ops:
                assert isinstance(op, Operation)
                stack.append((value, True))
                stack.extend((v, False) for v in reversed(op.operands))
        inside = [n for n in group.members if n.op in self.ops]
        self.first = min(n.position for n in inside)
        classes = {group.classes[n] for n in inside}
        self.by_row = group.has_rows and (
            any(n.is_reduction and n.inner == 1 for n in inside) or len(classes) > 1
        )
        self.has_columns = any(n.is_reduction and n.inner > 1 for n in inside)

    def build(self, inputs: list[SSAValue]) -> FusionOp:
        """The fusion, reading `inputs`."""
        block = Block(arg_types=[v.type for v in inputs])
        values: dict[SSAValue, SSAValue] = {}
        for old, new, argument in zip(self.inputs, inputs, block.args, strict=True):
            values[old] = argument
            source = new if isinstance(new, BlockArgument) else new.owner
            assert not isinstance(source, Block)
            argument.location = source.location
        for op in self.ops:
            copy = copied(op, [values[v] for v in op.operands])
            copy.attributes.pop(PIN, None)  # it is done: equal kernels are one
            block.add_op(copy)
            values.update(zip(op.results, copy.results, strict=True))
        end = YieldOp([values[v] for v in self.outputs])
        location = fuse_locations(op.location for op in self._telling())
        end.location = location
        block.add_op(end)
        fusion = FusionOp(inputs, Region(block))
        fusion.location = location
        self._describe(fusion)
        return fusion

    def _telling(self) -> Iterator[TableOp]:
        """The ops whose lines the kernel names: a new shape costs nothing where anything is
        computed, and an update of a parameter would name what its gradient was flattened for."""
        ops = [op for op in self.ops if isinstance(op, TableOp)]
        only_views = all(map(is_view, ops))
        return (op for op in ops if only_views or not keeps_order(op))

    def _describe(self, fusion: FusionOp) -> None:
        group = self.group
        kind = ROWS if self.by_row else COLUMNS if self.has_columns else POINTWISE
        fusion.attributes[KIND] = StringAttr(kind)
        if group.fence:
            fusion.attributes[PIN] = integer_attribute(group.fence)
        if kind != POINTWISE:
            fusion.attributes[LENGTH] = integer_attribute(group.length)
            if self.has_columns:
                fusion.attributes[OUTER] = integer_attribute(group.outer)
