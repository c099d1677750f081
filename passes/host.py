"""What the CPU computes of a region for a device that it drives: numbers, random states, and what
follows from them alone.

The rule: an op is the CPU's where all its operands are, at least one of them no literal, and its
results are single elements or random states. Functions that create tensors are not: they stand for
memory of the device.
"""

from __future__ import annotations

from xdsl.dialects.builtin import UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from ..ir.dialects.ot import ConstantOp, TableOp
from ..ir.dtypes import int64
from ..ir.graph import HOST, is_host_argument
from .fusion.types import dtype_of, shape_of
from .fusion.views import is_view


def host_values(func: FuncOp) -> set[SSAValue]:
    """The arguments that lie on the host, and what is computed there."""
    found: set[SSAValue] = {a for a in func.args if is_host_argument(func, a.index)}
    if not found:
        return found
    for op in func.body.block.ops:
        if isinstance(op, TableOp) and _is_computed_on_host(op, found):
            found.update(op.results)
    return found


def mark_host(func: FuncOp) -> None:
    """Gives `ot.host` to the ops that the CPU computes."""
    found = host_values(func)
    for op in func.body.block.ops:
        if isinstance(op, TableOp) and op.results[0] in found and not is_view(op):
            op.attributes[HOST] = UnitAttr()


def _is_computed_on_host(op: TableOp, host: set[SSAValue]) -> bool:
    given = [v for v in op.operands if not isinstance(v.owner, ConstantOp)]
    if op.SCHEMA.creates or not given or not all(v in host for v in given):
        return False
    return all(_is_small(r) for r in op.results)


def _is_small(value: SSAValue) -> bool:
    shape = shape_of(value)
    return not shape or (shape == (2,) and dtype_of(value) is int64)
