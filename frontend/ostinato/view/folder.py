"""What `OSTINATO_DUMP` left in a folder, read back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..compiler.dumps import DUMP, INDEXED, KERNELS, REWRITES, SOURCES, STEPS, Step
from ..ir.errors import IRError


@dataclass(frozen=True)
class Dumped:
    """A region: its steps in order, what rewrites led to each, and the text of kernels and of
    the user's files by name."""

    folder: Path
    steps: list[Step]
    rewrites: dict[str, list[dict[str, Any]]]
    kernels: dict[str, str]
    sources: dict[str, str]

    def source_of(self, path: str) -> str | None:
        """The name here of the file that a location names; None where its text was not kept."""
        return max((n for n in self.sources if f"/{path}".endswith(f"/{n}")), key=len, default=None)


def read_folder(folder: Path) -> list[Dumped]:
    """Every region in `folder`, or the one that `folder` is.

    IRError for a folder that holds none, and for a region that is damaged.
    """
    if not folder.is_dir():
        kind = "is a file" if folder.exists() else "does not exist"
        raise IRError(f"view: {folder} {kind}; give the folder that {DUMP} named")
    regions = [index.parent for index in (folder / STEPS, *sorted(folder.glob(f"*/{STEPS}")))]
    found = [_read_region(region) for region in regions if (region / STEPS).exists()]
    if not found:
        raise IRError(
            f"view: there is no region in {folder}; run the program with {DUMP}={folder}, "
            "and let it call what it compiles"
        )
    return found


def _read_region(folder: Path) -> Dumped:
    index = folder / STEPS
    try:
        rows = [{name: str(row[name]) for name in INDEXED} for row in json.loads(_text(index))]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise IRError(f"view: {index} is damaged; dump the region again") from error
    if not rows:
        raise IRError(f"view: {index} names no step; dump the region again")
    steps = [Step(**row, text=_text(folder / Path(row["file"]).name)) for row in rows]
    return Dumped(
        folder,
        steps,
        _rewrites(folder / REWRITES),
        _texts(folder / KERNELS),
        _texts(folder / SOURCES),
    )


def _rewrites(file: Path) -> dict[str, list[dict[str, Any]]]:
    """What was recorded of rewrites, by file of the step that they led to."""
    if not file.exists():
        return {}
    try:
        found: dict[str, list[dict[str, Any]]] = json.loads(_text(file))
        return {name: [{key: row[key] for key in _FIELDS} for row in rows]
                for name, rows in found.items()}  # fmt: skip
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise IRError(f"view: {file} is damaged; dump the region again") from error


_FIELDS = ("number", "rewrite", "op", "lines", "changed")


def _texts(folder: Path) -> dict[str, str]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {file.relative_to(folder).as_posix(): _text(file) for file in files}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise IRError(f"view: {file} is missing; dump the region again") from error
    except UnicodeDecodeError as error:
        raise IRError(f"view: {file} is not text; dump the region again") from error
