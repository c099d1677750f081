"""The folder that `OSTINATO_DUMP` leaves of a region: its stages, kernels and the user's source."""

from __future__ import annotations

import hashlib
import json
import linecache
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .frames import user_depth
from .region import Region

if TYPE_CHECKING:
    from .rewrites import Recorder

DUMP, DUMP_REWRITES = "OSTINATO_DUMP", "OSTINATO_DUMP_REWRITES"
"""The environment variables: a directory that every stage of every region is written to, and `1`
where it is to have what each rewrite changed as well, which makes compiling ten times slower."""

STEPS, REWRITES, KERNELS, SOURCES = "steps.json", "rewrites.json", "kernels", "sources"
REGION = "region.json"
"""What is in a folder beside the stages; the last one says what the folder is of."""


def step_file(number: int, stage: str) -> str:
    """The name of the file with the module after a step, which are numbered from 0 on."""
    return f"{number}-{stage}.mlir"


@dataclass(frozen=True)
class Identity:
    """Which region a folder is of: the name of its function, and a digest of what was traced."""

    function: str
    trace: str


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


@dataclass
class Dump:
    """What is to be left of a region in `folder`, in the making."""

    folder: Path
    trail: Recorder | None
    stages: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    rewrites: list[list[dict[str, Any]]] = field(default_factory=list[list[dict[str, Any]]])

    @classmethod
    def asked(cls) -> Dump | None:
        """A dump, where the environment asks for one."""
        folder = os.environ.get(DUMP)
        if not folder:
            return None
        if os.environ.get(DUMP_REWRITES) != "1":
            return cls(Path(folder), None)
        from .rewrites import Recorder

        return cls(Path(folder), Recorder())

    def note(self, stage: str, text: str) -> None:
        """The next step's text is this, and what was recorded since the last one led to it."""
        self.stages.append((stage, text))
        self.rewrites.append([] if self.trail is None else self.trail.taken())

    def write(
        self, title: str, identity: Identity, made_by: Sequence[tuple[str, str]],
        kernels: Mapping[str, str], region: Region,
    ) -> None:  # fmt: skip
        """Writes all of it to `title` in the folder; a warning where that cannot be done.
        `made_by` has part and pass of each step."""
        numbered = enumerate(zip(made_by, self.stages, strict=True))
        steps = [Step(step_file(i, stage[0]), *made, *stage) for i, (made, stage) in numbered]
        files = _files(steps, kernels, region)
        if self.trail is not None:
            rows = {step.file: rows for step, rows in zip(steps, self.rewrites, strict=True)}
            files[REWRITES] = json.dumps(rows, indent=1) + "\n"
        files[REGION] = _told(identity, files, region)
        try:
            for name, text in files.items():
                file = self.folder / title / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
        except OSError as error:
            warnings.warn(
                f"the stages of {title.rpartition('-')[0]} are not written: {error}; set {DUMP} "
                "to a folder that can be written",
                stacklevel=user_depth(),
            )


def _files(steps: Sequence[Step], kernels: Mapping[str, str], region: Region) -> dict[str, str]:
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
    return files


def _told(identity: Identity, files: Mapping[str, str], region: Region) -> str:
    """What a folder is of, as JSON: the region, the user's lines that it was traced from, and a
    digest of each file, by which edits of it are known."""
    told = {
        **asdict(identity),
        "lines": [[*line, text] for line, text in source_lines(region).items()],
        "files": {name: digest(text) for name, text in files.items()},
    }
    return json.dumps(told, indent=1) + "\n"


def source_lines(region: Region) -> dict[tuple[str, int], str]:
    """The text of the lines that ops name."""
    lines = dict.fromkeys(node.line for node in region.nodes if node.line is not None)
    return {line: line_now(*line) for line in sorted(lines)}


def line_now(path: str, line: int) -> str:
    """A line of a file as it is now; nothing where it is not there."""
    linecache.checkcache(path)
    return linecache.getline(path, line).rstrip()


def digest(text: str) -> str:
    """What tells an edited file from what was written."""
    return hashlib.sha256(text.encode()).hexdigest()


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
