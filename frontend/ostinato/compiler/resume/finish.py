"""Takes a dumped module from where it stands to the end of the way, and runs it on the machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from ...ir.errors import CompileError, IRError
from ...ir.graph import main_of
from ...ir.interpret.program import ARENA
from ...ir.stages import stage_of
from ...passes.pipeline import PIPELINE, run_passes
from ...runtime import _C
from ..check.closeness import Array, array_of
from ..check.exposed import inputs_of
from ..dumps import STEPS
from ..lowered import program_of
from ..passed import FIRST, options_for

_AFTER = {"capture": 0, "mask_padding": len(FIRST), "split": len(FIRST) + 1}
"""How many passes lie behind what is no pass itself."""


def run_on(module: ModuleOp, inputs: Sequence[Any], device: str, file: Path) -> list[Array]:
    """The results of the module in `file` by the passes that are left and the machine's code."""
    if device != "cpu" and not _C.cuda_is_available():
        raise CompileError(f"run: there is no {device} here; give --device cpu, or none")
    run_passes(module, passes_left(module, file), options_for(device), verify=True)
    results = program_of(module, device).run(inputs_of(inputs, module, device))
    return [array_of(t) for t in results]


def passes_left(module: ModuleOp, file: Path) -> list[str]:
    """The passes that come after the step that `file` was dumped at, else after its stage."""
    names = [p.name for p in PIPELINE]
    made_by = _made_by(file)
    if made_by in names:
        return names[names.index(made_by) + 1 :]
    if made_by in _AFTER:
        return names[_AFTER[made_by] :]
    stage = stage_of(module)
    if stage == "planned" and ARENA not in main_of(module).attributes:
        stage = "kernels"
    first = next((i for i, p in enumerate(PIPELINE) if p.stage == stage), -1)
    return names[first + 1 :]


def _made_by(file: Path) -> str:
    """What made the step that is in `file`, as the folder around it says."""
    index = file.parent / STEPS
    if not index.is_file():
        return ""
    try:
        rows: list[dict[str, str]] = json.loads(index.read_text(encoding="utf-8"))
        return next((row["made_by"] for row in rows if row["file"] == file.name), "")
    except (ValueError, KeyError, TypeError) as error:
        raise IRError(f"{index} is damaged; dump the region again") from error
