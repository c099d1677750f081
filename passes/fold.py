"""Values that are one number everywhere, and what is computed from them alone."""

from __future__ import annotations

from functools import cache

from xdsl.ir import SSAValue

from ..ir.dialects.ot import ConstantOp, TableOp
from ..ir.dtypes import float32
from ..ir.graph import GraphBuilder, GraphTensor, type_of
from ..ir.interpret.arrays import ArrayTensor, apply, tensor
from ..ir.op import OPS, Op, Type
from ..ir.scalar.expression import FUNCTIONS, argument, postorder

Number = bool | int | float


def number_of(value: SSAValue) -> Number | None:
    """The number that every element of `value` is: an `ot.constant`, or an `ot.full` of one."""
    owner = value.owner
    if isinstance(owner, TableOp) and owner.SCHEMA.name == "full":
        owner = owner.operands[0].owner
    return owner.python_value if isinstance(owner, ConstantOp) else None


def fold_pointwise(op: TableOp, builder: GraphBuilder) -> GraphTensor | None:
    """A pointwise op of numbers alone: `ot.full` of the result.

    Only where arithmetic is exactly rounded: exp and its kin differ from backend to backend.
    """
    if not op.SCHEMA.is_pointwise or any(number_of(v) is None for v in op.operands):
        return None
    attrs = op.attribute_values()
    types = tuple(type_of(v) for v in op.operands)
    if not _is_exact(op.SCHEMA, types, tuple(attrs.items())):
        return None
    (result,) = apply(op.SCHEMA, [_sample(v) for v in op.operands], attrs)
    of = type_of(op.results[0])
    return OPS["full"](of.shape, result.array.item(), dtype=of.dtype)


@cache
def _is_exact(op: Op, types: tuple[Type, ...], attrs: tuple[tuple[str, object], ...]) -> bool:
    compute = op.compute(types, dict(attrs))
    compute = float32 if compute.is_floating_point and compute.bits == 16 else compute
    dtypes = [t.dtype if i in op.uncast else compute for i, t in enumerate(types)]
    root = op.scalar_body(*(argument(i, d) for i, d in enumerate(dtypes)), **dict(attrs))
    return not any(node.kind in FUNCTIONS for node in postorder([root]))


def _sample(value: SSAValue) -> ArrayTensor:
    """One element of a value, of its rank and dtype, since promotion looks at both."""
    number, of = number_of(value), type_of(value)
    assert number is not None, "only numbers have samples"
    made = tensor(number)
    if of.wrapped:
        return made
    return tensor(tensor(made, of.dtype).array.reshape((1,) * of.ndim), of.dtype)


def fold_view(op: TableOp, builder: GraphBuilder) -> GraphTensor | None:
    """A view of one number everywhere: `ot.full` of the other shape."""
    if not op.SCHEMA.view or not op.operands:
        return None
    owner = op.operands[0].owner
    if not isinstance(owner, TableOp) or number_of(op.operands[0]) is None:
        return None
    of = type_of(op.results[0])
    return OPS["full"](of.shape, builder.wrap(owner.operands[0]), dtype=of.dtype)
