"""`profile`: what compiled functions take, by the user's lines, and as a trace for Perfetto."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime import _C
from .explain.show import Block, Shown, Table


@dataclass(frozen=True)
class StepTime:
    """A kernel or a call of a compiled function: the line that it is for (the first of several),
    how often it ran, and the seconds of all its runs."""

    name: str
    line: str
    is_kernel: bool
    runs: int
    seconds: float


@dataclass(frozen=True)
class LineTime:
    """What all kernels and calls for a line took, forward, backward and optimizer alike."""

    line: str
    seconds: float
    names: tuple[str, ...]


class profile(Shown):
    """`with ot.profile() as p:` measures each kernel and call of the compiled functions inside.

    `print(p)` shows the time by line and by kernel, `p.save("trace.json")` is for Perfetto. On a
    CPU every run is measured. On a GPU a measured run launches one kernel after the other, with
    events between, and takes longer than a graph: the first run of a function is measured and each
    one after `every` more, and stands for those between. Functions that run eagerly are not seen.
    One profile is on at a time, for all threads: ValueError for a second one.
    """

    def __init__(self, every: int = 100) -> None:
        self._profiler = _C.Profiler(every)

    def __enter__(self) -> profile:
        self._profiler.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._profiler.stop()

    @property
    def steps(self) -> list[StepTime]:
        """Each kernel and call, the one that took longest first."""
        found: list[StepTime] = []
        runs = self._profiler.runs()
        for number, steps in enumerate(self._profiler.programs()):
            own = [r for r in runs if r[0] == number]
            measured = [seconds for *_, seconds in own if seconds]
            if not measured:
                continue
            for step, taken in zip(steps, zip(*measured, strict=True), strict=True):
                found.append(StepTime(*step, len(own), sum(taken) * len(own) / len(measured)))
        return sorted(found, key=lambda s: -s.seconds)

    @property
    def lines(self) -> list[LineTime]:
        """The same by line."""
        by_line: dict[str, list[StepTime]] = {}
        for step in self.steps:
            by_line.setdefault(step.line, []).append(step)
        found = [
            LineTime(line, sum(s.seconds for s in of), tuple(dict.fromkeys(s.name for s in of)))
            for line, of in by_line.items()
        ]
        return sorted(found, key=lambda x: -x.seconds)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a trace in the Trace Event Format, which ui.perfetto.dev and chrome://tracing
        open: a track a thread, a slice a step; runs that were not measured are one slice."""
        events = list(self._events())
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))

    def _events(self) -> Iterable[dict[str, Any]]:
        programs = self._profiler.programs()
        threads: dict[int, int] = {}
        for number, thread, started, taken, seconds in self._profiler.runs():
            track = threads.setdefault(thread, len(threads) + 1)
            name = f"Program {number}"
            yield _slice(name, track, started, max(taken, sum(seconds)), {})
            at = started
            for (step, line, is_kernel), each in zip(programs[number], seconds, strict=False):
                kind = "kernel" if is_kernel else "call"
                yield _slice(step, track, at, each, {"line": line, "kind": kind})
                at += each

    def _blocks(self) -> list[Block]:
        steps, lines = self.steps, self.lines
        total = sum(s.seconds for s in steps) or 1.0
        by_line = [
            (x.line, x.seconds * 1e3, 100 * x.seconds / total, ", ".join(x.names)) for x in lines
        ]
        by_step = [
            (s.name, "kernel" if s.is_kernel else "call", s.runs, s.seconds * 1e3,
             1e6 * s.seconds / s.runs, s.line)
            for s in steps
        ]  # fmt: skip
        return [
            Table("by line", ("line", "ms", "%", "kernels and calls"), tuple(by_line)),
            Table("by step", ("name", "kind", "runs", "ms", "us a run", "line"), tuple(by_step)),
        ]


def _slice(
    name: str, track: int, started: float, seconds: float, about: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name, "ph": "X", "ts": started * 1e6, "dur": seconds * 1e6, "pid": 1, "tid": track,
        "args": about,
    }  # fmt: skip
