"""What has to be true of a module at every stage: its text parses back to the same module and the
same bytes, and every op names a line of the user.

A `Watch` looks at what passes make in this process; `watched_tests` is the plugin that has one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from hashlib import sha256
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import ModuleOp, ShapedType
from xdsl.ir import Attribute, Operation

import ostinato
from ostinato.ir import stages
from ostinato.ir.errors import IRError
from ostinato.ir.interpret import module as interpreter
from ostinato.ir.locations import told_lines
from ostinato.ir.text import parse_module, print_module

if TYPE_CHECKING:
    from ostinato.passes.pipeline import Options, Pass

PACKAGE = str(Path(ostinato.__file__).parent)
FOLDER = "OSTINATO_WATCHED"
"""The variable with the folder where processes of tests note what they saw."""
READERS = ((interpreter, "run"), (stages, "verify"))
"""Functions of a module that tests call with what no pass made, too."""

Text = Callable[[ModuleOp], str]


def text_problem(module: ModuleOp, printed: Text = print_module) -> str | None:
    """What is lost on the way from a module to text and back; None where nothing is."""
    text = printed(module)
    try:
        parsed = parse_module(text)
    except IRError as error:
        return f"the text does not parse: {error}"
    again = printed(parsed)
    if again != text:
        pairs = zip(text.splitlines(), again.splitlines(), strict=False)
        return next((f"{a}\nis printed again as\n{b}" for a, b in pairs if a != b), "text is lost")
    for op, other in zip(module.walk(), parsed.walk(), strict=True):
        if lost := _difference(op, other):
            return f"{op.name} is parsed with other {lost}"
    return None


def _difference(op: Operation, other: Operation) -> str | None:
    """What of an op itself is not as in another; the text has the rest."""
    if op.name != other.name:
        return "names"
    if op.attributes != other.attributes or op.properties != other.properties:
        return "attributes"
    if [r.type for r in op.results] != [r.type for r in other.results]:
        return "types"
    return None if op.location == other.location else "lines"


def line_problems(module: ModuleOp, known: frozenset[str] | None) -> Iterator[str]:
    """Ops without a line, with one of the package, or with one that is none of `known`."""
    for op in _located(module):
        lines = told_lines(op.location)
        if not lines:
            yield f"{op.name} has no line"
        for line in lines:
            if line.startswith(PACKAGE):
                yield f"{op.name} names {line}, which is no line of the user"
            elif known is not None and line not in known:
                yield f"{op.name} names {line}, which no op named before"


def lines_in(module: ModuleOp) -> frozenset[str]:
    """The lines that the ops of a module name."""
    return frozenset(line for op in _located(module) for line in told_lines(op.location))


def _located(module: ModuleOp) -> Iterable[Operation]:
    """An op for each location: ops of one line share it, and looking at one is slow."""
    return {id(op.location): op for op in module.walk()}.values()


def features(module: ModuleOp) -> set[Any]:
    """What printer and parser have to do with: each kind of op with its attributes and types."""
    return {
        (op.name, *_kinds(op.properties), *_kinds(op.attributes), len(op.operands),
         *(_kind(r.type) for r in op.results), type(op.location), len(op.regions))
        for op in module.walk()
    }  # fmt: skip


def _kinds(attributes: dict[str, Attribute]) -> Iterator[tuple[str, type]]:
    return ((name, type(value)) for name, value in attributes.items())


def _kind(of: Attribute) -> Any:
    element: Any = of.get_element_type() if isinstance(of, ShapedType) else None  # type: ignore
    return type(of), element


@dataclass
class Watch:
    """Looks at modules: before the first pass and after each, and with `every` also those that are
    verified and interpreted. Lines are looked at always; the text of a module with `every` unless
    the same text was met before, else where something is new in it."""

    every: bool
    seen: int = 0
    looked_at: int = 0
    problems: list[str] = field(default_factory=list[str])
    _met: set[Any] = field(default_factory=set[Any])
    _lines: dict[int, frozenset[str]] = field(default_factory=dict[int, frozenset[str]])

    def start(self, module: ModuleOp) -> None:
        """Passes begin with `module`."""
        self.see(module, "at the start", None)

    def passed(self, module: ModuleOp, name: str) -> None:
        """The pass `name` is done."""
        self.see(module, f"after '{name}'", self._lines[get_ident()])

    def see(self, module: ModuleOp, when: str, known: frozenset[str] | None) -> None:
        """Looks at the lines and at the text of `module`."""
        found = list(line_problems(module, known))
        self._lines[get_ident()] = lines_in(module)
        self.read(module, when, found)

    def read(self, module: ModuleOp, when: str, found: Sequence[str] = ()) -> None:
        """Looks at the text of `module`, of which `found` is known already."""
        self.seen += 1
        key = {sha256(print_module(module).encode()).digest()} if self.every else features(module)
        if not key <= self._met:
            self._met |= key
            self.looked_at += 1
            found = [*found, *filter(None, [text_problem(module)])]
        self.problems += [f"{when}: {p}" for p in dict.fromkeys(found)]

    def taken(self) -> Sequence[str]:
        """The problems since this was asked last."""
        taken, self.problems = self.problems, []
        return taken


class NotingWatch(Watch):
    """The watch of a process that tests start: what it sees is written down at once, since such a
    process may end anywhere."""

    def __init__(self, folder: Path) -> None:
        super().__init__(every=True)
        self._notes = folder / f"{os.getpid()}.notes"

    def read(self, module: ModuleOp, when: str, found: Sequence[str] = ()) -> None:
        """Looks at a module, and notes that and what is wrong with it."""
        before = self.looked_at
        super().read(module, when, found)
        with self._notes.open("a") as file:
            print(json.dumps([self.looked_at - before, list(self.taken())]), file=file)


def watch_passes(watch: Watch) -> None:
    """From now on `watch` sees what passes do, in this process."""
    # Processes load this module while they load that one (see `watched`).
    from ostinato.passes import pipeline

    run, run_one = pipeline._run, pipeline.Pass.run

    def running(chosen: Any, module: ModuleOp, *given: Any) -> Any:
        watch.start(module)
        return run(chosen, module, *given)

    def running_one(self: Pass, module: ModuleOp, options: Options) -> Any:
        told = run_one(self, module, options)
        watch.passed(module, self.name)
        return told

    pipeline._run, pipeline.Pass.run = running, running_one
    if watch.every:
        for home, name in READERS:
            _watch_reader(watch, home, name)


def _watch_reader(watch: Watch, home: Any, name: str) -> None:
    """`watch` reads the module that `home.name` was called with, where it took that."""
    function = getattr(home, name)

    @wraps(function)
    def reading(module: ModuleOp, *given: Any, **named: Any) -> Any:
        told = function(module, *given, **named)
        watch.read(module, f"in '{name}'")
        return told

    setattr(home, name, reading)
