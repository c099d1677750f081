"""Puts an edited text in the place of a module, where it can stand there."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from ...ir.bounds import check_bounds
from ...ir.errors import IRError
from ...ir.graph import HOST, is_host_argument, main_of
from ...ir.interpret.program import ARENA, HOST_BYTES
from ...ir.locations import fill_locations
from ...ir.stages import verify
from ...ir.text import Where, parse_placed

_SIZES = (ARENA, HOST_BYTES)
"""Attributes of `@main` that an edit may change: what memory it takes."""


def put(module: ModuleOp, text: str, name: str, stage: str) -> None:
    """Makes `module` what `text` says, which comes from the file `name`.

    IRError, with the line, where that is no module at `stage`, or one of another region.
    """
    edited, where = parse_placed(text, name)
    fill_locations(edited)
    verify(edited, stage, where)
    if (stage == "planned") != (ARENA in main_of(edited).attributes):
        raise IRError(f"{where(edited)}stage '{stage}': program.arena_bytes is for stage 'planned'")
    _expect_same_function(main_of(module), main_of(edited), where)
    check_bounds(edited, where)
    block = module.body.block
    for op in list(block.ops):
        block.erase_op(op)
    for op in list(edited.ops):
        op.detach()
        block.add_op(op)
    module.location = edited.location


def _expect_same_function(made: FuncOp, edited: FuncOp, where: Where) -> None:
    """The rest of the region hands over the same arguments, and takes the same results."""
    if made.function_type != edited.function_type:
        raise IRError(
            f"{where(edited)}@main is {edited.function_type}; the region needs "
            f"{made.function_type}, so keep its arguments and results"
        )
    old, new = _attributes(made), _attributes(edited)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if names:
        raise IRError(
            f"{where(edited)}the attribute {names[0]} of @main is not that of the region; keep it"
        )


def _attributes(func: FuncOp) -> Mapping[str, object]:
    hosted = [i for i in range(len(func.args)) if is_host_argument(func, i)]
    return {k: v for k, v in func.attributes.items() if k not in _SIZES} | {HOST: hosted}
