"""A dump as what JSON has: each line of text once, and everything else as numbers into tables."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar

from xdsl.ir import Attribute, Block, Operation

from ..compiler.dumps import Step
from ..ir.listing import Listing, list_module
from ..ir.locations import lines_of
from ..ir.text import parse_module
from ..passes.pipeline import uncollected
from .changes import changes
from .folder import Dumped
from .graph import graph_of
from .statistics import read_statistics, statistics_file

T = TypeVar("T", bound=Hashable)


class Table(Generic[T]):
    """Distinct items in the order met, by number."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._numbers: dict[T, int] = {}

    def __call__(self, item: T) -> int:
        number = self._numbers.setdefault(item, len(self.items))
        if number == len(self.items):
            self.items.append(item)
        return number


class Packer:
    """Makes the data of a page; `strings` has the lines and names of all regions."""

    def __init__(self) -> None:
        self.strings: Table[str] = Table()

    def region(self, dumped: Dumped) -> dict[str, Any]:
        """A region: its user's files, lines that ops name, steps and kernels."""
        return _Region(self.strings, dumped).packed()


class _Region:
    def __init__(self, strings: Table[str], dumped: Dumped) -> None:
        self.strings, self.dumped = strings, dumped
        self.files: Table[str] = Table()
        self.lines: Table[tuple[int, int]] = Table()
        self.places: Table[tuple[int, ...]] = Table()
        self.of_location: dict[Attribute, int] = {}

    def packed(self) -> dict[str, Any]:
        with uncollected():
            listings = _listings(self.dumped)
        before = list(_steps_before(self.dumped.steps))
        steps = [
            self._step(step, listing, None if i is None else (i, listings[i]))
            for step, listing, i in zip(self.dumped.steps, listings, before, strict=True)
        ]
        sources = self.dumped.sources
        return {
            "title": self.dumped.folder.name,
            "steps": steps,
            "kernels": [
                {"file": file, "lines": self._text(text)}
                for file, text in self.dumped.kernels.items()
            ],
            "files": [
                {"name": name, "lines": self._text(sources.get(name, ""))}
                for name in self.files.items
            ],
            "lines": self.lines.items,
            "places": self.places.items,
        }

    def _step(
        self, step: Step, listing: Listing, before: tuple[int, Listing] | None
    ) -> dict[str, Any]:
        """Ops are [first line, last line, name, place, op around it, operands, what it defines].
        `values` are the names of values; graphs have the number of the op that holds the block."""
        values = {value: number for number, value in enumerate(listing.names)}
        ops = {place.op: number for number, place in enumerate(listing.places)}
        rows: list[list[Any]] = [
            [
                each.first, each.last, self.strings(each.op.name), self._place(each.op.location),
                _number_around(each.op, ops), [values[v] for v in each.op.operands],
                [values[v] for v in [*each.op.results, *_arguments(each.op)]],
            ]
            for each in listing.places
        ]  # fmt: skip
        return {
            "stage": step.stage,
            "part": step.part,
            "pass": step.made_by,
            "before": None if before is None else before[0],
            "lines": [self.strings(line) for line in listing.lines],
            "ops": rows,
            "values": [self.strings(name) for name in listing.names.values()],
            "statistics": read_statistics(statistics_file(self.dumped.folder / step.file), listing),
            "rewrites": [self._rewrite(row) for row in self.dumped.rewrites.get(step.file, ())],
            "changes": [] if before is None else changes(before[1], listing),
            "graphs": {ops[op]: _graph(b, ops, values) for op, b in _blocks(listing)},
        }

    def _rewrite(self, row: dict[str, Any]) -> list[Any]:
        """Number, name, op, place, and lines that begin with `+`, `-`, a space or `@@`."""
        named = [line.rpartition(":") for line in row["lines"]]
        place = self._place_of((file, int(number)) for file, _, number in named)
        changed = [self.strings(line) for line in row["changed"]]
        return [
            row["number"],
            self.strings(row["rewrite"]),
            self.strings(row["op"]),
            place,
            changed,
        ]

    def _text(self, text: str) -> list[int]:
        return [self.strings(line) for line in text.splitlines()]

    def _place(self, location: Attribute) -> int:
        """The number of the lines that a location names."""
        if location not in self.of_location:
            named = ((x.filename.data, x.line.data) for x in lines_of(location))
            self.of_location[location] = self._place_of(named)
        return self.of_location[location]

    def _place_of(self, named: Iterable[tuple[str, int]]) -> int:
        """The number of a list of files with a line of each."""
        return self.places(tuple(self.lines((self.files(self._file(f)), n)) for f, n in named))

    def _file(self, path: str) -> str:
        return self.dumped.source_of(path) or PurePosixPath(path).name


def _listings(dumped: Dumped) -> list[Listing]:
    """A listing for each step; a pass that changes nothing leaves the same one."""
    made: dict[str, Listing] = {}
    for step in dumped.steps:
        if step.text not in made:
            made[step.text] = list_module(parse_module(step.text, str(dumped.folder / step.file)))
    return [made[step.text] for step in dumped.steps]


def _steps_before(steps: list[Step]) -> Iterator[int | None]:
    """The step that each was made from: of its part, or for the first of a part the joint one."""
    last: dict[str, int] = {}
    for number, step in enumerate(steps):
        yield last.get(step.part, last.get("joint"))
        last[step.part] = number


def _arguments(op: Operation) -> Iterator[Any]:
    for region in op.regions:
        for block in region.blocks:
            yield from block.args


def _number_around(op: Operation, ops: dict[Operation, int]) -> int:
    """The number of the op that holds `op`; -1 for the module."""
    outer = op.parent_op()
    return -1 if outer is None else ops[outer]


def _blocks(listing: Listing) -> Iterator[tuple[Operation, Block]]:
    """The blocks that are drawn: those of functions, fusions and loops, but not the module's."""
    for place in listing.places[1:]:
        for region in place.op.regions:
            for block in region.blocks:
                yield place.op, block


def _graph(block: Block, ops: dict[Operation, int], values: dict[Any, int]) -> dict[str, Any]:
    """Nodes are [op, or -1 - value for an argument, row, hundredths of a column], edges
    [from, to, value] by the number of nodes."""
    graph = graph_of(block)
    numbers = {node: number for number, node in enumerate(graph.places)}
    return {
        "nodes": [
            [ops[n] if isinstance(n, Operation) else -1 - values[n], row, round(100 * column)]
            for n, (row, column) in graph.places.items()
        ],
        "edges": [[numbers[a], numbers[b], values[v]] for (a, b), v in graph.edges.items()],
    }
