"""The graph dialect `ot`: one op class for each op of the table, made on first use.

    %2 = ot.sum %0 {dim = array<i64: 1>, keepdim = false} : (tensor<2x3xf32>) -> tensor<2xf32>
    %3 = ot.cat [%2, %1] {dim = 0 : i64} : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>

A list operand stands in brackets, an absent operand is `none`, an attribute that is None is left
out. A verifier infers the result types from the op's table entry. Beside these there are
`ot.constant` (a Python number), `ot.gradient` (until `passes/autodiff.py` expands it) and
`ot.fusion` with `ot.yield` (ops that become one kernel).
"""

from __future__ import annotations

from functools import cache

from xdsl.ir import Dialect

from ...op import OPS
from .constant import ConstantOp
from .fusion import FusionOp, YieldOp
from .gradient import GradientOp
from .table import TableOp, class_of, has_segments, infer
from .types import NumberType

__all__ = [
    "ConstantOp",
    "FusionOp",
    "GradientOp",
    "NumberType",
    "TableOp",
    "YieldOp",
    "class_of",
    "dialect",
    "has_segments",
    "infer",
]


@cache
def dialect() -> Dialect:
    """The dialect with a class for every op of the table."""
    rows = [class_of(name) for name, op in OPS.items() if op.kind != "function"]
    return Dialect("ot", [*rows, ConstantOp, GradientOp, FusionOp, YieldOp], [NumberType])
