"""Watches the passes that tests run: at every stage the text of a module parses back to the same
module and the same bytes, and every op names a line of the user.

    make test PYTEST_ARGS=--round-trips=all

takes each text there is; the suite without it the text of those modules that hold something which
no module before held in the same process. Lines are looked at always.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from xdsl.dialects.builtin import ModuleOp, ShapedType
from xdsl.ir import Attribute, Operation

import ostinato
from ostinato.ir.errors import IRError
from ostinato.ir.locations import told_lines
from ostinato.ir.text import parse_module, print_module
from ostinato.passes import pipeline

BREAKS_IR = "breaks_ir"
"""The mark of tests that break modules on purpose."""
PACKAGE = str(Path(ostinato.__file__).parent)
NONE, NEW, ALL = "none", "new", "all"
MODE = "ROUND_TRIPS"
"""The variable that tells processes of tests how those that started them look at modules."""

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


def option_inside() -> str:
    """The option for a test that runs others in a process: what the suite looks at in its own
    processes is not looked at again there."""
    return f"--round-trips={ALL if os.environ.get(MODE) == ALL else NONE}"


@dataclass
class Watch:
    """Looks at modules before the first pass and after each: at all, or only at those that have
    something new. `problems` are told once, in order."""

    every: bool
    looked_at: int = 0
    problems: list[str] = field(default_factory=list[str])
    _met: set[Any] = field(default_factory=set[Any])
    _lines: frozenset[str] = frozenset()

    def start(self, module: ModuleOp) -> None:
        """Passes begin with `module`."""
        self.see(module, "at the start", None)

    def passed(self, module: ModuleOp, name: str) -> None:
        """The pass `name` is done."""
        self.see(module, f"after '{name}'", self._lines)

    def see(self, module: ModuleOp, when: str, known: frozenset[str] | None) -> None:
        """Looks at the lines of `module`, and at its text where it is not like those before."""
        found = list(line_problems(module, known))
        self._lines = lines_in(module)
        key = {sha256(print_module(module).encode()).digest()} if self.every else features(module)
        if not key <= self._met:
            self._met |= key
            self.looked_at += 1
            found += filter(None, [text_problem(module)])
        self.problems += [f"{when}: {p}" for p in dict.fromkeys(found)]

    def taken(self) -> Sequence[str]:
        """The problems since this was asked last."""
        taken, self.problems = self.problems, []
        return taken


def watch_passes(watch: Watch) -> None:
    """From now on `watch` sees what passes do, in this process."""
    run, run_one = pipeline._run, pipeline.Pass.run

    def running(chosen: Any, module: ModuleOp, *given: Any) -> Any:
        watch.start(module)
        return run(chosen, module, *given)

    def running_one(self: pipeline.Pass, module: ModuleOp, options: pipeline.Options) -> Any:
        told = run_one(self, module, options)
        watch.passed(module, self.name)
        return told

    pipeline._run, pipeline.Pass.run = running, running_one


class RoundTrips:
    """The plugin: a test fails by what was seen while it ran."""

    def __init__(self, mode: str) -> None:
        self.watch = Watch(mode == ALL)
        watch_passes(self.watch)

    @pytest.fixture(autouse=True)
    def _round_trips(self, request: pytest.FixtureRequest) -> Iterator[None]:
        yield
        problems = self.watch.taken()
        if problems and request.node.get_closest_marker(BREAKS_IR) is None:
            pytest.fail("\n".join(problems), pytrace=False)
