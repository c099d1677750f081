"""How far results may lie from the exact ones: what ops promise, eager and compiled alike.

An op's result is what the exact op gives for operands of which each element is off by a few units
in the last place, rounded: sums may be added in any order, functions are within two units, and a
fused kernel may keep half types in float32 where eager code rounds each result.
"""

from __future__ import annotations

from .dtypes import DType
from .op import Op

_DIGITS = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
"""Bits behind the leading one."""

_TF32_DIGITS = 10


def unit(dtype: DType) -> float:
    """The distance from 1 to the next number of a floating-point type."""
    return 2.0 ** -_DIGITS[dtype.name]


def stated_error(dtype: DType) -> float:
    """How far an element of a result may be off, relative to it, given the operands as they are."""
    return unit(dtype) if dtype.bits == 16 else 4 * unit(dtype)


def is_exact(op: Op) -> bool:
    """Whether results are the same bits wherever the op runs: views, what is made from nothing, and
    what random bits select."""
    kinds = {p.kind for p in op.operands}
    return op.view or not kinds or "rng" in kinds


def product_error(op: Op, dtype: DType) -> float:
    """What may be lost of each operand of a product where float32 may be multiplied as TF32."""
    is_product = op.autocast == "low" and dtype.name == "float32"
    return 2.0**-_TF32_DIGITS if is_product else 0.0
