"""Functions whose Python runs at each call: the regions between the places where it needs a value.

Ops of a run are recorded and not launched. Where a value is needed, an op cannot be captured or
the function ends, the region so far is looked up by what was recorded, compiled where it is new,
and launched as a whole; every tensor that Python still holds then has its value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..ir.errors import CaptureError
from ..runtime import _C
from . import build
from .check import Check
from .frames import user_line
from .live import Session, current_session, opened
from .region import Node, Region, finish
from .sources import find_source
from .variant import Variant

LIMIT = 64
"""The captures that a function may need, and regions of one, where `compile` is not told."""


@dataclass
class Break:
    """A place where a region ends before its function does."""

    line: str  # file:line of the user
    why: str
    count: int = 0
    seconds: float = 0.0
    """What Python took to lead there: a replay without the break would not wait for it."""


@dataclass
class Followed:
    """A function that is followed, why, and the regions found so far."""

    name: str
    why: str
    regions: dict[Any, Variant] = field(default_factory=dict[Any, Variant])
    breaks: dict[tuple[str, str], Break] = field(default_factory=dict[Any, Break])
    calls: int = 0
    check: Check | None = None
    limit: int = LIMIT
    on_break: Callable[[Break], object] | None = None  # called where a break is new

    def call(self, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What `fn` returns for these arguments; eagerly once there are `limit` regions."""
        self.calls += 1
        if len(self.regions) >= self.limit:
            return fn(*args, **kwargs)
        with Run(self).recording():
            return fn(*args, **kwargs)

    def explained(self) -> list[str]:
        """Lines on why it is followed, its breaks with what each costs, and its regions."""
        lines = [f"followed, {self.calls} calls: {self.why}"]
        for b in self.breaks.values():
            cost = b.seconds / b.count * 1e3
            lines.append(f"  break at {b.line}: {b.why}; {b.count} times, {cost:.3f} ms each")
        for i, region in enumerate(self.regions.values()):
            lines += ["  " + line for line in region.explained(f"region {i}")]
        return lines


class Run:
    """One run of a function, a region after the other."""

    def __init__(self, followed: Followed, keep_nodes: bool = False) -> None:
        self.followed, self.keep_nodes = followed, keep_nodes
        self.nodes: list[Node] = []
        """What was recorded, where `keep_nodes` asks for it."""

    @contextmanager
    def recording(self) -> Generator[None]:
        """The ops inside are of this run. An error leaves what was done before it."""
        with opened(lambda: self._session):
            self._open()
            try:
                yield
            finally:
                self._close()

    def leave(self, why: str) -> bool:
        """Ends the region here, and begins another."""
        place = (user_line(), why)
        found = self.followed.breaks.get(place)
        if found is None:
            found = self.followed.breaks[place] = Break(*place)
            if self.followed.on_break is not None:
                self.followed.on_break(found)
        found.count += 1
        found.seconds += time.perf_counter() - self._started
        self._close()
        self._open()
        return True

    def _open(self) -> None:
        self._tracer = _C.Tracer(following=True)
        self._session = Session(self._tracer, self.leave, following=True)
        self._started = time.perf_counter()
        self._tracer.start()

    def _close(self) -> None:
        if self.keep_nodes:
            self.nodes += [Node(*n) for n in self._tracer.nodes()]
        run_region(self._tracer, self._session, self.followed)


def run_region(tracer: Any, session: Session, followed: Followed) -> None:
    """Ends what `tracer` recorded and runs it, by the Program of an equal region where there is
    one; what user code holds gets its value."""
    try:
        if tracer.is_empty():
            return
        held, given, key = tracer.cut()
        found = (key, _C.float32_matmul_precision())
        region = None if found in followed.regions else _region(tracer, session, given, held)
    finally:
        tracer.stop()
    if region is not None:
        followed.regions[found] = Variant(
            build.build(region, followed.name), None, check=followed.check
        )
    variant = followed.regions[found]
    if not variant.replays.are_apart(given):
        raise CaptureError(overlap_text(followed.name))
    tracer.deliver(held, variant.run(given))


def _region(tracer: Any, session: Session, given: list[Any], held: list[Any]) -> Region:
    """The region, whose inputs are arguments, numbers among them."""
    values = tracer.values()
    session.inputs = {v: _C.Path.argument(i) for i, v in enumerate(tracer.inputs()) if values[v][3]}
    return finish(tracer, session, given, held, {})


def overlap_text(name: str) -> str:
    """What is wrong with tensors of different storages that lie in the same memory."""
    return (
        f"{name}: a tensor that the function changes in place shares memory with another one that "
        "it uses; clone() one of them"
    )


def leave_current(why: str) -> bool:
    """Ends the region of the innermost capture, where that can be left; for `_C.set_leave_hook`."""
    session = current_session()
    return session is not None and session.leave is not None and session.leave(why)


def first_difference(found: Sequence[Node], wanted: Sequence[Node]) -> str | None:
    """Where one run of a function leaves the ops of another; None where they are the same."""
    for now, before in zip(found, wanted, strict=False):
        if (now.name, now.attrs, now.line) != (before.name, before.attrs, before.line):
            return _shown(now)
    if len(found) == len(wanted):
        return None
    longer = found if len(found) > len(wanted) else wanted
    return _shown(longer[min(len(found), len(wanted))])


def _shown(node: Node) -> str:
    file, line = node.line or ("<unknown>", 0)
    return f"{file}:{line} ({node.name or 'backward'})"


def install() -> None:
    """The hooks by which the dispatcher reaches captures."""
    _C.set_number_hook(find_source)
    _C.set_leave_hook(leave_current)
