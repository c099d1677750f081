"""Whether a function still does what it did when it was captured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..runtime import _C
from .follow import Break, Followed, Run, first_difference, is_same_op
from .region import Node

_SEEN_BY_OTHERS = "capture: memory that other code sees is changed"
"""Why a region ends where a replay goes on: what other code may read is changed at once."""


class Verification(Run):
    """A run of a function whose ops are kept, to be compared with those of a capture of it for
    arguments of these `leaves`."""

    def __init__(self, followed: Followed, leaves: Sequence[Any]) -> None:
        super().__init__(followed, self._keep)
        self._leaves = leaves
        self._nodes: list[Node | None] = []  # None for an op that no region has
        self._counts = {key: b.count for key, b in followed.breaks.items()}

    def __enter__(self) -> Verification:
        super().__enter__()
        for leaf in self._leaves:  # in the order in which a capture meets them
            if isinstance(leaf, _C.Tensor):
                self.tracer.add_input(leaf)
        return self

    def difference(self, wanted: Sequence[Node]) -> str | None:
        """Where it did something else than what recorded `wanted`; None where it did not."""
        line = first_difference(self._completed(wanted), _of_user(wanted))
        asked = [b for b in self._new_breaks() if b.why != _SEEN_BY_OTHERS]
        return line or (f"{asked[0].line} ({asked[0].why})" if asked else None)

    def _completed(self, wanted: Sequence[Node]) -> list[Node]:
        """What was recorded, with what is `wanted` in place of ops that no region has."""
        found: list[Node] = []
        left = _of_user(wanted)
        for i, node in enumerate(self._nodes):
            if node is not None:
                found += _of_user([node])
                left = left[len(_of_user([node])) :]
                continue
            after = next(iter(_of_user([n for n in self._nodes[i:] if n is not None])), None)
            while left and not (after and is_same_op(left[0], after)):
                found.append(left.pop(0))
        return found

    def _keep(self) -> None:
        self._nodes += [Node(*n) for n in self.tracer.nodes()]
        ended = [b for b in self._new_breaks() if b.why == _SEEN_BY_OTHERS]
        for b in ended:
            self._counts[b.line, b.why] = b.count
        self._nodes += [None] * len(ended)

    def _new_breaks(self) -> list[Break]:
        """Those that this run came to."""
        every = self.followed.breaks.items()
        return [b for key, b in every if b.count > self._counts.get(key, 0)]


def _of_user(nodes: Sequence[Node]) -> list[Node]:
    """Those that user code asked for; what a changed memory costs besides is another each time."""
    return [n for n in nodes if n.line is not None]
