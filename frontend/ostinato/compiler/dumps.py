"""The folder that `OSTINATO_DUMP` leaves of a region: its stages, kernels and the user's source."""

from __future__ import annotations

import json
import linecache
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .frames import user_depth
from .region import Region

DUMP = "OSTINATO_DUMP"
"""The environment variable: a directory that every stage of every region is written to."""

STEPS, KERNELS, SOURCES = "steps.json", "kernels", "sources"
"""What is in a folder beside the stages."""


@dataclass(frozen=True)
class Step:
    """A stage as text, in `file`: of the module `part` (`joint`, `forward` or `backward`), after
    the pass `made_by`."""

    file: str
    part: str
    made_by: str
    stage: str
    text: str


INDEXED = ("file", "part", "made_by", "stage")
"""The fields of a step that `steps.json` has."""


def try_to_dump(
    folder: Path, title: str, steps: Sequence[Step], kernels: Mapping[str, str], region: Region
) -> None:
    """`write_dumps`, or a warning where the folder cannot be written."""
    try:
        write_dumps(folder / title, steps, kernels, region)
    except OSError as error:
        warnings.warn(
            f"the stages of {title.rpartition('-')[0]} are not written: {error}; set {DUMP} to a "
            "folder that can be written",
            stacklevel=user_depth(),
        )


def write_dumps(
    folder: Path, steps: Sequence[Step], kernels: Mapping[str, str], region: Region
) -> None:
    """`0-captured.mlir` and so on, a file a step in order, and in `steps.json` which pass each came
    from; the generated source of each kernel in `kernels`; in `sources` the files of the lines that
    ops name, by the end of their path."""
    files = {step.file: step.text for step in steps}
    rows = [{name: getattr(step, name) for name in INDEXED} for step in steps]
    files[STEPS] = json.dumps(rows, indent=1) + "\n"
    files |= {f"{KERNELS}/{name}": text for name, text in kernels.items()}
    paths = {node.line[0] for node in region.nodes if node.line is not None}
    for path, tail in tails(paths).items():
        files[f"{SOURCES}/{tail}"] = "".join(linecache.getlines(path))
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def tails(paths: Iterable[str]) -> dict[str, str]:
    """For each path the shortest end of it that no other has, whole names: a dump names files of
    the user without the folders that hold them."""
    found: dict[str, str] = {}
    waiting, length = {path: Path(path).parts for path in sorted(paths)}, 1
    while waiting:
        ends = {path: "/".join(parts[-length:]) for path, parts in waiting.items()}
        taken = list(ends.values())
        for path, end in ends.items():
            if taken.count(end) == 1 or length >= len(waiting[path]):
                found[path] = end.lstrip("/")
                del waiting[path]
        length += 1
    return found
