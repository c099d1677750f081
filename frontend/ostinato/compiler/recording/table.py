"""What was watched, as data, and as text, HTML and JSON made of that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from ...runtime import _C
from ..explain.show import Block, Line, Saved, Table
from ..explain.tables import short
from .channels import Channels, Named, all_channels


@dataclass(frozen=True)
class Statistics:
    """Of the elements of a tensor: how many are finite, and mean, standard deviation (with a
    divisor one less than their number), minimum and maximum of these; how many are NaN, and
    infinite. What of none is not known is NaN. The standard deviation comes from sums of squares in
    float64: its relative error is at most about 1e-14 (mean / std)²."""

    count: int
    mean: float
    std: float
    min: float
    max: float
    nan: int
    inf: int

    @classmethod
    def of(cls, sums: Sequence[Any]) -> Statistics:
        """From what `watch` computes of a tensor."""
        count, total, squares, least, largest, nan, inf = sums
        if count == 0:
            return cls(0, math.nan, math.nan, math.nan, math.nan, nan, inf)
        mean = total / count
        spread = max(squares / count - mean * mean, 0.0) * count
        std = math.sqrt(spread / (count - 1)) if count > 1 else math.nan
        return cls(count, mean, std, least, largest, nan, inf)


@dataclass(frozen=True)
class Record:
    """One value: the call that it is of, from 0, its place among the values of that call, and the
    number, the statistics, or the tensor, whole."""

    step: int
    index: int
    value: int | float | bool | Statistics | _C.Tensor


@dataclass(frozen=True)
class WatchedValue:
    """What is there of one name, oldest first: `function` is the compiled one, "" outside of any,
    and `steps` how many calls there were."""

    name: str
    line: str
    function: str
    steps: int
    records: tuple[Record, ...]

    @property
    def values(self) -> list[Any]:
        """Of the records."""
        return [r.value for r in self.records]


@dataclass(frozen=True)
class Watched(Saved):
    """All that was watched, of which `watched["loss"]` is what one name has: KeyError for others,
    and where several functions use it. `str` gives text, `rich.print` a coloured table, a notebook
    shows HTML; `to_json` is for tools, `save` writes any of these."""

    values: tuple[WatchedValue, ...]

    def __getitem__(self, name: str) -> WatchedValue:
        found = [v for v in self.values if v.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            functions = ", ".join(v.function or "code that is not compiled" for v in found)
            raise KeyError(f"watched: '{name}' is in {functions}; ask one of them, f.watched()")
        names = ", ".join(v.name for v in self.values if v.name) or "none"
        raise KeyError(f"watched: '{name}' is not there; names are {names}")

    def _blocks(self) -> list[Block]:
        made: list[Block] = []
        for value in self.values:
            inside = f" of {value.function}" if value.function else ""
            named = value.name or "value"
            made.append(Line(f"{named}{inside} at {short((value.line,))}: {value.steps} calls"))
            made += _tables(value.records)
        return made or [Line("nothing was watched: no ot.watch ran")]


def watched(of: Iterable[Channels] | None = None, clear: bool = False) -> Watched:
    """What `watch` recorded in all functions, and outside of them; with `clear` that is forgotten
    then, and calls are counted from 0 again. Waits for what a GPU still computes."""
    channels = all_channels() if of is None else of
    every = [_value(c.function, named) for c in channels for named in c if named.channel.steps]
    if clear:
        for named in (n for c in channels for n in c):
            named.channel.clear()
    return Watched(tuple(every))


def _value(function: str, named: Named) -> WatchedValue:
    entries = named.channel.entries()
    records = tuple(Record(step, index, _told(parts)) for step, index, parts in entries)
    return WatchedValue(named.name, named.line, function, named.channel.steps, records)


def _told(parts: Sequence[_C.Tensor]) -> Any:
    if len(parts) > 1:
        return Statistics.of([p.item() for p in parts])
    return parts[0].item() if parts[0].numel() == 1 else parts[0]


SHOWN = 10
"""How many of the newest records of a name are shown."""

_KINDS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Statistics, ("finite", "mean", "std", "min", "max", "NaN", "infinite")),
    (_C.Tensor, ("shape",)),
    (object, ("value",)),
)


def _tables(records: Sequence[Record]) -> Iterable[Block]:
    """A table for each kind of value."""
    left = list(records[-SHOWN:])
    for kind, columns in _KINDS:
        rows = [(r.step, r.index, *_cells(r.value)) for r in left if isinstance(r.value, kind)]
        left = [r for r in left if not isinstance(r.value, kind)]
        if rows:
            yield Table("", ("call", "in it", *columns), tuple(rows), 2)


def _cells(value: Any) -> tuple[str | int | float, ...]:
    if isinstance(value, Statistics):
        return astuple(value)
    return (str(tuple(value.shape)),) if isinstance(value, _C.Tensor) else (value,)
