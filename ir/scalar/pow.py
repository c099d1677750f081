"""pow written out in the primitives: floats as 2 ** (y log2 x), integers by squaring."""

from __future__ import annotations

import math

from ..dtypes import float32, float64
from .exp import EXP_DOUBLE
from .expression import Scalar, bitcast, cast, constant, floor, isnan, select
from .float import format_of, high_part, horner, nearest, scaled
from .log import split_exponent

# With s = (m - 1) / (m + 1): log2(m) = s P(s^2), and 2^r = 1 + r Q(r) (Remez; relative errors
# 2^-37.7 and 2^-28.5). They serve float32, which is computed in float64.
_LOG2 = (2.885390081790204, 0.961796673182041, 0.5770836174670224, 0.4116706611426822,
         0.34076999864384905)  # fmt: skip
_EXP2 = (0.6931472151852327, 0.24022652796030583, 0.055503101295272625, 0.009617691141054239,
         0.0013406797063025258, 0.0001559508000432091)  # fmt: skip

# float64 after FreeBSD's e_pow.c (Sun Microsystems): with c = 1 or 3/2, s = (m - c) / (m + c),
# log(m / c) = 2/3 s (3 + s^2 + s^4 R(s^2)); R by Remez, relative error 2^-71.
_ATANH = (0.5999999999999946, 0.42857142857852626, 0.3333333298249943, 0.27272812296543475,
          0.2306607950859025, 0.20697397972335488)  # fmt: skip
# 2 / (3 ln 2), log2(3/2) and ln 2, in two parts of which products with 21 bits are exact.
_SCALE, _SCALE_HIGH, _SCALE_LOW = 0.9617966939259756, 0.9617967009544373, -7.028461650952758e-09
_CENTER_HIGH, _CENTER_LOW = 0.5849624872207642, 1.350039202129749e-08
_LN2, _LN2_HIGH, _LN2_LOW = math.log(2.0), 0.6931471824645996, -1.904654299957768e-09
_KEPT = 20


def expand_pow(x: Scalar, y: Scalar) -> Scalar:
    """x ** y with the special cases of C's pow; integers wrap."""
    if x.dtype.is_integer:
        return _power_of_integers(x, y)
    a, infinite = abs(x), abs(y).eq(math.inf)
    finite = _power_single(a, y) if x.dtype is float32 else _power_double(a, y)
    grows = (a > 1.0).eq(y > 0.0)
    limit = select(grows, constant(math.inf, x.dtype), 0.0)
    magnitude = select(a.eq(0.0) | a.eq(math.inf) | infinite, limit, finite)
    whole, half = floor(y).eq(y), y * 0.5
    signed = _negated_with(x, whole & floor(half).ne(half), magnitude)
    undefined = (x < 0.0) & (a < math.inf) & ~whole
    defined = select(undefined, constant(math.nan, x.dtype), signed)
    result = select(isnan(x) | isnan(y), x + y, defined)
    one = y.eq(0.0) | x.eq(1.0) | (a.eq(1.0) & infinite)
    return select(one, constant(1.0, x.dtype), result)


def _negated_with(x: Scalar, odd: Scalar, magnitude: Scalar) -> Scalar:
    form = format_of(x.dtype)
    sign = bitcast(x, form.bits) & form.sign
    flip = select(odd, sign, constant(0, form.bits))
    return bitcast(bitcast(magnitude, form.bits) ^ flip, x.dtype)


def _power_single(a: Scalar, y: Scalar) -> Scalar:
    """a ** y of float32, a positive and finite, y finite."""
    e, m = split_exponent(cast(a, float64), subnormal=False)
    s = (m - 1.0) / (m + 1.0)
    exponent = cast(y, float64) * (e + s * horner(s * s, _LOG2))
    form = format_of(float64)
    n, bits = nearest(exponent, form.bias)
    r = exponent - n
    power = bitcast(bits << form.fraction, float64) * (1.0 + r * horner(r, _EXP2))
    return _bounded(cast(power, float32), exponent, 160.0)


def _bounded(power: Scalar, exponent: Scalar, limit: float) -> Scalar:
    above = select(exponent > limit, constant(math.inf, power.dtype), power)
    return select(exponent < -limit, constant(0.0, power.dtype), above)


def _power_double(a: Scalar, y: Scalar) -> Scalar:
    """a ** y of float64, a positive and finite, y finite."""
    high, low = _log2_in_two_parts(a)
    y_high = high_part(y, _KEPT)
    rest = (y - y_high) * high + y * low
    main = y_high * high
    n, bits = nearest(main + rest, 2 * format_of(float64).bias)
    fraction = main - n
    t = high_part(rest + fraction, _KEPT)
    u = t * _LN2_HIGH
    v = (rest - (t - fraction)) * _LN2 + t * _LN2_LOW
    z = u + v
    w = v - (z - u)
    power = 1.0 + (z + (z * z * horner(z, EXP_DOUBLE) + (w + w * z)))
    return _bounded(scaled(power, bits), y * high, 1100.0)


def _log2_in_two_parts(a: Scalar) -> tuple[Scalar, Scalar]:
    """log2(a) as a number of 21 bits and the rest, together exact to some 2^-66."""
    e, m = split_exponent(a, math.sqrt(0.75))
    upper = m > math.sqrt(1.5)
    center = select(upper, constant(1.5, float64), 1.0)
    below, above = m - center, m + center
    inverse = 1.0 / above
    s = below * inverse
    s_high, above_high = high_part(s, _KEPT), high_part(above, _KEPT)
    above_low = m - (above_high - center)
    s_low = inverse * ((below - s_high * above_high) - s_high * above_low)
    z, square = s * s, s_high * s_high
    rest = z * z * horner(z, _ATANH) + s_low * (s_high + s)
    t_high = high_part(3.0 + square + rest, _KEPT)
    t_low = rest - ((t_high - 3.0) - square)
    u, v = s_high * t_high, s_low * t_high + t_low * s
    p_high = high_part(u + v, _KEPT)
    p_low = v - (p_high - u)
    center_low = select(upper, constant(_CENTER_LOW, float64), 0.0)
    center_high = select(upper, constant(_CENTER_HIGH, float64), 0.0)
    main, low = _SCALE_HIGH * p_high, _SCALE_LOW * p_high + p_low * _SCALE + center_low
    high = high_part(((main + low) + center_high) + e, _KEPT)
    return high, low - (((high - e) - center_high) - main)


def _power_of_integers(x: Scalar, y: Scalar) -> Scalar:
    result = one = constant(1, x.dtype)
    square = x
    for i in range(x.dtype.bits - (1 if x.dtype.signed else 0)):
        result = select(((y >> i) & 1).ne(0), result * square, result)
        square = square * square
    if not x.dtype.signed:
        return result
    alternating = select((y & 1).ne(0), x, one)
    inverse = select(x.eq(-1), alternating, select(x.eq(1), one, 0))
    return select(y < 0, inverse, result)
