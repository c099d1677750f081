"""Offsets for blocks of memory, of which those that live at the same time lie apart."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from xdsl.ir import SSAValue

ALIGNMENT = 64
"""Bytes of which each place is a multiple."""


@dataclass(eq=False)
class Block:
    """Memory of one or more values, one after the other. `kind` and `number` say where: (`arena`,
    offset), (`host`, offset), (`output`, index) or (`input`, index); it is used from op number
    `start` to `end`."""

    size: int
    start: int
    end: int
    kind: str = "arena"
    number: int = -1
    values: list[SSAValue] = field(default_factory=list[SSAValue])


def _any(block: Block) -> bool:
    return True


def place(blocks: Iterable[Block], shares: Callable[[Block], bool] = _any) -> int:
    """Sets the offset of each block; returns the bytes that all take. One that not `shares` has
    memory of its own, and so have those after it.

    Greedy by size (Pisarchyk and Lee 2020): the largest first, each into the smallest gap that
    holds it among those placed that live at the same time.
    """
    done: list[tuple[int, int, int, int]] = []
    top = 0
    for block in sorted(blocks, key=lambda b: (-b.size, b.start)):
        start, end, size = block.start, block.end, _aligned(block.size)
        taken = [(first, last) for first, last, s, e in done if s <= end and start <= e]
        block.number = _best_gap(taken, size) if shares(block) else top
        top = max(top, block.number + size)
        insort(done, (block.number, block.number + size, start, end))
    return top


def _aligned(size: int) -> int:
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT


def _best_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    """The start of the smallest gap of at least `size` between intervals, else their end."""
    best: tuple[int, int] | None = None
    reached = 0
    for first, last in taken:
        gap = first - reached
        if gap >= size and (best is None or gap < best[0]):
            best = gap, reached
        reached = max(reached, last)
    return reached if best is None else best[1]
