"""Numbers that stay live: read again before each replay, never a reason to compile again."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from ..runtime import _C
from .frames import user_line
from .reads import Reads
from .recording.channels import EAGER, Channels, Feeds

Value = bool | int | float
Read = Callable[[Sequence[Any]], Value]
"""Computes a live number from the leaves of the call's arguments. A replay reads a `_C.Path`
without calling Python."""


class Session:
    """What one capture learns of numbers: inputs of the region, and values it relied on.

    `leave` ends the region where a value is needed and says whether it could; `give_up` is told of
    what no replay could know. A session that follows is of a function whose Python runs each time,
    so that no number is read again.
    """

    def __init__(
        self, tracer: Any, leave: Callable[[str], bool] | None = None,
        give_up: Callable[[str], None] | None = None, following: bool = False,
        channels: Channels | None = None,
    ) -> None:  # fmt: skip
        self.leave, self.following = leave, following
        self.give_up = give_up
        self.feeds = Feeds(channels or EAGER)
        self.tracer = tracer
        self.inputs: dict[int, Read] = {}  # by value id of the trace
        self.guards: list[tuple[Read, Callable[[Value], Any], Any]] = []
        self.guard_lines: list[str] = []
        self.by_key: dict[Any, LiveNumber] = {}
        self.reads: Reads | None = None  # of a function; a bare region is never replayed

    def follow(self, tracer: Any) -> None:
        """What comes now is of regions that `tracer` records and that are not replayed."""
        self.tracer = tracer
        self.inputs, self.guards, self.guard_lines = {}, [], []
        self.following, self.give_up, self.reads, self.by_key = True, None, None, {}

    def add_input(self, value: Value, read: Read | None = None) -> Any:
        """A number as an operand: an input of the region, which a replay gets by `read`."""
        tensor = _C.number(value)
        place = self.tracer.add_input(tensor)
        if read is not None and not self.following:
            self.inputs[place] = read
        return tensor


class _Open(threading.local):
    def __init__(self) -> None:
        self.sessions: list[Session] = []


_open = _Open()


def open_session(session: Session) -> None:
    """Captures of this thread are of this session, until `close_session`."""
    _open.sessions.append(session)


def close_session() -> None:
    """They are of the session before again."""
    _open.sessions.pop()


@contextmanager
def opened(session: Session) -> Generator[None]:
    """Captures inside are of this session."""
    open_session(session)
    try:
        yield
    finally:
        close_session()


def current_session() -> Session | None:
    """The session of this thread's innermost capture."""
    return _open.sessions[-1] if _open.sessions and _C.is_capturing() else None


class LiveNumber:
    """Stands for a Python number in a capture. Arithmetic stays live; what needs the value now
    (`int()`, `math.sqrt`, a comparison, a hash) makes it a guard of the variant."""

    __slots__ = ("_operand", "_operand_of", "read", "session", "value")

    def __init__(self, session: Session, value: Value, read: Read) -> None:
        self.session, self.value, self.read = session, value, read
        self._operand: Any = None
        self._operand_of = 0  # the number of the region that it is an input of

    def operand(self) -> Any:
        """The number as a tensor of the trace."""
        session = current_session() or self.session
        if self._operand_of != session.tracer.number:
            self._operand = session.add_input(self.value, self.read)
            self._operand_of = session.tracer.number
        return self._operand

    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """That of the number: `isinstance` is asked of it."""
        return type(self.value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.settle(_itself), name)

    def settle(self, kind: Callable[[Value], Any]) -> Any:
        """`kind(value)`, which from now on is guarded."""
        result = kind(self.value)
        if not self.session.following:
            self.session.guards.append((self.read, kind, result))
            self.session.guard_lines.append(user_line())
        return result

    def _combine(self, fn: Callable[[Any, Any], Value], other: Any, swapped: bool) -> Any:
        if isinstance(other, _C.Tensor):
            return NotImplemented
        if not isinstance(other, (bool, int, float, LiveNumber)):
            return NotImplemented
        read, value = self.read, other.value if isinstance(other, LiveNumber) else other
        given: Read = other.read if isinstance(other, LiveNumber) else lambda leaves: value
        if swapped:
            made = LiveNumber(
                self.session, fn(value, self.value), lambda leaves: fn(given(leaves), read(leaves))
            )
        else:
            made = LiveNumber(
                self.session, fn(self.value, value), lambda leaves: fn(read(leaves), given(leaves))
            )
        if getattr(fn, "__name__", "") == "pow" and type(self.value) is type(value) is int:
            made.settle(type)  # a float where the exponent is negative
        return made

    def _apply(self, fn: Callable[[Any], Value]) -> LiveNumber:
        read = self.read
        return LiveNumber(self.session, fn(self.value), lambda leaves: fn(read(leaves)))

    def __float__(self) -> float:
        return self.settle(float)

    def __int__(self) -> int:
        return self.settle(int)

    def __index__(self) -> int:
        return self.settle(operator.index)  # pyright: ignore[reportArgumentType]

    def __bool__(self) -> bool:
        return self.settle(bool)

    def __hash__(self) -> int:
        return self.settle(hash)

    def __repr__(self) -> str:
        return self.settle(repr)

    def __format__(self, spec: str) -> str:
        return self.settle(lambda v: format(v, spec))

    def __trunc__(self) -> int:
        return self.settle(math.trunc)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __copy__(self) -> LiveNumber:
        return self

    def __deepcopy__(self, memo: Any) -> LiveNumber:
        return self

    def __reduce__(self) -> Any:
        return type(self.value), (self.settle(_itself),)

    def __round__(self, digits: int | None = None) -> Any:
        return self.settle(lambda v: round(v, digits))


