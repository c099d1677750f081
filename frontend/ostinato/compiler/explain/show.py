"""Lines and tables as plain text, for a terminal in colour, and as HTML."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from html import escape
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows of cells under the names of their columns; numbers are aligned on the right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    indent: int = 0


@dataclass(frozen=True)
class Line:
    """A line of text."""

    text: str
    indent: int = 0


@dataclass(frozen=True)
class Source:
    """Text of several lines, as it stands."""

    text: str
    indent: int = 0


Block = Table | Line | Source


class Shown:
    """What is shown as blocks: `str` gives text, rich a coloured table, a notebook HTML."""

    def _blocks(self) -> list[Block]:
        raise AssertionError("_blocks is for subclasses")

    def __str__(self) -> str:
        return as_text(self._blocks())

    def __rich__(self) -> Any:
        return as_rich(self._blocks())

    def _repr_html_(self) -> str:
        return as_html(self._blocks())


class Saved(Shown):
    """The same of data, which is also JSON, and is saved as any of these."""

    def to_json(self) -> str:
        """All of it: the fields of these classes by name. Of floats that JSON has no number for the
        names: "NaN", "Infinity", "-Infinity"."""
        return json.dumps(_as_json(self), indent=1, allow_nan=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it to a file: HTML for .html, JSON for .json, plain text for anything else."""
        file = Path(path)
        made = {".html": self._repr_html_, ".json": self.to_json}.get(file.suffix, self.__str__)
        file.write_text(made())


def as_text(blocks: Iterable[Block]) -> str:
    """Plain text: no colours, no frames."""
    lines: list[str] = []
    for block in blocks:
        made = _aligned(block) if isinstance(block, Table) else block.text.splitlines()
        lines += [(" " * block.indent + line).rstrip() for line in made]
    return "\n".join(lines)


def as_rich(blocks: Iterable[Block]) -> Any:
    """What rich prints."""
    from rich import box
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text

    made: list[Any] = []
    for block in blocks:
        if isinstance(block, Line):
            text = Text(block.text, "" if block.indent else "bold")
            made.append(Padding(text, (0, 0, 0, block.indent)))
            continue
        if isinstance(block, Source):
            made.append(Padding(Text(block.text), (0, 0, 0, block.indent)))
            continue
        table = RichTable(title=block.title, title_justify="left", box=box.SIMPLE_HEAD)
        for name, right in zip(block.columns, _right(block), strict=True):
            table.add_column(name, justify="right" if right else "left")
        for row in block.rows:
            table.add_row(*map(_told, row))
        made.append(Padding(table, (0, 0, 0, block.indent)))
    return Group(*made)


def as_html(blocks: Iterable[Block]) -> str:
    """Elements to stand in a page."""
    made: list[str] = []
    for block in blocks:
        left = f'style="margin-left: {block.indent}ch"'
        if isinstance(block, Line):
            made.append(f"<p {left}>{escape(block.text)}</p>")
            continue
        if isinstance(block, Source):
            made.append(f"<pre {left}>{escape(block.text)}</pre>")
            continue
        head = "".join(f"<th>{escape(name)}</th>" for name in block.columns)
        body = "".join(f"<tr>{_html_row(row)}</tr>" for row in block.rows)
        made.append(
            f"<table {left}><caption>{escape(block.title)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )
    return f'<div class="ostinato-explanation">{"".join(made)}</div>'


def _html_row(row: Sequence[str | int | float]) -> str:
    return "".join(
        f"<td>{escape(cell)}</td>"
        if isinstance(cell, str)
        else f'<td style="text-align: right">{_told(cell)}</td>'
        for cell in row
    )


def _as_json(value: Any) -> Any:
    """What JSON has for data of ours, or for a tensor."""
    match value:
        case float():
            return value if math.isfinite(value) else _NAMES.get(value, "NaN")
        case None | str() | int():
            return value
        case list() | tuple():
            return [_as_json(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return {key: _as_json(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case _ if is_dataclass(value):
            return {f.name: _as_json(getattr(value, f.name)) for f in fields(value)}
        case _:
            return _as_json(value.tolist())


_NAMES = {math.inf: "Infinity", -math.inf: "-Infinity"}


def _aligned(table: Table) -> list[str]:
    """The title, the columns' names and the rows below each other."""
    cells = [table.columns, *(tuple(map(_told, row)) for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    made: list[str] = [table.title]
    for row in cells:
        parts = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, _right(table), strict=True)
        ]
        made.append("  " + "  ".join(parts).rstrip())
    return made


def _right(table: Table) -> list[bool]:
    """Which columns hold numbers."""
    if not table.rows:
        return [False] * len(table.columns)
    columns = zip(*table.rows, strict=True)
    return [any(not isinstance(cell, str) for cell in column) for column in columns]


def _told(cell: str | int | float) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.3g}"
