"""The order in which fusions and calls run: what frees memory first, else as captured."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdsl.ir import SSAValue

from ..target import Target
from .types import bytes_of

_SMALL = 4096


@dataclass(eq=False)
class Unit:
    """A fusion or call: what it reads and makes, its place in the captured order, and a body."""

    what: Any
    position: int
    reads: list[SSAValue]
    results: list[SSAValue]
    body: Any = None
    waits: set[Unit] = field(default_factory=set["Unit"])


def order(units: Sequence[Unit], targets: Mapping[SSAValue, SSAValue],
          returned: set[SSAValue], target: Target) -> list[Unit]:  # fmt: skip
    """`units` so that each comes after what it reads.

    A unit that writes a result back to an argument (`targets`: result to argument) comes after the
    other readers of that argument where it can, so that it may write in place. Among units that
    are ready, the first that takes no more memory than it frees runs next, else the first of all.
    """
    maker = {v: u for u in units for v in u.results}
    readers: dict[SSAValue, list[Unit]] = {}
    for u in units:
        for v in dict.fromkeys(u.reads):
            readers.setdefault(v, []).append(u)
            if v in maker and maker[v] is not u:
                u.waits.add(maker[v])
    _after_readers(targets, maker, readers)
    return _Scheduling(units, set(targets), returned, maker, readers, target).run()


def _after_readers(targets: Mapping[SSAValue, SSAValue], maker: Mapping[SSAValue, Unit],
                   readers: Mapping[SSAValue, list[Unit]]) -> None:  # fmt: skip
    for value, argument in targets.items():
        writer = maker.get(value)
        if writer is None:
            continue
        for reader in readers.get(argument, ()):
            if reader is not writer and not _depends(reader, writer):
                writer.waits.add(reader)


def _depends(unit: Unit, on: Unit) -> bool:
    stack, seen = [unit], {unit}
    while stack:
        for u in stack.pop().waits:
            if u is on:
                return True
            if u not in seen:
                seen.add(u)
                stack.append(u)
    return False


class _Scheduling:
    """List scheduling with the sizes of live values in view."""

    def __init__(
        self,
        units: Sequence[Unit],
        kept: set[SSAValue],
        returned: set[SSAValue],
        maker: Mapping[SSAValue, Unit],
        readers: Mapping[SSAValue, list[Unit]],
        target: Target,
    ) -> None:
        def size(value: SSAValue) -> int:
            return target.typical(bytes_of(value))

        self.left = {v: len(r) for v, r in readers.items()}
        self.sizes = {
            u: (
                sum(size(v) for v in u.results if v not in kept),
                [(v, size(v)) for v in dict.fromkeys(u.reads)
                 if v in maker and v not in returned],
            )
            for u in units
        }  # fmt: skip
        self.missing = {u: len(u.waits) for u in units}
        self.followers: dict[Unit, list[Unit]] = {u: [] for u in units}
        for u in units:
            for w in u.waits:
                self.followers[w].append(u)
        self.ready = [(u.position, i, u) for i, u in enumerate(units) if not u.waits]
        self.numbers = {u: i for i, u in enumerate(units)}
        heapq.heapify(self.ready)

    def run(self) -> list[Unit]:
        done: list[Unit] = []
        while self.ready:
            unit = self._next()
            done.append(unit)
            for v in dict.fromkeys(unit.reads):
                self.left[v] -= 1
            for f in self.followers[unit]:
                self.missing[f] -= 1
                if not self.missing[f]:
                    heapq.heappush(self.ready, (f.position, self.numbers[f], f))
        assert len(done) == len(self.missing), "units wait for each other"
        return done

    def _next(self) -> Unit:
        free = [entry for entry in self.ready if self._growth(entry[2]) <= 0]
        if not free:
            return heapq.heappop(self.ready)[2]
        entry = min(free)
        self.ready.remove(entry)
        heapq.heapify(self.ready)
        return entry[2]

    def _growth(self, unit: Unit) -> int:
        """Bytes more in use after `unit`; a few do not count."""
        made, reads = self.sizes[unit]
        freed = sum(size for v, size in reads if self.left[v] == 1)
        return made - freed if made > _SMALL else -freed
