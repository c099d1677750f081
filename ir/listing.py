"""The text of a module without locations, and where in it each op and value is."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import StringIO

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.printer import Printer

from .text import plain_hints


@dataclass
class Place:
    """The lines [first, last] of an op, which those of its regions are among."""

    op: Operation
    first: int
    last: int


@dataclass
class Listing:
    """The lines of a module, its ops in the order printed, and the names of its values."""

    lines: list[str]
    places: list[Place] = field(default_factory=list[Place])
    names: dict[SSAValue, str] = field(default_factory=dict[SSAValue, str])


def list_module(module: ModuleOp) -> Listing:
    """The listing of `module`: the lines of `print_module`, but for locations."""
    plain_hints(module)
    stream = _Counting()
    recorder = _Recorder(stream)
    recorder.print_op(module)
    return Listing(stream.getvalue().split("\n"), recorder.places, recorder.names)


class _Counting(StringIO):
    """Text that knows how many lines it has."""

    line = 0

    def write(self, s: str, /) -> int:
        self.line += s.count("\n")
        return super().write(s)


class _Recorder(Printer):
    """Notes what it prints, and where."""

    def __init__(self, stream: _Counting) -> None:
        super().__init__(stream)
        self.counting = stream
        self.places: list[Place] = []
        self.names: dict[SSAValue, str] = {}

    def print_op(self, op: Operation) -> None:
        place = Place(op, self.counting.line, 0)
        self.places.append(place)
        super().print_op(op)
        place.last = self.counting.line

    def print_ssa_value(self, value: SSAValue) -> str:
        name = super().print_ssa_value(value)
        self.names[value] = name
        return name
