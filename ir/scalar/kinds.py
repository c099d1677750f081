"""The kinds of node of the scalar language: the one table of its primitives and functions."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from ..dtypes import DType, bool_

# Internal to the scalar language: bit tricks and Philox need them, no tensor has them.
uint32 = DType("uint32", -1, 1, 32, False, "ui32", "uint32")
uint64 = DType("uint64", -2, 1, 64, False, "ui64", "uint64")


@dataclass(frozen=True)
class Kind:
    """One kind of node: `domain` says which operand dtypes it takes, `result` its dtype rule.

    Domain letters: b bool, i integers, u uint32 only, f float32 and float64, h float16 and
    bfloat16. Result: `same` as the operands, `bool`, `select` (bool, then two alike), `given`.
    """

    name: str
    arity: int
    domain: str
    result: str = "same"
    commutative: bool = False


# Every kind is total and free of side effects, so that both sides of a select may be computed.
# Integers wrap. Shift amounts count modulo the width. A zero divisor gives 0 for integers.
# minimum and maximum give NaN if either side is NaN and the second operand if both are equal.
# cast from float to integer truncates; its value is unspecified outside the integer's range.
PRIMITIVES: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("add", 2, "if", commutative=True),
        Kind("sub", 2, "if"),
        Kind("mul", 2, "if", commutative=True),
        Kind("div", 2, "f"),
        Kind("rem", 2, "if"),  # C's remainder: the sign of the dividend
        Kind("floordiv", 2, "i"),
        Kind("mod", 2, "i"),  # Python's: the sign of the divisor
        Kind("mulhi", 2, "u", commutative=True),
        Kind("neg", 1, "if"),
        Kind("abs", 1, "if"),
        Kind("sqrt", 1, "f"),
        Kind("floor", 1, "f"),
        Kind("ceil", 1, "f"),
        Kind("trunc", 1, "f"),
        Kind("round", 1, "f"),  # half to even
        Kind("minimum", 2, "bif"),
        Kind("maximum", 2, "bif"),
        Kind("and", 2, "bi", commutative=True),
        Kind("or", 2, "bi", commutative=True),
        Kind("xor", 2, "bi", commutative=True),
        Kind("not", 1, "bi"),
        Kind("shl", 2, "i"),
        Kind("shr", 2, "i"),  # arithmetic for signed, logical for unsigned integers
        Kind("lt", 2, "bif", "bool"),
        Kind("le", 2, "bif", "bool"),
        Kind("gt", 2, "bif", "bool"),
        Kind("ge", 2, "bif", "bool"),
        Kind("eq", 2, "bif", "bool", commutative=True),
        Kind("ne", 2, "bif", "bool", commutative=True),
        Kind("isnan", 1, "f", "bool"),
        Kind("isinf", 1, "f", "bool"),
        Kind("select", 3, "bifh", "select"),
        Kind("cast", 1, "bifh", "given"),
        Kind("bitcast", 1, "if", "given"),
    )
}

# Nodes of their own so that a backend may claim them; `functions.expand` writes out the rest.
FUNCTIONS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("exp", 1, "f"),
        Kind("exp2", 1, "f"),
        Kind("expm1", 1, "f"),
        Kind("log", 1, "f"),
        Kind("log2", 1, "f"),
        Kind("log1p", 1, "f"),
        Kind("sin", 1, "f"),
        Kind("cos", 1, "f"),
        Kind("tan", 1, "f"),
        Kind("tanh", 1, "f"),
        Kind("sigmoid", 1, "f"),
        Kind("erf", 1, "f"),
        Kind("rsqrt", 1, "f"),
        Kind("pow", 2, "if"),  # a negative integer exponent gives the quotient, truncated
    )
}

KINDS = PRIMITIVES | FUNCTIONS


def check_domain(kind: Kind, dtype: DType) -> None:
    """Raises TypeError where `kind` does not take operands of `dtype`."""
    letter = _letter(dtype)
    if letter in kind.domain or (kind.domain == "u" and dtype is uint32):
        return
    advice = "cast to float32 first" if letter == "h" else "cast it first"
    raise TypeError(f"{kind.name}: not defined for {dtype.name}; {advice}")


def _letter(dtype: DType) -> str:
    if dtype is bool_:
        return "b"
    if dtype.is_integer:
        return "i"
    return "f" if dtype.bits >= 32 else "h"


def representable(value: bool | int | float, dtype: DType) -> bool | int | float:
    """`value` rounded (half to even) to a floating `dtype`, or wrapped to an integer one.

    Raises TypeError for a float where `dtype` is an integer or bool, or an int for bool.
    """
    if dtype.is_floating_point:
        return _rounded(float(value), dtype)
    if isinstance(value, float) or (dtype is bool_ and not isinstance(value, bool)):
        raise TypeError(f"constant: {value!r} is no {dtype.name}; cast the other operand first")
    if dtype is bool_:
        return value
    bits = int(value) & ((1 << dtype.bits) - 1)
    wraps = dtype.signed and bits >> (dtype.bits - 1)
    return bits - (1 << dtype.bits) if wraps else bits


def _rounded(value: float, dtype: DType) -> float:
    if dtype.name == "float64" or math.isnan(value) or math.isinf(value):
        return value
    if dtype.name == "bfloat16":
        return _rounded_to_bfloat16(value)
    code = "f" if dtype.name == "float32" else "e"
    try:
        return struct.unpack(code, struct.pack(code, value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def _rounded_to_bfloat16(value: float) -> float:
    exponent = max(math.frexp(value)[1], -125)
    quantum = 2.0 ** (exponent - 8)
    magnitude = round(abs(value) / quantum) * quantum
    return math.copysign(magnitude if magnitude < 2.0**128 else math.inf, value)
