"""Source lines of IR ops: user lines, merged without repetition and at most eight of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from xdsl.ir import Attribute

MOST_LINES = 8
"""An op names at most so many source lines."""


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


def fuse_locations(locations: Iterable[LocationAttr]) -> LocationAttr:
    """One location with the lines of all: each line once, the first eight in the order given."""
    locations = list(dict.fromkeys(locations))
    if len(locations) == 1 and isinstance(locations[0], FileLineColLoc):
        return locations[0]
    lines = list(dict.fromkeys(x for location in locations for x in lines_of(location)))
    if len(lines) < 2:
        return lines[0] if lines else UNKNOWN_LOC
    return FusedLoc(tuple(lines[:MOST_LINES]), NoneAttr())
