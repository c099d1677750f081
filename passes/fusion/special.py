"""Ops that are no pointwise op of the table but fuse like one: creation, joining, gathering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.ir import SSAValue

from ...ir.dialects.ot import TableOp
from ...ir.dtypes import DType, bool_, float64, int64
from ...ir.scalar.expression import Scalar, argument, cast, constant, select
from ...ir.shapes import axis_of
from ...ir.shapes_index import slice_bounds
from .expressions import as_wide, constant_of, wide
from .extraction import Extraction
from .index import (
    ZERO,
    Linear,
    axes_of,
    broadcast,
    identity,
    strides_for,
    strides_of,
    weighted,
)
from .nodes import Arg, Condition, Gathered, Node
from .random import rand, randint, randn, rng_advance
from .types import count, dtype_of, shape_of

MOST_PARTS = 3
"""How many tensors are joined in a kernel: each of its elements asks for the place of all of them.
"""

Maker = Callable[[Extraction, TableOp], Node]


def _operand(x: Extraction, op: TableOp, number: int, args: list[Arg], dtype: DType) -> Scalar:
    """Operand `number`, broadcast, as a scalar of `dtype`: a literal or an argument."""
    value, target = op.operands[number], shape_of(op.results[0])
    given = constant_of(value)
    if given is not None:
        return cast(constant(given.value, dtype_of(value)), dtype)
    args.append(x.arg(value, broadcast(shape_of(value), target)))
    return cast(argument(len(args) - 1, wide(dtype_of(value))), dtype)


def _full(x: Extraction, op: TableOp) -> Node:
    args: list[Arg] = []
    dtype = dtype_of(op.results[0])
    value = _operand(x, op, 0, args, wide(dtype))
    return x.pointwise(op, value, args)


def _size_tensor(x: Extraction, op: TableOp) -> Node:
    return x.pointwise(op, constant(op.attribute_values()["size"], int64), [])


def _iota(x: Extraction, op: TableOp) -> Node:
    floating = any(dtype_of(v).is_floating_point for v in op.operands)
    within = float64 if floating else int64
    args: list[Arg] = []
    start, step = (_operand(x, op, i, args, within) for i in (0, 1))
    at = cast(argument(len(args), int64), within)
    total = count(shape_of(op.results[0]))
    value = at if step is constant(1, within) else step * at
    value = value if start is constant(0, within) else start + value
    return x.pointwise(op, as_wide(value, dtype_of(op.results[0])), args, [identity(total)])


def _element_at(x: Extraction, value: SSAValue, axes: list[Linear],
                guard: tuple[Condition, ...]) -> Arg:  # fmt: skip
    """The element of `value` at `axes`, which lie inside of it where `guard` holds."""
    base, index = x.views.source(value)
    strides = strides_for(index, shape_of(value))
    if strides is not None:
        return x.read(base, weighted(axes, strides, index.const), guard)
    return x.materialised(value, weighted(axes, strides_of(shape_of(value))), guard)


def _moved(axis: Linear, by: int) -> Linear:
    return Linear(axis.const + by, axis.terms)


def _cat(x: Extraction, op: TableOp) -> Node:
    result = op.results[0]
    shape, dtype = shape_of(result), dtype_of(result)
    parts = [v for v in op.operands if count(shape_of(v))]
    if len(parts) > MOST_PARTS:
        return x.opaque(op)
    at = axis_of("cat", op.attribute_values()["dim"], len(shape), shape)
    axes = list(axes_of(shape))
    args: list[Arg] = []
    conditions: list[Condition] = []
    start = 0
    for v in parts:
        size = shape_of(v)[at]
        condition = Condition(axes[at], start, start + size)
        conditions.append(condition)
        inside = [_moved(a, -start) if i == at else a for i, a in enumerate(axes)]
        guard = () if condition.is_certain else (condition,)
        args.append(_element_at(x, v, inside, guard))
        start += size
    values = [cast(argument(i, wide(dtype_of(v))), wide(dtype)) for i, v in enumerate(parts)]
    whole = values[-1]
    for i in reversed(range(len(parts) - 1)):
        whole = select(argument(len(parts) + i, bool_), values[i], whole)
    return x.pointwise(op, whole, args, conditions=conditions[:-1])


def _pad(x: Extraction, op: TableOp) -> Node:
    attrs, source = op.attribute_values(), shape_of(op.operands[0])
    shape, dtype = shape_of(op.results[0]), dtype_of(op.results[0])
    axes = list(axes_of(shape))
    conditions: list[Condition] = []
    for i in range(len(attrs["pad"]) // 2):
        axis = len(shape) - 1 - i
        before = attrs["pad"][2 * i]
        condition = Condition(axes[axis], before, before + source[axis])
        if not condition.is_certain:
            conditions.append(condition)
        axes[axis] = _moved(axes[axis], -before)
    arg = _element_at(x, op.operands[0], axes, tuple(conditions))
    whole = argument(0, wide(dtype))
    outside = (
        constant(attrs["value"], wide(dtype))
        if dtype.is_floating_point
        else constant(bool(attrs["value"]) if dtype is bool_ else int(attrs["value"]), dtype)
    )
    for i in range(len(conditions)):
        whole = select(argument(1 + i, bool_), whole, outside)
    return x.pointwise(op, whole, [arg], conditions=conditions)


def _scattered(x: Extraction, op: TableOp, axis: int, first: int, last: int, whole: list[Linear],
               inside: list[Linear]) -> Node:  # fmt: skip
    """Operand 0 with what lies in [first, last) along `axis` replaced by operand 1 at `inside`."""
    base, source = op.operands
    dtype = wide(dtype_of(op.results[0]))
    condition = Condition(whole[axis], first, last)
    guard = () if condition.is_certain else (condition,)
    sizes = shape_of(source)
    spare = [ZERO] * (len(sizes) - len(inside))
    axes = [*spare, *inside][-len(sizes) :] if sizes else []
    kept = [i if n > 1 else ZERO for i, n in zip(axes, sizes, strict=True)]
    args = [_element_at(x, source, kept, guard), x.arg(base)]
    chosen = cast(argument(0, wide(dtype_of(source))), dtype)
    if not guard:
        return x.pointwise(op, chosen, args[:1])
    value = select(argument(2, bool_), chosen, argument(1, dtype))
    return x.pointwise(op, value, args, conditions=[condition])


def _select_scatter(x: Extraction, op: TableOp) -> Node:
    attrs, shape = op.attribute_values(), shape_of(op.results[0])
    at = axis_of("select_scatter", attrs["dim"], len(shape), shape)
    index = attrs["index"] % shape[at]
    axes = list(axes_of(shape))
    return _scattered(x, op, at, index, index + 1, axes, axes[:at] + axes[at + 1 :])


def _slice_scatter(x: Extraction, op: TableOp) -> Node:
    attrs, shape = op.attribute_values(), shape_of(op.results[0])
    at = axis_of("slice_scatter", attrs["dim"], len(shape), shape)
    start, stop = slice_bounds(shape[at], attrs["start"], attrs["stop"])
    if attrs["step"] != 1 or stop <= start:
        return x.opaque(op)
    axes = list(axes_of(shape))
    inside = [_moved(a, -start) if i == at else a for i, a in enumerate(axes)]
    return _scattered(x, op, at, start, stop, axes, inside)


def _gathering(x: Extraction, op: TableOp, table: Any, index: Any, link: Linear,
               index_link: Linear, axis: int) -> Node:  # fmt: skip
    """Element `link` of `table`, moved along `axis` by element `index_link` of `index`."""
    sizes = shape_of(table)
    found = Gathered(0, strides_of(sizes)[axis], sizes[axis], dtype_of(index).signed)
    base, whole = x.views.source(table)
    if base is not table and whole != identity(count(sizes)):
        return x.opaque(op)
    args = [x.arg(index, index_link), x.read(base, link, gathered=(found,))]
    return x.pointwise(op, argument(1, wide(dtype_of(table))), args)


def _index_select(x: Extraction, op: TableOp) -> Node:
    table, index = op.operands
    sizes, picked = shape_of(table), shape_of(index)
    at = axis_of("index_select", op.attribute_values()["dim"], len(sizes), sizes)
    if not sizes:
        return x.opaque(op)
    axes = axes_of(shape_of(op.results[0]))
    place = weighted(axes[at : at + len(picked)], strides_of(picked))
    kept = [*axes[:at], ZERO, *axes[at + len(picked) :]]
    return _gathering(x, op, table, index, weighted(kept, strides_of(sizes)), place, at)


def _gather(x: Extraction, op: TableOp) -> Node:
    table, index = op.operands
    sizes = shape_of(table)
    if not sizes:
        return x.opaque(op)
    at = axis_of("gather", op.attribute_values()["dim"], len(sizes), sizes)
    axes = axes_of(shape_of(op.results[0]))
    kept = [ZERO if i == at else a for i, a in enumerate(axes)]
    whole = identity(count(shape_of(index)))
    return _gathering(x, op, table, index, weighted(kept, strides_of(sizes)), whole, at)


SPECIAL: dict[str, Maker] = {
    "full": _full, "size_tensor": _size_tensor, "iota": _iota, "cat": _cat, "pad": _pad,
    "select_scatter": _select_scatter, "slice_scatter": _slice_scatter,
    "index_select": _index_select, "gather": _gather, "rand": rand, "randn": randn,
    "randint": randint, "rng_advance": rng_advance,
}  # fmt: skip
"""How ops of the table become nodes of pointwise kernels."""
