"""What a pass changed: the lines of two listings side by side, whatever numbers values have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from xdsl.ir import Operation, SSAValue

from ..ir.listing import Listing

_NUMBER = re.compile(r"%(?:\d+|(\w+?)_\d+)\b")

Run = tuple[int, int, int, int]
"""Lines [a, b) before have become lines [c, d); runs that are as they were are left out."""


def changes(before: Listing, after: Listing) -> list[Run]:
    """The runs of lines that differ, in order.

    Lines are the same where they are but for the numbers of values, and where ops on them that
    were matched use what was matched.
    """
    matcher = SequenceMatcher(None, _masked(before), _masked(after), autojunk=False)
    blocks = [(b.a, b.b, b.size) for b in matcher.get_matching_blocks()]
    rewired = _rewired(before, after, blocks)
    same = [(a + i, b + i) for a, b, size in blocks for i in range(size) if a + i not in rewired]
    return list(_gaps(same, len(before.lines), len(after.lines)))


def _masked(listing: Listing) -> list[str]:
    return [_NUMBER.sub(r"%\1", line) for line in listing.lines]


def _gaps(same: list[tuple[int, int]], ends_a: int, ends_b: int) -> Iterator[Run]:
    """What lies between pairs of lines that are the same."""
    a = b = 0
    for next_a, next_b in [*same, (ends_a, ends_b)]:
        if next_a > a or next_b > b:
            yield a, next_a, b, next_b
        a, b = next_a + 1, next_b + 1


def _rewired(before: Listing, after: Listing, blocks: list[tuple[int, int, int]]) -> set[int]:
    """Lines before whose op reads another value than the op of the same text after."""
    line_of = {a + i: b + i for a, b, size in blocks for i in range(size)}
    starts = {place.first: place.op for place in after.places}
    pairs = [
        (place.first, place.op, starts[line_of[place.first]])
        for place in before.places
        if place.first in line_of and line_of[place.first] in starts
    ]
    forth: dict[SSAValue, SSAValue] = {}
    for _, old, new in pairs:
        forth |= zip(_values(old), _values(new), strict=False)
    back = {new: old for old, new in forth.items()}
    return {
        line
        for line, old, new in pairs
        if any(
            forth.get(a, b) is not b or back.get(b, a) is not a
            for a, b in zip(old.operands, new.operands, strict=False)
        )
    }


def _values(op: Operation) -> Iterator[SSAValue]:
    """What an op defines, for itself and for its regions."""
    yield from op.results
    for region in op.regions:
        for block in region.blocks:
            yield from block.args
