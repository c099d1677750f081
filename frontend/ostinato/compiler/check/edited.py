"""Calls of regions with edited dumps within `detect_anomaly`: what runs is the edit, so its ops are
looked at one by one, by the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ir.errors import GradientError
from ...ir.locations import told_lines
from ...passes.trail import name_of
from ...runtime import _C
from ..passed import PREFIXES, steps
from .closeness import array_of

if TYPE_CHECKING:
    from xdsl.ir import Operation, SSAValue

    from ..region import Region
    from ..resume.edits import Edits


def look_at_edits(region: Region, edits: Edits, inputs: Sequence[Any]) -> None:
    """GradientError where an op of a text that stands for the region, or its forward part, makes
    what is refused of these inputs. What backward computes is not known yet."""
    for file, text in edits.texts.items():
        part, _ = steps(region)[int(file.partition("-")[0])]
        if part == PREFIXES[1].rstrip("-"):
            continue
        given = [array_of(t).copy() for t in inputs]
        if part == "joint":  # gradients of the results are its last arguments
            shapes = (region.values[region.results[i]][2] for i in region.ties.results)
            given += [np.ones(shape) for shape in shapes]
        _interpret(text, f"{edits.folder.name}/{file}", given)


def _interpret(text: str, name: str, given: Sequence[Any]) -> None:
    from ...ir.graph import main_of, type_of
    from ...ir.interpret.arrays import convert
    from ...ir.interpret.module import made_by, run
    from ...ir.locations import fill_locations
    from ...ir.text import parse_module

    module = parse_module(text, name)
    fill_locations(module)
    pairs = list(zip(main_of(module).args, given, strict=True))
    refused: set[SSAValue] = {a for a, x in pairs if _is_refused(x)}

    def look(op: Operation, made: Sequence[Any]) -> None:
        bad = {v for v, x in zip(made_by(op), made, strict=True) if _is_refused(x)}
        if bad and refused.isdisjoint(op.operands):
            what = "NaN" if _C.anomaly() == 1 else "NaN or an infinity"
            maker = f"{name_of(op)} at {', '.join(told_lines(op.location)) or 'no line of yours'}"
            raise GradientError(
                f"detect_anomaly: {maker} makes {what} of operands that have none, in {name}, "
                "which was edited"
            )
        refused.difference_update(made_by(op))
        refused.update(bad)

    types = [type_of(a) for a, _ in pairs]
    inputs = [
        x.item() if t.wrapped else convert(x, t.dtype)
        for (_, x), t in zip(pairs, types, strict=True)
    ]
    with np.errstate(all="ignore"):
        run(module, inputs, look)


def _is_refused(array: Any) -> bool:
    """Whether it has what is looked for."""
    if not np.issubdtype(array.dtype, np.floating):
        return False
    bad = np.isnan(array) if _C.anomaly() == 1 else ~np.isfinite(array)
    return bool(bad.any())
