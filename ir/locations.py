"""Source lines of IR ops: user lines, merged without repetition and at most eight of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    CallSiteLoc,
    FileLineColLoc,
    FusedLoc,
    IntAttr,
    LocationAttr,
    NameLoc,
    NoneAttr,
    StringAttr,
)
from xdsl.ir import Attribute, Operation

MOST_LINES = 8
"""An op names at most so many source lines."""

_NO_METADATA = NoneAttr()


@lru_cache(1 << 12)
def line_location(file: str, line: int, column: int = 0) -> FileLineColLoc:
    """The location `file:line:column`."""
    return FileLineColLoc(StringAttr(file), IntAttr(line), IntAttr(column))


def lines_of(location: Attribute) -> Iterator[FileLineColLoc]:
    """The source lines that a location names, none for an unknown one."""
    if isinstance(location, FileLineColLoc):
        yield location
    elif isinstance(location, FusedLoc):
        locations: Any = location.locations
        for inner in locations:
            yield from lines_of(inner)
    elif isinstance(location, CallSiteLoc):
        yield from lines_of(location.callee)
        yield from lines_of(location.caller)
    elif isinstance(location, NameLoc):
        yield from lines_of(location.location)


def told_lines(location: Attribute) -> tuple[str, ...]:
    """The source lines that a location names, each as `file:line`."""
    return tuple(f"{x.filename.data}:{x.line.data}" for x in lines_of(location))


def fill_locations(module: Operation) -> None:
    """Gives ops that name no line, as those written by hand, the location of the op before them, or
    of the op around them."""
    _fill(module, next((op.location for op in module.walk() if _has_line(op)), UNKNOWN_LOC))


def _fill(op: Operation, given: LocationAttr) -> None:
    if not _has_line(op):
        op.location = given
    for region in op.regions:
        for block in region.blocks:
            last = op.location
            for inner in block.ops:
                _fill(inner, last)
                last = inner.location


def _has_line(op: Operation) -> bool:
    return op.location != UNKNOWN_LOC


def _is_plain(location: LocationAttr) -> bool:
    """Whether `fuse_locations` has nothing to do for a location alone."""
    if isinstance(location, FileLineColLoc):
        return True
    if not isinstance(location, FusedLoc) or location.metadata != _NO_METADATA:
        return False
    inner: Any = location.locations
    return 1 < len(inner) <= MOST_LINES and all(isinstance(x, FileLineColLoc) for x in inner)


def fuse_locations(locations: Iterable[LocationAttr]) -> LocationAttr:
    """One location with the lines of all: each line once, the first eight in the order given."""
    # By identity first: ops of one line share its location, and hashing one is slow.
    distinct = {id(location): location for location in locations}
    if len(distinct) == 1:
        (only,) = distinct.values()
        if _is_plain(only):
            return only
    locations = list(dict.fromkeys(distinct.values()))
    lines = list(dict.fromkeys(x for location in locations for x in lines_of(location)))
    if len(lines) < 2:
        return lines[0] if lines else UNKNOWN_LOC
    return _fused(tuple(lines[:MOST_LINES]))


@lru_cache(1 << 12)
def _fused(lines: tuple[FileLineColLoc, ...]) -> FusedLoc:
    return FusedLoc(lines, _NO_METADATA)
