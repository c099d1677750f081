"""How much arithmetic there is in a kernel and in an op of the table.

A scalar operation counts one, `exp` as well, and a pointwise op of a composite's body one an
element. Comparing, choosing, converting, moving and computing an index count nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from xdsl.ir import Block

from .dialects.kernel import BatchOp, ForOp, FuncOp, ReduceOp
from .dtypes import bool_
from .op import OPS, Op, building, is_list
from .slots import Step
from .symbolic import SymbolicTrace

_ARITHMETIC = frozenset(
    f"arith.{name}" for name in (
        "addf", "subf", "mulf", "divf", "negf", "remf", "maximumf", "minimumf", "addi", "subi",
        "muli", "divsi", "divui", "remsi", "remui",
    )
)  # fmt: skip
_CHOOSING = frozenset(("where", "cast", "clone"))


def kernel_operations(kernel: FuncOp | BatchOp, kernels: Mapping[str, FuncOp | BatchOp]) -> int:
    """The operations of one launch of a kernel without size arguments."""
    if isinstance(kernel, BatchOp):
        return sum(kernel_operations(kernels[m.kernel], kernels) for m in kernel.members)
    return kernel.fixed_length * _block_operations(kernel.body.block)


def _block_operations(block: Block) -> int:
    total = 0
    for op in block.ops:
        if isinstance(op, ReduceOp | ForOp):
            combining = len(op.kinds) if isinstance(op, ReduceOp) else 0
            total += op.trip_count * (_block_operations(op.body.block) + combining)
        elif op.name in _ARITHMETIC or op.name.startswith("math."):
            total += 0 if str(op.results[0].type) == "index" else 1
    return total


def op_operations(name: str, operands: Sequence[Any], attrs: Mapping[str, Any]) -> int:
    """The operations of one call of an op of the table; `operands` are types as `Op.infer` takes
    them, those of a list operand in a list."""
    trace = _Expanding()
    given = [[trace.value(t) for t in o] if is_list(o) else o and trace.value(o) for o in operands]
    with building(trace):
        trace.apply_op(OPS[name], given, dict(attrs))
    return sum(_own(step) for step in trace.steps)


class _Expanding(SymbolicTrace):
    """Records the ops that composites stand for."""

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if op.kind != "composite":
            return super().apply_op(op, operands, attrs)
        named = {p.name: self._lift(o) for p, o in zip(op.operands, operands, strict=True)}
        return op.body(**named, **attrs)


def _own(step: Step) -> int:
    """What an op without a body in other ops does: products, sums and functions of elements."""
    op = step.op
    assert op is not None
    if op.name == "matmul":
        return 2 * prod(step.results[0].shape) * step.operands[0].shape[-1]
    if op.reduces:
        return prod(step.operands[0].shape)
    computes = op.is_pointwise and step.results[0].dtype is not bool_ and op.name not in _CHOOSING
    return prod(step.results[0].shape) if computes else 0
