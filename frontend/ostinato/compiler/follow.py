"""Functions whose Python runs at each call: the regions between the places where it needs a value.

Ops of a run are recorded and not launched. Where a value is needed, an op cannot be captured or
the function ends, the region so far is looked up by what was recorded, compiled where it is new,
and launched as a whole; every tensor that Python still holds then has its value.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..ir.errors import CaptureError, RecompileWarning
from ..runtime import _C
from . import build
from .check import Check
from .finish import finish
from .frames import line_of, user_depth, user_frame
from .live import Session, close_session, current_session, open_session
from .recording.channels import Channels
from .region import Node, Region
from .sources import find_source, literals_here
from .variant import Variant

LIMIT = 64
"""The captures that a function may need, and regions of one, where `compile` is not told."""


@dataclass
class Break:
    """A place where a region ends before its function does."""

    line: str  # file:line of the user
    why: str
    tally: _C.BreakTally = field(default_factory=_C.BreakTally, repr=False)

    @property
    def count(self) -> int:
        """How often the function came there."""
        return self.tally.count

    @property
    def seconds(self) -> float:
        """What Python took to lead there: a replay without the break would not wait for it."""
        return self.tally.seconds


@dataclass
class Followed:
    """A function that is followed, why, and the regions found so far."""

    name: str
    why: str
    regions: dict[Any, Variant] = field(default_factory=dict[Any, Variant])
    breaks: dict[tuple[str, str], Break] = field(default_factory=dict[Any, Break])
    known: _C.FollowedRegions = field(default_factory=_C.FollowedRegions)
    """The same regions as far as they need no check: those run without Python."""
    calls: int = 0
    check: Check | None = None
    limit: int = LIMIT
    on_break: Callable[[Break], object] | None = None  # called where a break is new
    channels: Channels | None = None  # of what is watched
    gave_up: bool = False
    """Whether there were too many regions, so that it runs eagerly."""
    _idle: list[Run] = field(default_factory=list["Run"], repr=False)

    def call(self, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What `fn` returns for these arguments; eagerly once there are `limit` regions."""
        self.calls += 1
        if len(self.regions) >= self.limit:
            self._give_up()
            return fn(*args, **kwargs)
        try:
            run = self._idle.pop()
        except IndexError:
            run = Run(self)
        with run:
            result = fn(*args, **kwargs)
        self._idle.append(run)
        return result

    def _give_up(self) -> None:
        if self.gave_up:
            return
        self.gave_up = True
        text = (
            f"{self.name}: {self.limit} regions are the limit of a function that is followed, and "
            "it runs eagerly from now on. What of its ops or sizes differs in each call takes a "
            "region of its own; leave that outside, or give compile a higher limit"
        )
        warnings.warn(text, RecompileWarning, stacklevel=user_depth())

    def break_here(self, why: str) -> _C.BreakTally:
        """That of the break where user code is, for this reason."""
        line = line_of(user_frame()[0])
        found = self.breaks.get((line, why))
        if found is None:
            found = self.breaks[line, why] = Break(line, why)
        if found.count == 0 and self.on_break is not None:  # also where it was refused before
            self.on_break(found)
        return found.tally


class Run:
    """One run of a function, a region after the other: the ops inside are of it. An error leaves
    what was done before it."""

    def __init__(self, followed: Followed, before_end: Callable[[], None] | None = None) -> None:
        """`before_end` is called where a region ends."""
        self.followed = followed
        self._regions = _C.FollowedRun(
            followed.known, followed.break_here, self._run_new, before_end
        )
        self._session = Session(self._regions.tracer, following=True, channels=followed.channels)

    def __enter__(self) -> Run:
        open_session(self._session)
        self._session.feeds.begin()
        self._regions.begin()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._regions.end()
        finally:
            close_session()
            self._regions.let_go()

    @property
    def tracer(self) -> _C.Tracer:
        """What records the region that is running."""
        return self._session.tracer

    def _run_new(self, held: list[Any], given: list[Any], key: bytes) -> None:
        run_new(self._session, self.followed, held, given, key)


def run_region(tracer: _C.Tracer, session: Session, followed: Followed) -> None:
    """Ends what `tracer` recorded and runs it, by the Program of an equal region where there is
    one; what user code holds gets its value."""
    cut = followed.known.run(tracer)
    if cut is not None:
        run_new(session, followed, *cut)


def run_new(
    session: Session, followed: Followed, held: list[Any], given: list[Any], key: bytes
) -> None:
    """The same for what `followed.known` cut and could not run."""
    tracer = session.tracer
    try:
        region = None if key in followed.regions else _region(tracer, session, given, held)
    finally:
        tracer.stop()
    if region is not None:
        built = build.build(region, followed.name)
        variant = followed.regions[key] = Variant(built, None, check=followed.check)
        if followed.check is None:
            followed.known.add(key, variant.replays)
    variant = followed.regions[key]
    if not variant.replays.are_apart(given):
        raise CaptureError(overlap_text(followed.name))
    tracer.deliver(held, variant.run(given))


def _region(tracer: Any, session: Session, given: list[Any], held: list[Any]) -> Region:
    """The region, whose inputs are arguments, numbers among them."""
    values = tracer.values()
    session.inputs = {v: _C.Path.argument(i) for i, v in enumerate(tracer.inputs()) if values[v][3]}
    try:
        return finish(tracer, session, given, held, {})
    finally:
        session.inputs = {}


def overlap_text(name: str) -> str:
    """What is wrong with tensors of different storages that lie in the same memory."""
    return (
        f"{name}: a tensor that the function changes in place shares memory with another one that "
        "it uses; clone() one of them"
    )


def refusal(why: str, line: str) -> str:
    """The text of the error where a region would have to end for this reason."""
    if not why.startswith("capture: "):  # what says itself what to do
        why = f"capture: {why}; return the tensor, or call it outside the compiled function"
    return f"{why} (at {line})"


def leave_current(why: str) -> bool:
    """Ends the region of the innermost capture, where that can be left; for `_C.set_leave_hook`."""
    session = current_session()
    return session is not None and session.leave is not None and session.leave(why)


def first_difference(found: Sequence[Node], wanted: Sequence[Node]) -> str | None:
    """Where one run of a function leaves the ops of another; None where they are the same."""
    return _difference(found, wanted, _told)


def is_same_op(one: Node, other: Node) -> bool:
    """Whether two runs of a function do the same here."""
    return _told(one) == _told(other)


def _told(node: Node) -> Any:
    return node.name, node.attrs, node.line


def first_other_op(found: Sequence[Node], wanted: Sequence[Node]) -> str | None:
    """The same where attributes may differ."""
    return _difference(found, wanted, lambda n: (n.name, n.line))


def _difference(
    found: Sequence[Node], wanted: Sequence[Node], told: Callable[[Node], Any]
) -> str | None:
    for now, before in zip(found, wanted, strict=False):
        if told(now) != told(before):
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
    _C.set_literals_hook(literals_here)
    _C.set_leave_hook(leave_current)
