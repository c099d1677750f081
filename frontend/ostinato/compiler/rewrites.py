"""What each application of a rewrite changed, as lines with those around them."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from io import StringIO
from itertools import islice
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.printer import Printer

from ..passes.trail import Application, Trail

AROUND, MOST, LONGEST = 2, 200, 400
"""Lines kept beside a change, and of one change, since a plan of memory replaces all at once; and
characters of a line."""

END = "end of the pass"
"""In place of a rewrite: what changed after the last application."""


class Recorder(Trail):
    """A trail that keeps the lines which each application changed. A value has one name as long as
    it lives, so lines differ where ops do."""

    def __init__(self) -> None:
        super().__init__(seen=self._compare)
        self._rows: list[dict[str, Any]] = []
        self._printer = _Names(StringIO())
        self._known: dict[Operation, tuple[Any, str]] = {}
        self._lines: list[str] = []
        self._within = False

    def enter(self, pass_name: str, module: ModuleOp) -> None:
        super().enter(pass_name, module)
        self._lines, self._within = self._lines_of(module), True

    def taken(self) -> list[dict[str, Any]]:
        """The applications since this was called last: number, rewrite, op, the user's lines, and
        what changed, as `difflib.unified_diff` writes it."""
        if self._within:
            # What a pass does when all is applied, such as erasing what nothing reads any more.
            self._compare(Application(len(self.applications), "", END, "", ()), self._module)
            if not self._rows[-1]["changed"]:
                del self._rows[-1]
        rows, self._rows, self._within = self._rows, [], False
        return rows

    def _compare(self, made: Application, module: ModuleOp) -> None:
        lines = self._lines_of(module)
        changed = unified_diff(self._lines, lines, n=AROUND, lineterm="")
        # The first two lines are for names of files.
        kept = [_cut(line) for line in islice(changed, 2, 2 + MOST + 1)]
        if len(kept) > MOST:
            kept[MOST:] = ["@@ and more"]
        self._lines = lines
        self._rows.append({
            "number": made.number, "rewrite": made.rewrite, "op": made.op, "lines": made.lines,
            "changed": kept,
        })  # fmt: skip

    def _lines_of(self, module: ModuleOp) -> list[str]:
        """The first line of each op of the module."""
        known, self._known = self._known, {}
        return [self._line(op, depth, known) for op, depth in _inside(module, 0)]

    def _line(self, op: Operation, depth: int, known: dict[Operation, tuple[Any, str]]) -> str:
        """The line of an op, made anew only where the op has changed."""
        state = (depth, op.parent, tuple(op.operands), dict(op.attributes), dict(op.properties))
        found = known.get(op)
        if found is None or found[0] != state:
            found = state, "  " * depth + self._printer.first_line(op)
        self._known[op] = found
        return found[1]


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"


def _inside(op: Operation, depth: int) -> Iterator[tuple[Operation, int]]:
    for region in op.regions:
        for block in region.blocks:
            for inner in block.ops:
                yield inner, depth
                yield from _inside(inner, depth + 1)


class _Names(Printer):
    """Prints ops one by one, and gives no name twice."""

    def first_line(self, op: Operation) -> str:
        """An op without what is in its regions."""
        self.stream = stream = StringIO()
        self.print_op(op)
        return stream.getvalue().partition("\n")[0]

    # Ops that hide values from those inside would let names be given again.
    def enter_scope(self) -> None: ...

    def exit_scope(self) -> None: ...
