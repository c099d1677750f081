"""Which ops kernels compute, and which stay calls of native ops."""

from __future__ import annotations

from functools import lru_cache

from xdsl.ir import Block, Operation

from ...ir.dialects.ot import TableOp
from ...ir.dtypes import bool_, float32
from ...ir.graph import HOST
from ...ir.op import OPS
from ...ir.scalar.expression import argument, postorder
from .types import dtype_of, shape_of
from .views import is_view

COMBINERS = {
    "sum": "sum", "prod": "prod", "amax": "max", "amin": "min", "any": "any", "all": "all",
}  # fmt: skip
"""Reductions that kernels compute, and how they combine elements."""


@lru_cache
def _takes_remainder(name: str) -> bool:
    """True for ops whose float form has a C remainder, which is a loop that kernels do not run."""
    schema = OPS[name]
    given = [argument(i, bool_ if i in schema.uncast else float32)
             for i in range(len(schema.operands))]  # fmt: skip
    attrs = {p.name: p.default for p in schema.attrs}
    try:
        body = schema.scalar_body(*given, **attrs)
    except TypeError:
        return False
    return any(n.kind == "rem" for n in postorder([body]))


def calls_of(block: Block) -> dict[Operation, None]:
    """The ops that kernels do not compute, in order: those of the host and those on empty tensors
    are among them, views are not."""
    return {
        op: None for op in block.ops if isinstance(op, TableOp) and not is_view(op) and _is_call(op)
    }


def _is_call(op: TableOp) -> bool:
    schema = op.SCHEMA
    if HOST in op.attributes or not _has_kernels(schema.name):
        return True
    if (
        schema.is_pointwise
        and _takes_remainder(schema.name)
        and any(dtype_of(v).is_floating_point for v in op.operands)
    ):
        return True
    return any(0 in shape_of(v) for values in (op.operands, op.results) for v in values)


@lru_cache
def _has_kernels(name: str) -> bool:
    """True for ops that kernels compute where nothing special is the matter."""
    from .special import SPECIAL

    schema = OPS[name]
    fuses = schema.is_pointwise or schema.elementwise
    return fuses or name in COMBINERS or name in SPECIAL
