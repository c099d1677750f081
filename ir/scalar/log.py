"""log, log2 and log1p written out in the primitives.

x = 2^e m with m in [sqrt(1/2), sqrt(2)), f = m - 1 and log(m) = f - f^2/2 + rest(f).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..dtypes import DType, float32
from .expression import Scalar, bitcast, constant, select
from .float import format_of, high_part, horner


@dataclass(frozen=True)
class _Logarithm:
    """ln 2 and 1 / ln 2 in two parts; a short number times the high part is exact."""

    ln2_high: float
    ln2_low: float
    log2_e_high: float
    log2_e_low: float
    kept: int


# The splits are those of FreeBSD's e_log.c, e_log2.c and e_log2f.c.
_SINGLE = _Logarithm(
    0.693359375, -0.00021219444005469058, 1.44287109375, -0.00017605285393074155, 11
)
_DOUBLE = _Logarithm(
    0.6931471803691238, 1.9082149292705877e-10, 1.4426950407214463, 1.6751713164886512e-10, 20
)

# float32: rest(f) = f^3 P(f), Remez, relative error of the logarithm at most 2^-27.3.
_CUBIC = (0.3333333134651184, -0.250008225440979, 0.20001259446144104, -0.16623345017433167,
          0.14201071858406067, -0.13159547746181488, 0.1276572346687317,
          -0.07641174644231796)  # fmt: skip
# float64: s = f / (2 + f), rest(f) = s (f^2/2 + s^2 Q(s^2)); the coefficients Lg1 to Lg7 of
# FreeBSD's k_log.h (Sun Microsystems), error below 2^-58.4.
_QUOTIENT = (0.6666666666666735, 0.3999999999940942, 0.2857142874366239, 0.22222198432149784,
             0.1818357216161805, 0.15313837699209373, 0.14798198605116586)  # fmt: skip


def _constants(dtype: DType) -> _Logarithm:
    return _SINGLE if dtype is float32 else _DOUBLE


def _rest(f: Scalar) -> Scalar:
    """log(1 + f) - f + f^2/2."""
    if f.dtype is float32:
        return f * f * f * horner(f, _CUBIC)
    s = f / (2.0 + f)
    z = s * s
    return s * (0.5 * f * f + z * horner(z, _QUOTIENT))


def split_exponent(
    x: Scalar, lowest: float = math.sqrt(0.5), subnormal: bool = True
) -> tuple[Scalar, Scalar]:
    """(e, m) of a positive finite x = 2^e m, both of x's dtype, m in [lowest, 2 lowest).

    `subnormal` says that x may be subnormal.
    """
    form = format_of(x.dtype)
    offset = constant(2.0**form.fraction + form.bias, x.dtype)
    if subnormal:
        small = x < form.smallest_normal
        x = select(small, x * 2.0**form.fraction, x)
        offset = select(small, offset.payload + form.fraction, offset)
    bits = bitcast(x, form.bits)
    # Moves `lowest` to where the exponent field changes.
    shift = int((1.0 - lowest) * 2.0 ** (form.fraction + 1))
    biased = (bits + shift) >> form.fraction
    one = form.bias << form.fraction
    m = bitcast(bits - ((biased << form.fraction) - one), x.dtype)
    # biased is small: as the fraction of 2^fraction it is converted without an instruction.
    integer = bitcast(biased | ((form.bias + form.fraction) << form.fraction), x.dtype)
    return integer - offset, m


def _at_the_ends(x: Scalar, result: Scalar) -> Scalar:
    """`result` where a logarithm of `x` is finite; its limits, or NaN, elsewhere."""
    finite = select(x < math.inf, result, x)
    below = select(x.eq(0.0), constant(-math.inf, x.dtype), math.nan)
    return select(x <= 0.0, below, finite)


def expand_log(x: Scalar) -> Scalar:
    """The natural logarithm."""
    k = _constants(x.dtype)
    e, m = split_exponent(x)
    f = m - 1.0
    small = 0.5 * f * f - (_rest(f) + e * k.ln2_low)
    return _at_the_ends(x, e * k.ln2_high + (f - small))


def expand_log2(x: Scalar) -> Scalar:
    """The logarithm of base 2, log(m) / ln 2 in two parts (FreeBSD's e_log2.c)."""
    k = _constants(x.dtype)
    e, m = split_exponent(x)
    f = m - 1.0
    half = 0.5 * f * f
    high = high_part(f - half, k.kept)
    low = ((f - high) - half) + _rest(f)
    main = high * k.log2_e_high
    rest = (low + high) * k.log2_e_low + low * k.log2_e_high
    total = e + main
    return _at_the_ends(x, total + (rest + ((e - total) + main)))


def expand_log1p(x: Scalar) -> Scalar:
    """log(1 + x): the logarithm of u = 1 + x rounded, corrected by the rounding over u."""
    k = _constants(x.dtype)
    u = 1.0 + x
    e, m = split_exponent(u, subnormal=False)
    near = e.eq(0.0)
    lost = select(x < 1.0, x - (u - 1.0), 1.0 - (u - x))
    f = select(near, x, m - 1.0)
    correction = select(near, constant(0.0, x.dtype), lost / u)
    small = 0.5 * f * f - (_rest(f) + (e * k.ln2_low + correction))
    result = select(near, f - small, e * k.ln2_high + (f - small))
    return select(x.eq(0.0), x, _at_the_ends(u, result))
