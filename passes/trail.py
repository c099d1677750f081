"""What passes do, as a numbered list of applications of rewrites, and where they are to stop.

A pass calls `note` right after each change that it makes, and asks `done` (or `allows`) before the
next. So the module can be looked at after each application, and passes can be stopped after any.
Where nobody listens they are given `OFF`, which does nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from ..ir.dialects.ot import FusionOp, TableOp
from ..ir.dialects.program import CallOp, LaunchOp
from ..ir.locations import told_lines


def name_of(op: Operation) -> str:
    """An op of the graph, those of a fusion, or the kernel or native op that a step runs."""
    if isinstance(op, LaunchOp):
        return f"kernel {op.kernel_name}"
    if isinstance(op, FusionOp):
        inside = (x.SCHEMA.name for x in op.body.block.ops if isinstance(x, TableOp))
        return f"ot.fusion of {', '.join(dict.fromkeys(inside))}"
    return f"the call of {op.callee.data}" if isinstance(op, CallOp) else op.name


@dataclass(frozen=True)
class Application:
    """A rewrite applied once: its number, from 1 on, over all passes that one trail follows, the
    name of pass and rewrite, the op that it was applied to, and the user's lines of that."""

    number: int
    pass_name: str
    rewrite: str
    op: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        lines = ", ".join(self.lines)
        return f"{self.number:5}  {self.pass_name:13}  {self.rewrite:22}  {self.op}  {lines}"


Seen = Callable[[Application, ModuleOp], object]
"""Called after each application with the module as it is then. Of a pass that makes its result
beside the module (`batch`, `plan_memory`) the module is seen when all is done."""


class Trail:
    """Notes the applications of passes, shows each to `seen`, and ends the passes where there are
    `stop_after` of them; rewrites named in `always` go on beyond that."""

    def __init__(
        self,
        seen: Seen | None = None,
        stop_after: int | None = None,
        always: Iterable[str] = (),
    ) -> None:
        self.applications: list[Application] = []
        self._seen, self._most = seen, sys.maxsize if stop_after is None else stop_after
        self._always = frozenset(always)
        self._pass, self._module = "", ModuleOp([])

    def enter(self, pass_name: str, module: ModuleOp) -> None:
        """What comes now is done by this pass, to `module`."""
        self._pass, self._module = pass_name, module

    @property
    def left(self) -> int:
        """How many applications may still be made."""
        return max(self._most - len(self.applications), 0)

    @property
    def done(self) -> bool:
        """Whether nothing more is to be changed: the pass leaves the rest as it is."""
        return not self.left

    @property
    def over(self) -> bool:
        """Whether no pass has anything more to do."""
        return self.done and not self._always

    def allows(self, rewrite: str) -> bool:
        """Whether this rewrite may be applied now."""
        return not self.done or rewrite in self._always

    def note(self, rewrite: str, op: Operation, of: str = "") -> None:
        """`rewrite` was applied to `op`, which may be erased by now; `of` says what that is where
        its name does not."""
        number = len(self.applications) + 1
        made = Application(number, self._pass, rewrite, of or name_of(op), told_lines(op.location))
        self.applications.append(made)
        if self._seen is not None:
            self._seen(made, self._module)


class _Off(Trail):
    """Follows nothing."""

    def __init__(self) -> None: ...

    def enter(self, pass_name: str, module: ModuleOp) -> None: ...

    @property
    def left(self) -> int:
        return sys.maxsize

    @property
    def done(self) -> bool:
        return False

    @property
    def over(self) -> bool:
        return False

    def allows(self, rewrite: str) -> bool:
        return True

    def note(self, rewrite: str, op: Operation, of: str = "") -> None: ...


OFF = _Off()
