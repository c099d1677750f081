"""Views of views become one view, and views that show everything as it was become nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.ir import SSAValue

from ..ir.dialects.ot import TableOp
from ..ir.dtypes import DType
from ..ir.graph import GraphBuilder, GraphTensor, type_of
from ..ir.op import OPS
from ..ir.shapes_index import slice_bounds

Rewrite = Callable[[TableOp, GraphBuilder], GraphTensor | None]

_RESHAPES = ("reshape", "view", "squeeze", "unsqueeze")
_PERMUTES = ("permute", "transpose")
_SAME_IF_SAME_TYPE = (*_RESHAPES, "expand", "slice", "to", "clone")


def unchanged(op: TableOp, builder: GraphBuilder) -> GraphTensor | None:
    """reshape(x, shape of x) -> x, and the like for expand, slice, to, clone."""
    source = op.operands[0]
    return builder.wrap(source) if source.type == op.results[0].type else None


def changed_value(op: TableOp, builder: GraphBuilder) -> GraphTensor | None:
    """changed(x, value) -> value; only its gradient knows of x."""
    value = op.operands[1]
    return builder.wrap(value) if value.type == op.results[0].type else None


def merge_reshapes(op: TableOp, builder: GraphBuilder) -> GraphTensor | None:
    """reshape(squeeze(x)) -> reshape(x), for every pair of reshape, view, squeeze, unsqueeze."""
    inner = made_by(op.operands[0], _RESHAPES)
    if inner is None:
        return None
    source = builder.wrap(inner.operands[0])
    shape = type_of(op.results[0]).shape
    same = source.shape == shape and not source.wrapped
    return source if same else OPS["reshape"](source, shape=shape)


def merge_permutes(op: TableOp, builder: GraphBuilder) -> GraphTensor | None:
    """transpose(permute(x)) -> permute(x), a transpose where two axes change places, or x."""
    inner = made_by(op.operands[0], _PERMUTES)
    order = order_of(op)
    if inner is not None:
        before = order_of(inner)
        order = [before[axis] for axis in order]
    elif not _is_simpler(op, order):
        return None
    source = builder.wrap(op.operands[0] if inner is None else inner.operands[0])
    moved = [axis for i, axis in enumerate(order) if i != axis]
    if not moved:
        return None if source.wrapped else source
    if len(moved) == 2:
        return OPS["transpose"](source, dim0=min(moved), dim1=max(moved))
    return OPS["permute"](source, dims=tuple(order))


def order_of(op: TableOp) -> list[int]:
    """The axis of the source that each axis of the result is."""
    attrs, ndim = op.attribute_values(), type_of(op.operands[0]).ndim
    if op.SCHEMA.name == "permute":
        return [d % ndim for d in attrs["dims"]]
    order = list(range(ndim))
    if ndim:
        a, b = attrs["dim0"] % ndim, attrs["dim1"] % ndim
        order[a], order[b] = order[b], order[a]
    return order


def _is_simpler(op: TableOp, order: Sequence[int]) -> bool:
    moved = sum(i != axis for i, axis in enumerate(order))
    return moved == 0 or (moved == 2 and op.SCHEMA.name == "permute")


def merge_expands(op: TableOp, builder: GraphBuilder) -> GraphTensor | None:
    """expand(expand(x)) -> expand(x)."""
    inner = made_by(op.operands[0], ("expand",))
    if inner is None:
        return None
    return OPS["expand"](builder.wrap(inner.operands[0]), size=type_of(op.results[0]).shape)


def merge_slices(op: TableOp, builder: GraphBuilder) -> GraphTensor | None:
    """slice(slice(x)) -> slice(x), along one axis in steps of 1."""
    inner = made_by(op.operands[0], ("slice",))
    if inner is None:
        return None
    outer_range, inner_range = _range(op), _range(inner)
    if outer_range is None or inner_range is None or outer_range[0] != inner_range[0]:
        return None
    dim, start, stop = outer_range
    first = inner_range[1]
    source = builder.wrap(inner.operands[0])
    return OPS["slice"](source, dim=dim, start=first + start, stop=first + stop)


def _range(op: TableOp) -> tuple[int, int, int] | None:
    """Axis, start and stop, counted from the front, of a slice in steps of 1."""
    attrs, shape = op.attribute_values(), type_of(op.operands[0]).shape
    dim = attrs["dim"] % len(shape)
    start, stop = slice_bounds(shape[dim], attrs["start"], attrs["stop"])
    return (dim, start, stop) if attrs["step"] == 1 else None


def merge_casts(op: TableOp, builder: GraphBuilder) -> GraphTensor | None:
    """to(to(x, wider), dtype) -> to(x, dtype), where the wider one holds every value of x."""
    inner = made_by(op.operands[0], ("to",))
    if inner is None:
        return None
    source, between = type_of(inner.operands[0]), type_of(inner.results[0])
    dtype = type_of(op.results[0]).dtype
    if source.wrapped or not _holds(between.dtype, source.dtype, dtype):
        return None
    value = builder.wrap(inner.operands[0])
    return value if source.dtype is dtype else OPS["to"](value, dtype=dtype)


_EXACT_BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def _holds(wide: DType, narrow: DType, target: DType) -> bool:
    """Whether going from `narrow` to `target` by way of `wide` loses nothing on the way."""
    if narrow.category == 0 or wide is narrow:
        return True
    if wide.category != narrow.category:
        # Integers in a float: exact if they fit, but back to an integer a float does not wrap.
        fits = wide.is_floating_point and narrow.bits <= _EXACT_BITS[wide.name]
        return fits and target.is_floating_point
    if wide.is_floating_point:
        return wide.bits > narrow.bits
    return wide.bits > narrow.bits and (wide.signed or not narrow.signed)


def made_by(value: SSAValue, names: Sequence[str]) -> TableOp | None:
    """The op that makes `value`, if it is one of `names`."""
    owner = value.owner
    return owner if isinstance(owner, TableOp) and owner.SCHEMA.name in names else None


def rewrites() -> dict[str, list[Rewrite]]:
    """The rewrites by the name of the op that they start from."""
    table: dict[str, list[Any]] = {name: [unchanged] for name in _SAME_IF_SAME_TYPE}
    for name in _RESHAPES:
        table[name].append(merge_reshapes)
    for name in _PERMUTES:
        table[name] = [merge_permutes]
    table["expand"].append(merge_expands)
    table["slice"].append(merge_slices)
    table["to"].append(merge_casts)
    return table
