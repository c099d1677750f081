"""exp, exp2, expm1, tanh and sigmoid written out in the primitives.

x = n ln 2 + r with |r| <= ln(2) / 2, and exp(r) = 1 + r + r^2 P(r) with P a minimax polynomial
(Remez; relative error of exp at most 2^-27.8 in float32, 2^-63.5 in float64).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..dtypes import DType, float32
from .expression import Scalar, bitcast, constant, exp, select
from .float import format_of, horner, nearest, scaled, with_sign_of


@dataclass(frozen=True)
class _Exponential:
    """Constants of one dtype: beyond `low` and `high` exp is 0 and infinity, below `minus_one`
    expm1 is -1; n times `ln2_high` is exact."""

    low: float
    high: float
    minus_one: float
    ln2_high: float
    ln2_low: float
    exp: tuple[float, ...]
    exp2: tuple[float, ...]


_SINGLE = _Exponential(
    low=-104.0, high=88.72283935546875, minus_one=-18.0,
    ln2_high=0.693359375, ln2_low=-0.00021219444005469058,
    exp=(0.5, 0.16666488349437714, 0.04166555777192116, 0.008372262120246887,
         0.001403394853696227),
    exp2=(0.6931471824645996, 0.24022650718688965, 0.05550400912761688, 0.009618083015084267,
          0.0013342777965590358, 0.0001545389968669042, 1.3020056030654814e-05),
)  # fmt: skip
_DOUBLE = _Exponential(
    low=-746.0, high=709.782712893384, minus_one=-38.0,
    ln2_high=0.6931471803691238, ln2_low=1.9082149292705877e-10,
    exp=(0.5, 0.16666666666666688, 0.041666666666666824, 0.008333333333313918,
         0.0013888888888779639, 0.00019841269903233993, 2.4801587550964105e-05,
         2.7557228884330805e-06, 2.755707949668614e-07, 2.511384475205167e-08,
         2.0972683413163092e-09),
    exp2=(0.6931471805599453, 0.2402265069591007, 0.05550410866482338, 0.00961812910763023,
          0.0013333558146032657, 0.00015403530388903504, 1.5252734168865312e-05,
          1.3215491278834558e-06, 1.0177930721865523e-07, 7.0529940400877095e-09,
          4.4736869216375904e-10, 2.8621108041409392e-11),
)  # fmt: skip

EXP_DOUBLE = _DOUBLE.exp
"""P in float64."""

_LOG2_E = 1.4426950408889634
# tanh(x) = x + x^3 T(x^2) for |x| < 0.625: Remez in float32, in float64 the quotient of Cephes
# (Moshier, tanh.c).
_TANH_SINGLE = (-0.3333328068256378, 0.13331405818462372, -0.05373651534318924,
                0.02062816731631756, -0.005692296661436558)  # fmt: skip
_TANH_NUMERATOR = (-1614.6876844170845, -99.28772310019185, -0.9643991794250523)  # fmt: skip
_TANH_DENOMINATOR = (4844.063053251255, 2235.4883906010045, 112.81167849163293, 1.0)


def _constants(dtype: DType) -> _Exponential:
    return _SINGLE if dtype is float32 else _DOUBLE


def expand_exp(x: Scalar) -> Scalar:
    """exp(x)."""
    k = _constants(x.dtype)
    n, bits = nearest(x * _LOG2_E, 2 * format_of(x.dtype).bias)
    r = (x - n * k.ln2_high) - n * k.ln2_low
    return _within(x, k.low, k.high, scaled(1.0 + (r + r * r * horner(r, k.exp)), bits))


def expand_exp2(x: Scalar) -> Scalar:
    """2 ** x."""
    k, form = _constants(x.dtype), format_of(x.dtype)
    n, bits = nearest(x, 2 * form.bias)
    r = x - n
    y = scaled(1.0 + r * horner(r, k.exp2), bits)
    return _within(x, -form.bias - form.fraction - 1.0, form.bias + 1.0, y)


# The ends are selected at the end: g++ splits the whole computation by cases where a clamp of x
# puts constants at its start.
def _within(x: Scalar, low: float, high: float, y: Scalar, below: float = 0.0) -> Scalar:
    bounded = select(x < low, constant(below, x.dtype), y)
    return select(x > high, constant(math.inf, x.dtype), bounded)


def expand_expm1(x: Scalar) -> Scalar:
    """exp(x) - 1 = 2 ((s - 1/2) + s r + s (r^2 P(r) + c)), s = 2^(n-1), c the error of r."""
    k, form = _constants(x.dtype), format_of(x.dtype)
    n, bits = nearest(x * _LOG2_E, form.bias - 1)
    high, low = x - n * k.ln2_high, n * k.ln2_low
    r = high - low
    c = (high - r) - low
    s = bitcast(bits << form.fraction, x.dtype)
    rest = r * r * horner(r, k.exp) + (c + c * r)
    result = (((s - 0.5) + s * r) + s * rest) * 2.0
    near = select(abs(x) < 2.0 ** (-form.fraction - 2), x, result)
    return _within(x, k.minus_one, k.high, near, below=-1.0)


def expand_tanh(x: Scalar) -> Scalar:
    """tanh(x) = 1 - 2 / (exp(2 x) + 1), near zero a polynomial or quotient of polynomials."""
    a = abs(x)
    z = a * a
    small = a < 0.625
    above = exp(a + a) + 1.0
    if x.dtype is float32:
        result = select(small, a + a * (z * horner(z, _TANH_SINGLE)), 1.0 - 2.0 / above)
    else:
        cube = a * z * horner(z, _TANH_NUMERATOR)
        numerator = select(small, cube, -2.0)
        denominator = select(small, horner(z, _TANH_DENOMINATOR), above)
        result = select(small, a, 1.0) + numerator / denominator
    return with_sign_of(result, x)


def expand_sigmoid(x: Scalar) -> Scalar:
    """1 / (1 + exp(-x)), by exp of a number that is not positive, so that nothing overflows."""
    e = exp(-abs(x))
    return select(x < 0.0, e, 1.0) / (1.0 + e)
