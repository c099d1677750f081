"""Minimum, maximum, mean and NaNs of the values of a stage, recorded while it is interpreted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from ..ir.errors import IRError
from ..ir.interpret.module import made_by
from ..ir.listing import Listing, list_module

SUFFIX = ".stats.json"


def statistics_file(stage: Path) -> Path:
    """Where statistics of a stage are kept: `3-simplified.stats.json` beside it."""
    return stage.with_suffix(SUFFIX)


class Recorder:
    """What the interpreter shows of `module` (see `ir.interpret.Seen`), by number of the value in
    the text."""

    def __init__(self, module: ModuleOp) -> None:
        names = list_module(module).names
        self._numbers = {value: number for number, value in enumerate(names)}
        self._names = list(names.values())
        self._rows: dict[int, dict[str, Any]] = {}

    def seen(self, op: Operation, made: Sequence[NDArray[Any]]) -> None:
        """`op` ran, and made these."""
        for value, array in zip(made_by(op), made, strict=True):
            number = self._numbers[value]
            self._rows[number] = {"value": number, "name": self._names[number]} | summary(array)

    def write(self, stage: Path) -> Path:
        """Writes the rows beside `stage`, and returns the file."""
        file = statistics_file(stage)
        file.write_text(json.dumps(list(self._rows.values()), indent=1) + "\n", encoding="utf-8")
        return file


def summary(array: NDArray[Any]) -> dict[str, str]:
    """Figures as text, since JSON has no infinity; those of nothing but NaNs are `nan`."""
    numbers = array.astype(np.float64).ravel()
    known = numbers[~np.isnan(numbers)]
    with np.errstate(invalid="ignore"):
        figures = (known.min(), known.max(), known.mean()) if known.size else (np.nan,) * 3
    named = dict(zip(("min", "max", "mean"), (f"{x:.6g}" for x in figures), strict=True))
    return named | {"nan": str(numbers.size - known.size)}


def read_statistics(file: Path, listing: Listing) -> dict[int, dict[str, str]]:
    """The figures of a stage by number of the value; none where none were recorded.

    IRError for a file that is damaged, or that tells of another text than `listing`.
    """
    if not file.exists():
        return {}
    names = list(listing.names.values())
    try:
        rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        numbers = [int(row.pop("value")) for row in rows]
        fit = all(names[n] == row.pop("name") for n, row in zip(numbers, rows, strict=True))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        fit, numbers, rows = False, [], []
    if not fit:
        stage = file.name.removesuffix(SUFFIX)
        raise IRError(
            f"view: {file} does not fit; make it with `ostinato run --stats {stage}.mlir`"
        )
    return dict(zip(numbers, rows, strict=True))
