"""Batching: small launches that only results wait for become few, where a launch costs time.

The updates of a hundred parameters, and the last sums of their gradients, wait for nothing but
memory. Kernels of equal structure (sizes aside) that do not need each other become one
`kernel.batch`, launched when the last of them can run. Calls and launches that a call waits for
stay where they are, and so do launches with large intermediate operands, which would live longer.
What is pinned apart is batched with its own kind alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from ..ir.dialects.kernel import BatchOp, FuncOp, Member
from ..ir.dialects.program import LaunchOp, ViewOp
from ..ir.graph import main_of
from ..ir.locations import fuse_locations
from ..ir.pins import pin_of
from .fusion.types import bytes_of
from .target import Target
from .trail import OFF, Trail

_LARGE = 1 << 26
"""Bytes of intermediate operands that a launch must not keep alive for longer."""


def batch(module: ModuleOp, target: Target, trail: Trail = OFF) -> None:
    """Batches launches of a module at stage `kernels`, which it stays at."""
    if target.most_batched:
        for launch in _Batching(module, target).run(trail.left):
            trail.note("batch", launch)


@dataclass(eq=False)
class _Unit:
    """What runs as one: an op, or launches that become a batch; `position` is that of the last."""

    ops: list[Operation]
    position: int
    waits: set[_Unit] = field(default_factory=set["_Unit"])


class _Batching:
    def __init__(self, module: ModuleOp, target: Target) -> None:
        self.module, self.target = module, target
        self.main = main_of(module)
        self.ops = list(self.main.body.block.ops)
        self.kernels = {k.sym_name.data: k for k in module.ops if isinstance(k, FuncOp)}
        self.heights: dict[Operation, int] = {}
        self.names: dict[str, int] = {}

    def run(self, most: int) -> list[LaunchOp]:
        """Makes `most` batches, and gives their launches."""
        self._find_late()
        groups: dict[Hashable, list[LaunchOp]] = {}
        for op in self.ops:
            if isinstance(op, LaunchOp) and op in self.heights:
                structure = structure_of(self.kernels[op.kernel_name])
                key = self.heights[op], pin_of(op), structure
                groups.setdefault(key, []).append(op)
        batches = [part for g in groups.values() for part in self._parts(g) if len(part) > 1]
        return self._rebuild(batches[:most]) if batches[:most] else []

    def _find_late(self) -> None:
        """Finds launches that no call waits for, nor any launch that stays where it is, and the
        most launches on a way from each to a result: those of one height do not need each other."""
        for op in reversed(self.ops):
            if isinstance(op, (LaunchOp, ViewOp)):
                users = [use.operation for r in op.results for use in r.uses]
                users = [u for u in users if not isinstance(u, ReturnOp)]
                waited = all(u in self.heights for u in users)
                if waited and not (isinstance(op, LaunchOp) and self._is_large(op)):
                    above = max((self.heights[u] for u in users), default=0)
                    self.heights[op] = above + isinstance(op, LaunchOp)

    def _is_large(self, op: LaunchOp) -> bool:
        made = [v for v in op.arguments if not isinstance(v, BlockArgument)]
        return sum(bytes_of(v) for v in made) > _LARGE

    def _parts(self, launches: list[LaunchOp]) -> Iterator[list[LaunchOp]]:
        """`launches` in runs of no more buffers than fit."""
        part: list[LaunchOp] = []
        count = 0
        for op in launches:
            more = len(op.arguments) + len(op.outputs)
            if part and count + more > self.target.most_batched:
                yield part
                part, count = [], 0
            part.append(op)
            count += more
        yield part

    def _rebuild(self, batches: Sequence[list[LaunchOp]]) -> list[LaunchOp]:
        positions = {op: i for i, op in enumerate(self.ops)}
        units: dict[Operation, _Unit] = {}
        for part in batches:
            unit = _Unit(list(part), max(positions[op] for op in part))
            units |= {op: unit for op in part}
        for op in self.ops:
            units.setdefault(op, _Unit([op], positions[op]))
        for op in self.ops:
            owners = (v.owner for v in op.operands)
            units[op].waits |= {units[o] for o in owners if isinstance(o, Operation)}
        block = self.main.body.block
        for op in self.ops:
            op.detach()
        made: list[LaunchOp] = []
        for unit in _ordered(list(dict.fromkeys(units.values()))):
            if len(unit.ops) > 1:
                made.append(self._batched([op for op in unit.ops if isinstance(op, LaunchOp)]))
            block.add_op(unit.ops[0] if len(unit.ops) == 1 else made[-1])
        return made

    def _batched(self, launches: list[LaunchOp]) -> LaunchOp:
        """One launch in place of several, whose results it takes over."""
        arguments = list(dict.fromkeys(v for op in launches for v in op.arguments))
        numbers = {v: i for i, v in enumerate(arguments)}
        uses = [v for op in launches for v in op.arguments]
        members: list[Member] = []
        reuse: list[tuple[int, int]] = []
        made: list[SSAValue] = []
        for op in launches:
            first = len(arguments) + len(made)
            own = [numbers[v] for v in op.arguments]
            own += range(first, first + len(op.outputs))
            members.append(Member(op.kernel_name, tuple(own)))
            pairs = [(own[a], own[b], op.operands[a]) for a, b in op.reusable]
            reuse += [(a, b) for a, b, v in pairs if uses.count(v) == 1]
            made += op.outputs
        batched = BatchOp(self._fresh(launches), len(arguments) + len(made), members)
        launch = LaunchOp.of(batched.sym_name.data, arguments, [v.type for v in made], reuse)
        batched.location = launch.location = fuse_locations(op.location for op in launches)
        self.module.body.block.insert_op_before(batched, self.main)
        for old, new in zip(made, launch.outputs, strict=True):
            new.name_hint = old.name_hint
            old.replace_all_uses_with(new)
        for op in launches:
            op.drop_all_references()
        return launch

    def _fresh(self, launches: Sequence[LaunchOp]) -> str:
        base = launches[0].kernel_name.rstrip("0123456789").rstrip("_")
        number = self.names[base] = self.names.get(base, -1) + 1
        return f"{base}_batch_{number}"


def _ordered(units: Sequence[_Unit]) -> Iterator[_Unit]:
    """`units`, each after what it waits for, else as before."""
    missing = {u: len(u.waits - {u}) for u in units}
    followers: dict[_Unit, list[_Unit]] = {u: [] for u in units}
    for u in units:
        for w in u.waits - {u}:
            followers[w].append(u)
    ready = [(u.position, id(u), u) for u in units if not missing[u]]
    heapq.heapify(ready)
    while ready:
        unit = heapq.heappop(ready)[2]
        yield unit
        for f in followers[unit]:
            missing[f] -= 1
            if not missing[f]:
                heapq.heappush(ready, (f.position, id(f), f))


_VECTOR = 16


def structure_of(kernel: FuncOp) -> Hashable:
    """Equal for kernels of the same ops, whatever their sizes. Those whose flat axis is no whole
    number of vectors are kept apart: with one of them no member could use wide accesses."""
    flat = kernel.vector is not None
    whole = flat and kernel.fixed_length % _VECTOR == 0
    return (
        tuple(b.type for b in kernel.buffers), flat, whole,
        tuple((op.name, tuple(r.type for r in op.results)) for op in kernel.walk()),
    )  # fmt: skip
