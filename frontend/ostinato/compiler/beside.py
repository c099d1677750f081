"""What runs while a function is captured though the function does not call it: the ends of objects,
handlers of signals, and what the package imports."""

from __future__ import annotations

import functools
import gc
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import get_ident
from types import CodeType, FrameType
from typing import Any, cast

from ..runtime import _C
from .frames import is_ours


class Beside:
    """Follows what runs beside the function. `note` is told of ops in it: they are in the region
    once, and replays would do them again."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._frame: FrameType | None = None  # of the outermost that runs now
        self._collects = False
        self._ops = 0
        self._handlers = _handlers()
        self.is_apart = False
        """Whether what runs is no part of the function: it happens when it will."""

    @property
    def runs(self) -> bool:
        """Whether anything does: it cannot be begun again."""
        return self._frame is not None

    def look(self, frame: FrameType, event: str) -> bool:
        """Notes what begins and ends, and says whether it is apart."""
        if self._frame is None and event == "call" and self._begins(frame):
            self._frame, self._ops = frame, _C.recorded_ops()
        elif self._frame is frame and event == "return":
            self._frame = None
            ended, self.is_apart = self.is_apart, False
            if ended:
                self.expect_none_since(self._ops)
            return ended
        return self.is_apart

    def expect_none_since(self, ops: int) -> None:
        """Where there are more ops now than these, the function did not ask for them."""
        if _C.recorded_ops() > ops:
            self._note("an op in what runs when it will, as a handler of a signal does,")

    def _begins(self, frame: FrameType) -> bool:
        """What objects do as they go away is of the function, unless others go that it left."""
        code, back = frame.f_code, frame.f_back
        imports = code.co_name == "_find_and_load" and back is not None and is_ours(back.f_code)
        forgets = code.co_name == "remove" and code.co_filename.endswith("weakref.py")
        handles = code in self._handlers and _is_given(back, frame)
        self.is_apart = imports or forgets or handles or (self._collects and not is_ours(code))
        return self.is_apart or code.co_name == "__del__"

    @contextmanager
    def told_of_collections(self) -> Generator[None]:
        """Inside, what goes away as garbage is known."""
        thread = get_ident()

        def told(phase: str, _: dict[str, int]) -> None:
            if get_ident() == thread:
                self._collects = phase == "start"

        gc.callbacks.append(told)
        try:
            yield
        finally:
            gc.callbacks.remove(told)


def _handlers() -> set[CodeType]:
    """The code of the functions that handle signals."""
    found = (_code_of(signal.getsignal(s)) for s in signal.valid_signals())
    return {code for code in found if code is not None}


def _code_of(fn: Any) -> CodeType | None:
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = fn if hasattr(fn, "__code__") else getattr(fn, "__call__", None)  # noqa: B004
    return getattr(fn, "__code__", None)


def _is_given(given: FrameType | None, frame: FrameType) -> bool:
    """Whether a function got the frame that it came from, as handlers of signals do."""
    for value in frame.f_locals.values():
        if any(v is given for v in (cast("Any", value) if type(value) is tuple else (value,))):
            return True
    return False
