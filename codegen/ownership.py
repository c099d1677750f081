"""Whether someone else could have written what lies in a folder or a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def fault_of_folder(folder: Path) -> str | None:
    """What lets others write in `folder`, or put another in its place; None where nothing does.

    Parts that are not there yet have no fault. Root may do all that anyway, and is trusted.
    """
    real = Path(os.path.realpath(folder))
    if (found := _status(real)) is not None and (fault := _fault_of_status(found)) is not None:
        return f"{real} {fault}"
    # A link is replaced where it lies, its target where that lies.
    for place in dict.fromkeys((*real.parents, *folder.absolute().parents)):
        if (found := _status(place)) is not None and (fault := _fault_above(found)) is not None:
            return f"{place} {fault}"
    return None


def read_own(path: Path) -> bytes:
    """The content of a file. PermissionError where it is none of ours, or others may change it."""
    with open(path, "rb", opener=_open) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise PermissionError("it is no regular file")
        if (fault := _fault_of_status(found)) is not None:
            raise PermissionError(f"it {fault}")
        return file.read()


def _open(path: str, flags: int) -> int:
    """Follows no link, and does not wait for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _fault_of_status(found: os.stat_result) -> str | None:
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, not to user {os.geteuid()}"
    return _open_to_others(found)


def _fault_above(found: os.stat_result) -> str | None:
    """Of a folder above: where it is sticky, others replace only what is theirs."""
    if found.st_uid not in (0, os.geteuid()):
        return f"belongs to user {found.st_uid}, who can replace what lies in it"
    return None if found.st_mode & stat.S_ISVTX else _open_to_others(found)


def _open_to_others(found: os.stat_result) -> str | None:
    if not found.st_mode & _BY_OTHERS:
        return None
    return f"can be written by others (mode {stat.S_IMODE(found.st_mode):o})"
