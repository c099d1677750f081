"""Offsets of elements in a buffer, from affine maps over indices of which some differ by lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
    AffineSymExpr,
)

from .writer import LaneIndex, Value, Writer, integer


@dataclass(frozen=True)
class Offset:
    """An element offset: `base + stride * lane`, or any value in each lane where stride is None.
    The stride is a literal unless it depends on sizes."""

    base: Value
    stride: Value | None

    @property
    def is_uniform(self) -> bool:
        """Whether all lanes have the same."""
        return self.stride is not None and self.stride.name == "0"

    @property
    def is_dense(self) -> bool:
        """Whether each lane has the next one."""
        return self.stride is not None and self.stride.name == "1"


_NONE, _ONE = integer(0), integer(1)


def lane_values(w: Writer, index: LaneIndex) -> Value:
    """The index of each lane as a vector of i64."""
    steps = ", ".join(f"i64 {k}" for k in range(index.width))
    lanes = Value(f"<{steps}>", "i64", index.width, literal=True)
    return w.binary("add", index.base, lanes)


def offset_of(w: Writer, map_: AffineMap, indices: Sequence[Value | LaneIndex]) -> Offset:
    """The offset that `map_` gives for `indices`, its dims and then its symbols."""
    return _offset(w, map_.results[0], indices[: map_.num_dims], indices[map_.num_dims :])


def _offset(
    w: Writer,
    expr: AffineExpr,
    dims: Sequence[Value | LaneIndex],
    symbols: Sequence[Value | LaneIndex],
) -> Offset:
    if isinstance(expr, AffineConstantExpr):
        return Offset(integer(expr.value), _NONE)
    if isinstance(expr, (AffineDimExpr, AffineSymExpr)):
        known = dims if isinstance(expr, AffineDimExpr) else symbols
        index = known[expr.position]
        if isinstance(index, LaneIndex):
            return Offset(index.base, _ONE)
        return Offset(index, _NONE if index.width == 1 else None)
    assert isinstance(expr, AffineBinaryOpExpr)
    left, right = (_offset(w, e, dims, symbols) for e in (expr.lhs, expr.rhs))
    if expr.kind is AffineBinaryOpKind.Add:
        return _sum(w, left, right)
    if expr.kind is AffineBinaryOpKind.Mul:
        return _scaled(w, left, right)
    value = left.base if left.is_uniform else _spread(w, left, _width(dims, symbols))
    quotient = _divided(w, expr.kind, value, right.base)
    return Offset(quotient, _NONE if value.width == 1 else None)


def _width(dims: Sequence[Value | LaneIndex], symbols: Sequence[Value | LaneIndex]) -> int:
    return max(index.width for index in (*dims, *symbols))


def _spread(w: Writer, offset: Offset, width: int) -> Value:
    """The offset in each of `width` lanes."""
    if offset.stride is None:
        return offset.base
    if offset.is_uniform:
        return w.widened(offset.base, width)
    return w.binary("add", offset.base, lane_steps(w, offset.stride, width))


def lane_steps(w: Writer, stride: Value, width: int) -> Value:
    """`stride` times the number of each lane; a constant where the stride is."""
    by = int(stride.name) if stride.literal else 1
    steps = ", ".join(f"i64 {k * by}" for k in range(width))
    lanes = Value(f"<{steps}>", "i64", width, literal=True)
    return lanes if stride.literal else w.binary("mul", lanes, stride)


def _sum(w: Writer, a: Offset, b: Offset) -> Offset:
    if a.stride is None or b.stride is None:
        width = max(a.base.width, b.base.width)
        return Offset(w.sum(_spread(w, a, width), _spread(w, b, width)), None)
    return Offset(w.sum(a.base, b.base), w.sum(a.stride, b.stride))


def _scaled(w: Writer, a: Offset, factor: Offset) -> Offset:
    stride = None if a.stride is None else w.product(a.stride, factor.base)
    return Offset(w.product(a.base, factor.base), stride)


def _divided(w: Writer, kind: AffineBinaryOpKind, a: Value, by: Value) -> Value:
    """floordiv, ceildiv or mod by a positive number, rounding as the names say."""
    if kind is AffineBinaryOpKind.CeilDiv:
        a, kind = w.binary("add", a, w.sum(by, integer(-1))), AffineBinaryOpKind.FloorDiv
    divisor = int(by.name) if by.literal else 0
    if divisor and divisor & (divisor - 1) == 0:
        if kind is AffineBinaryOpKind.Mod:
            return w.binary("and", a, integer(divisor - 1))
        return w.binary("ashr", a, integer(divisor.bit_length() - 1))
    rest = w.binary("srem", a, by)
    negative = w.compare("icmp slt", rest, integer(0))
    if kind is AffineBinaryOpKind.Mod:
        return w.select(negative, w.binary("add", rest, by), rest)
    quotient = w.binary("sdiv", a, by)
    return w.select(negative, w.binary("add", quotient, integer(-1)), quotient)
