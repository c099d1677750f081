"""What the dump of a region says of itself: of which region it is, and what was edited since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...ir.errors import IRError
from ..dumps import DUMP, REGION, Identity, digest, line_now


@dataclass(frozen=True)
class Dumped:
    """The dump of a region in `folder`: path, number and text of each line of the user's that ops
    name, and a digest of each file as it was written."""

    folder: Path
    identity: Identity
    lines: tuple[tuple[str, int, str], ...]
    files: dict[str, str]

    def edited(self) -> dict[str, str]:
        """The text of each file that is not as it was written; one that is gone is none."""
        found: dict[str, str] = {}
        for name, written in self.files.items():
            file = self.folder / name
            if file.is_file() and _digest_of(file) != written:
                found[name] = _text(file)
        return found

    def change(self) -> str | None:
        """The first line of the user's source that is another now, as text; None where none is."""
        for path, number, text in self.lines:
            now = line_now(path, number)
            if now != text:
                shown = f"it is `{now.strip()}`" if now.strip() else "there is none"
                return f"{path}:{number} was `{text.strip()}`, now {shown}"
        return None


def regions_in(folder: Path) -> Iterator[Dumped]:
    """The region that `folder` is the dump of, or all that lie in it."""
    for file in (folder / REGION, *sorted(folder.glob(f"*/{REGION}"))):
        found = region_in(file.parent)
        if found is not None:
            yield found


def region_in(folder: Path) -> Dumped | None:
    """What a folder says of its region; None where it is no dump. IRError for a damaged one."""
    file = folder / REGION
    if not file.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(_text(file))
        lines = tuple((str(p), int(n), str(text)) for p, n, text in found["lines"])
        files = {str(name): str(written) for name, written in found["files"].items()}
        identity = Identity(str(found["function"]), str(found["trace"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IRError(f"{file} is damaged; dump the region again with {DUMP}") from error
    return Dumped(folder, identity, lines, files)


def expect_same_source(file: Path) -> None:
    """IRError where `file` lies in a dump and the user's source has changed since."""
    dumped = region_in(file.parent)
    change = None if dumped is None else dumped.change()
    if change is not None:
        raise IRError(
            f"run: the source has changed since {file} was dumped: {change}; dump the region "
            "again, or give --stale to run it all the same"
        )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise IRError(f"{file} is not text; dump the region again with {DUMP}") from error


def _digest_of(file: Path) -> str:
    stat = file.stat()
    return _digest(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(1 << 14)
def _digest(file: Path, changed: int, size: int) -> str:
    """That of a file which was last changed then; many regions look at the same files."""
    return digest(_text(file))
