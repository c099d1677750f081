"""Which part of a training step an instruction of a Program belongs to, by the lines it is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .region import Region

FORWARD, BACKWARD, OPTIMIZER = PHASES = ("forward", "backward", "optimizer")


def note_phases(
    specs: Sequence[dict[str, Any]], region: Region, are_backward: Sequence[bool] = (False, True)
) -> None:
    """Gives each instruction of Programs of `region` its phase; by default the first is the forward
    one.

    What a gradient is made of has the line that asked for it besides those that it is the gradient
    of. What comes after the last one is the optimizer's, clipping included. A kernel of several
    phases is of the last of them; a line that stands in several is that of the first.
    """
    by_line = _phases_of_lines(region)
    for spec, is_backward in zip(specs, are_backward, strict=False):
        for step in spec["instructions"]:
            step["phase"] = BACKWARD if is_backward else _last(step["lines"], by_line)


def _phases_of_lines(region: Region) -> dict[str, str]:
    """The first phase that has a node of each line; what a gradient starts from is part of it."""
    gradients = [i for i, node in enumerate(region.nodes) if node.name is None]
    last = gradients[-1] if gradients else len(region.nodes)
    seeds = {region.nodes[i].operands[1] for i in gradients}
    found: dict[str, str] = {}
    for i, node in enumerate(region.nodes):
        if node.line is not None and seeds.isdisjoint(node.results):
            phase = OPTIMIZER if i > last else FORWARD if node.name else BACKWARD
            found.setdefault(f"{node.line[0]}:{node.line[1]}", phase)
    return found


def _last(lines: Iterable[str], by_line: dict[str, str]) -> str:
    phases = [PHASES.index(by_line.get(line, FORWARD)) for line in lines]
    return PHASES[max(phases, default=0)]