def _itself(value: Value) -> Value:
    return value


def _binary(fn: Callable[[Any, Any], Value], swapped: bool) -> Any:
    def method(self: LiveNumber, other: Any) -> Any:
        return self._combine(fn, other, swapped)

    return method


def _unary(fn: Callable[[Any], Value]) -> Any:
    def method(self: LiveNumber) -> LiveNumber:
        return self._apply(fn)

    return method


def _comparison(fn: Callable[[Any, Any], bool]) -> Any:
    def compare(self: LiveNumber, other: Any) -> Any:
        if isinstance(other, _C.Tensor):
            return NotImplemented
        known = other.settle(_itself) if isinstance(other, LiveNumber) else other
        return self.settle(lambda v: fn(v, known))

    return compare


for _name in (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "lshift",
    "rshift",
):  # fmt: skip
    _fn = getattr(operator, _name)
    setattr(LiveNumber, f"__{_name.rstrip('_')}__", _binary(_fn, False))
    setattr(LiveNumber, f"__r{_name.rstrip('_')}__", _binary(_fn, True))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(LiveNumber, f"__{_name}__", _unary(getattr(operator, _name)))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(LiveNumber, f"__{_name}__", _comparison(getattr(operator, _name)))


def live_number(key: Any, path: _C.Path) -> Any:
    """The number at `path`, in a capture: it is read again before each replay. Equal keys (of one
    capture) give the same number."""
    session = current_session()
    assert session is not None, "outside of captures numbers are what they are"
    if session.following:
        return LiveNumber(session, path(), path)
    if key not in session.by_key:
        session.by_key[key] = LiveNumber(session, path(), path)
    return session.by_key[key]


def give_up(what: str) -> None:
    """In a capture: user code asks the package for what a replay could not make again."""
    session = current_session()
    if session is not None and session.give_up is not None:
        session.give_up(
            f"capture: {what} at {user_line()} would not be repeated by a replay; do it outside "
            "the compiled function, or make it by ops"
        )


def live_attribute(owner: Any, name: str) -> Any:
    """The number that an object of the package has there; in a capture it is read again before each
    replay."""
    if current_session() is None:
        return getattr(owner, name)
    return live_number((id(owner), name), _C.Path(owner).attribute(name))


def note_module(module: Any) -> None:
    """In a capture: `module` is called or listed, so the variant relies on its attributes."""
    session = current_session()
    if session is not None and session.reads is not None:
        session.reads.note_module(module)


def note_options(groups: list[dict[str, Any]]) -> None:
    """In a capture: these parameter groups, their parameters and their flags are read."""
    session = current_session()
    if session is None or session.reads is None:
        return
    session.reads.note_container(groups)
    for group in groups:
        session.reads.note_container(group["params"])
        for name, value in group.items():
            if isinstance(value, bool):
                session.reads.note_item(group, name)
