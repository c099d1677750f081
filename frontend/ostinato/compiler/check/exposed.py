"""Kernels and calls of a region run on the machine one by one, beside their interpretation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import DictionaryAttr, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from ...ir.dialects.program import CallOp, LaunchOp, ViewOp
from ...ir.graph import HOST, is_host_argument, main_of, type_of
from ...ir.op import Type
from ...ir.text import parse_module
from ...passes.pipeline import run_passes
from ...runtime import _C
from ..lowered import program_of
from ..passed import options_for
from .closeness import array_of
from .culprit import Interpreted, is_alike, tolerance


def wrong_step(stage: Interpreted, device: str, half: bool) -> Operation | None:
    """The first step of a module at stage `kernels` that gives something else on the machine than
    in the interpreter."""
    return next(other_steps(stage, device, half), None)


def other_steps(stage: Interpreted, device: str, half: bool) -> Iterator[Operation]:
    """All of them, those that read what others gave too. For that the module is compiled again,
    with what each step makes as a result."""
    module = parse_module(stage.text)
    shown = _expose(main_of(module))
    run_passes(module, ["plan_memory"], options_for(device))
    found = program_of(module, device).run(inputs_of(stage.inputs, module, device))
    for (op, wanted), places in zip(stage.made, shown, strict=True):
        pairs = [(array_of(found[at]), want)
                 for want, at in zip(wanted, places, strict=False) if at is not None]  # fmt: skip
        if not all(is_alike(made, want, tolerance(half)) for made, want in pairs):
            yield op


def _expose(main: FuncOp) -> list[list[int | None]]:
    """What the steps make is returned from `@main`: for each step, which results its values are;
    None for one that is a result through a view, and for values of the host. What is not row-major
    in memory is copied for that."""
    end = main.body.block.last_op
    assert end is not None
    returned = list(end.operands)
    viewed = {_memory(v) for v in returned if isinstance(v.owner, ViewOp)}
    shown: list[list[int | None]] = []
    for op in list(main.body.block.ops):
        if not isinstance(op, (LaunchOp, CallOp)):
            continue
        free = [r for r in op.outputs if HOST not in op.attributes and r not in viewed]
        plain = {r: _row_major(op, i, end) for i, r in enumerate(op.outputs) if r in free}
        returned += [v for v in plain.values() if v not in returned]
        shown.append([returned.index(plain[r]) if r in free else None for r in op.outputs])
    end.operands = returned
    main.update_function_type()
    return shown


def _row_major(op: LaunchOp | CallOp, number: int, end: Operation) -> SSAValue:
    """Result `number` of a step, or a copy of it."""
    value = op.outputs[number]
    if not (isinstance(op, CallOp) and op.strides and op.strides[number]):
        return value
    copy = CallOp.of("clone", [value], [1], DictionaryAttr({}), [value.type])
    copy.location = op.location
    assert end.parent is not None
    end.parent.insert_op_before(copy, end)
    return copy.outputs[0]


def _memory(value: SSAValue) -> SSAValue:
    """The value whose memory a view shows."""
    while isinstance(value.owner, ViewOp):
        value = value.owner.source
    return value


def inputs_of(values: Sequence[Any], module: ModuleOp, device: str) -> list[Any]:
    """What the module takes, arrays and numbers, in memory that it may write to."""
    main = main_of(module)
    places = ["cpu" if is_host_argument(main, i) else device for i in range(len(main.args))]
    return [
        _tensor(x, type_of(a), place) for x, a, place in zip(values, main.args, places, strict=True)
    ]


def _tensor(value: Any, of: Type, device: str) -> Any:
    if of.wrapped:
        return _C.number(value)
    return _C.from_array(np.array(value)).to(of.dtype).to(device)
