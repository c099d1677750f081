"""`profile`: what compiled functions take, by the user's lines, and as a trace for Perfetto."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ..runtime import _C
from .explain.seconds import note_seconds
from .explain.show import Block, Line, Shown, Table
from .phases import PHASES


@dataclass(frozen=True)
class StepTime:
    """A kernel or a call of a compiled function: the line that it is for (the first of several),
    the phase (see `phases`), how often it ran, and the seconds of all its runs."""

    name: str
    line: str
    phase: str
    is_kernel: bool
    runs: int
    seconds: float


@dataclass(frozen=True)
class LineTime:
    """What all kernels and calls for a line took, forward, backward and optimizer alike."""

    line: str
    seconds: float
    names: tuple[str, ...]


@dataclass(frozen=True)
class PhaseTime:
    """What all kernels and calls of `forward`, `backward` or `optimizer` took."""

    phase: str
    seconds: float


@dataclass(frozen=True)
class _Program:
    """A Program that ran `runs` times: (name, line, phase, is a kernel) of each step, and the
    seconds that each took in the runs that were measured step by step, NaN where it was not run."""

    number: int
    runs: int
    steps: list[tuple[str, str, str, bool]]
    measured: list[list[float]]


class profile(Shown):
    """`with ot.profile() as p:` measures each kernel and call of the compiled functions inside.

    `print(p)` shows the time by phase, by line and by kernel, `p.save("trace.json")` is for
    Perfetto, and `explain()` of a function shows how near its kernels came to what the device can
    do. On a CPU every run is measured. On a GPU a measured run launches one kernel after the other,
    with events between, and takes longer than a graph: the first run of a function is measured and
    each one after `every` more, and stands for those between. Functions that run eagerly are not
    seen. One profile is on at a time, for all threads: ValueError for a second one.
    """

    def __init__(self, every: int = 100) -> None:
        if not isinstance(every, int) or every < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"profile: every={every!r} came; give a whole number from 0 on")
        self._profiler = _C.Profiler(every)

    def __enter__(self) -> profile:
        self._profiler.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._profiler.stop()
        for program in self._programs():
            note_seconds(program.number, program.measured)

    @property
    def steps(self) -> list[StepTime]:
        """Each kernel and call, the one that took longest first."""
        found: list[StepTime] = []
        for program in self._programs():
            share = program.runs / len(program.measured)
            for step, seconds in zip(
                program.steps, zip(*program.measured, strict=True), strict=True
            ):
                taken = [s for s in seconds if not math.isnan(s)]
                if taken:
                    found.append(StepTime(*step, round(len(taken) * share), sum(taken) * share))
        return sorted(found, key=lambda s: -s.seconds)

    def _programs(self) -> Iterator[_Program]:
        """Those of which some run was measured."""
        runs = self._profiler.runs()
        for i, (number, steps) in enumerate(self._profiler.programs()):
            own = [seconds for which, *_, seconds in runs if which == i]
            measured = [seconds for seconds in own if seconds]
            if measured:
                yield _Program(number, len(own), steps, measured)

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

    @property
    def phases(self) -> list[PhaseTime]:
        """The same by phase, those that there are."""
        found = [PhaseTime(p, sum(s.seconds for s in self.steps if s.phase == p)) for p in PHASES]
        return [p for p in found if p.seconds]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a trace in the Trace Event Format, which ui.perfetto.dev and chrome://tracing
        open: a track a thread, a slice a run, in it one for each stretch of a phase, and in that
        one for each step; runs that were not measured are one slice."""
        data = {"traceEvents": list(self._events()), "displayTimeUnit": "ms"}
        Path(path).write_text(json.dumps(data, allow_nan=False))

    def _events(self) -> Iterable[dict[str, Any]]:
        programs = self._profiler.programs()
        threads: dict[int, int] = {}
        yield _name("process_name", 0, "ostinato")
        for number, thread, started, taken, seconds in self._profiler.runs():
            if thread not in threads:
                threads[thread] = len(threads) + 1
                yield _name("thread_name", threads[thread], f"thread {threads[thread]}")
            track, at = threads[thread], round(started * 1e9)
            steps = programs[number][1]
            lasting = [
                (step, round(s * 1e9))
                for step, s in zip(steps, seconds, strict=False)
                if not math.isnan(s)
            ]
            whole = max(round(taken * 1e9), sum(ns for _, ns in lasting))
            yield _slice(f"Program {number}", track, at, whole, "run", {})
            yield from _steps(lasting, track, at)

    def _blocks(self) -> list[Block]:
        steps = self.steps
        if not steps:
            return [Line("nothing was measured: no compiled function ran in the block")]
        total = sum(s.seconds for s in steps) or 1.0
        by_phase = [(p.phase, p.seconds * 1e3, 100 * p.seconds / total) for p in self.phases]
        by_line = [
            (x.line, x.seconds * 1e3, 100 * x.seconds / total, ", ".join(x.names))
            for x in self.lines
        ]
        by_step = [
            (s.name, "kernel" if s.is_kernel else "call", s.phase, s.runs, s.seconds * 1e3,
             1e6 * s.seconds / s.runs, s.line)
            for s in steps
        ]  # fmt: skip
        columns = ("name", "kind", "phase", "runs", "ms", "us a run", "line")
        return [
            Table("by phase", ("phase", "ms", "%"), tuple(by_phase)),
            Table("by line", ("line", "ms", "%", "kernels and calls"), tuple(by_line)),
            Table("by step", columns, tuple(by_step)),
        ]


def _steps(
    measured: list[tuple[tuple[str, str, str, bool], int]], track: int, at: int
) -> Iterable[dict[str, Any]]:
    """The steps of a run that was measured, with nanoseconds, those of a phase that follow each
    other together."""
    for phase, stretch in groupby(measured, lambda each: each[0][2]):
        parts = list(stretch)
        yield _slice(phase or "other", track, at, sum(ns for _, ns in parts), "phase", {})
        for (name, line, _, is_kernel), ns in parts:
            kind = "kernel" if is_kernel else "call"
            yield _slice(name, track, at, ns, phase or "other", {"line": line, "kind": kind})
            at += ns


def _name(what: str, track: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": 1, "tid": track, "args": {"name": name}}


def _slice(
    name: str, track: int, started: int, taken: int, category: str, about: dict[str, Any]
) -> dict[str, Any]:
    """Nanoseconds become microseconds."""
    return {
        "name": name, "cat": category, "ph": "X", "ts": started / 1e3, "dur": taken / 1e3, "pid": 1,
        "tid": track, "args": about,
    }  # fmt: skip
