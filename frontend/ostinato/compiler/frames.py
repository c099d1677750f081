"""Whose code runs: the user's, that of this package, and where a capture began."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

from ..runtime import _C

_PACKAGE = str(Path(__file__).parents[1])


def is_ours(code: CodeType) -> bool:
    """Whether `code` belongs to this package."""
    return code.co_filename.startswith(_PACKAGE)


def is_boundary(code: CodeType) -> bool:
    """Whether `code` is what calls the function that is captured."""
    return code.co_name == "_captured" and is_ours(code)


def user_frame() -> tuple[FrameType, int]:
    """The innermost frame of user code, and how many calls it is away from the caller of this."""
    frame, depth = sys._getframe(1), 0
    while is_ours(frame.f_code) and frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return frame, depth


def user_depth() -> int:
    """The `stacklevel` of a warning that the caller gives about user code."""
    return user_frame()[1]


def line_of(frame: FrameType) -> str:
    """file:line that runs in `frame`."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def user_line() -> str:
    """file:line of the innermost frame of user code."""
    return line_of(user_frame()[0])


@contextmanager
def unwatched() -> Generator[None]:
    """The profile hook of the capture looks at user code, not at what is done inside."""
    _C.pause_profile()
    try:
        yield
    finally:
        _C.resume_profile()
