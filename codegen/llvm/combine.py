"""What a reduction's combiners do in LLVM: where they start, one step, and the tree over lanes."""

from __future__ import annotations

import math

from ...ir.dialects.kernel import LANES
from .scalar_ops import extremum, real
from .writer import Value, Writer, integer

_INTEGER = {"sum": "add", "prod": "mul", "any": "or", "all": "and"}
_FLOAT = {"sum": "fadd", "prod": "fmul"}
_INTRINSICS = {"max": "llvm.smax", "min": "llvm.smin", "umax": "llvm.umax", "umin": "llvm.umin"}


def identity(kind: str, type_: str) -> Value:
    """The value that a reduction starts from."""
    if type_ in ("float", "double"):
        start = {"sum": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf}
        return real(start[kind], type_)
    bits = int(type_[1:])
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return integer(
        {"sum": 0, "prod": 1, "max": low, "min": high, "umax": 0, "umin": -1, "any": 0, "all": 1}[
            kind
        ],
        type_,
    )


def combined(w: Writer, kind: str, so_far: Value, element: Value) -> Value:
    """One step; of equal extremes the earlier one stays."""
    if so_far.type in ("float", "double"):
        if kind in _FLOAT:
            return w.binary(_FLOAT[kind], so_far, element)
        return extremum(w, "ogt" if kind == "max" else "olt", element, so_far)
    if kind in _INTEGER:
        return w.binary(_INTEGER[kind], so_far, element)
    return w.intrinsic(_INTRINSICS[kind], so_far, element)


def across_lanes(w: Writer, kind: str, lanes: Value) -> Value:
    """Lane k takes in lane k + 8, then k + 4, k + 2 and k + 1: the fixed tree."""
    half = LANES // 2
    while half > 1:
        low, high = (_part(w, lanes, first, half) for first in (0, half))
        lanes, half = combined(w, kind, low, high), half // 2
    first, second = (
        w.pure(f"extractelement {lanes}, i64 {k}", lanes.type, 1, [lanes]) for k in (0, 1)
    )
    return combined(w, kind, first, second)


def _part(w: Writer, lanes: Value, first: int, count: int) -> Value:
    order = ", ".join(f"i32 {k}" for k in range(first, first + count))
    return w.pure(
        f"shufflevector {lanes}, {lanes.lanes_type} poison, <{count} x i32> <{order}>",
        lanes.type,
        count,
        [lanes],
    )
