"""Numbers that change nothing in a reduction, by dtype."""

from __future__ import annotations

import math

from ...ir.dtypes import DType, bool_
from .node import Number


def least(dtype: DType) -> Number:
    """What is no larger than anything."""
    if dtype.is_floating_point:
        return -math.inf
    return False if dtype is bool_ else -(2 ** (dtype.bits - 1)) if dtype.signed else 0


def most(dtype: DType) -> Number:
    """What is no smaller than anything."""
    if dtype.is_floating_point:
        return math.inf
    return True if dtype is bool_ else 2 ** (dtype.bits - dtype.signed) - 1


def zero(dtype: DType) -> Number:
    """0 of a dtype."""
    return False if dtype is bool_ else 0.0 if dtype.is_floating_point else 0


def one(dtype: DType) -> Number:
    """1 of a dtype."""
    return True if dtype is bool_ else 1.0 if dtype.is_floating_point else 1
