"""sin, cos and tan written out in the primitives.

x = (q + f) pi/2 with q whole and |f| <= 1/2; sin and cos of f pi/2 are minimax polynomials
(Remez; relative error at most 2^-27.9 in float32, 2^-57.8 in float64).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..dtypes import float32, float64
from .expression import Scalar, bitcast, cast, constant, select, uint32
from .float import format_of, horner, nearest

LARGEST_DOUBLE = 2.0**30
"""Where float64 sin, cos and tan end: beyond it they are NaN. float32 has no such limit."""

# sin r = r + r^3 S(r^2), cos r = 1 + r^2 (-1/2 + r^2 C(r^2))
_SIN_SINGLE = (-0.16666655242443085, 0.008332188241183758, -0.0001951809535967186)
_COS_SINGLE = (0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-05)
_SIN_DOUBLE = (-0.1666666666666663, 0.00833333333332184, -0.00019841269829358525,
               2.7557313538512506e-06, -2.5050734388920728e-08, 1.5895433269503285e-10)  # fmt: skip
_COS_DOUBLE = (0.041666666666666595, -0.0013888888888873325, 2.4801587288983675e-05,
               -2.755731421007173e-07, 2.087570427029823e-09, -1.135868328380254e-11)  # fmt: skip

# 2/pi from bit 1, 29, 57 or 85 on: two pieces of 29 bits, and the rest.
_WINDOWS = (
    (0.636619770899415, 1.4681663246252086e-09, 2.276010073078396e-18),
    (3.3308114738561656e-09, 2.276010060734833e-18, 1.234356328469044e-26),
    (2.276010047810136e-18, 2.5268260333447567e-26, 2.2383930857039694e-35),
    (2.526826028529932e-26, 7.053217935083346e-35, 1.1588713353428143e-43),
)
# pi/2 in four pieces of 23 bits, and the rest: products with a whole number below 2^30 are exact.
_HALF_PI = (1.570796251296997, 7.549789415861596e-08, 5.39030083589187e-15,
            2.0222659584103533e-21, 2.9038559739793605e-28)  # fmt: skip


def expand_sin(x: Scalar) -> Scalar:
    """sin(x), as sin |x| with the sign of x, which -0 keeps in this way."""
    sine, cosine, quadrant = _quadrant(abs(x))
    form = format_of(x.dtype)
    turns = _sign_of(quadrant) ^ (bitcast(x, form.bits) & form.sign)
    return _flipped(select(_odd(quadrant), cosine, sine), turns)


def expand_cos(x: Scalar) -> Scalar:
    """cos(x)."""
    sine, cosine, quadrant = _quadrant(abs(x))
    return _flipped(select(_odd(quadrant), sine, cosine), _sign_of(quadrant + 1))


def expand_tan(x: Scalar) -> Scalar:
    """tan(x)."""
    sine, cosine, quadrant = _quadrant(abs(x))
    odd, form = _odd(quadrant), format_of(x.dtype)
    quotient = select(odd, -cosine, sine) / select(odd, sine, cosine)
    return _flipped(quotient, bitcast(x, form.bits) & form.sign)


def _odd(quadrant: Scalar) -> Scalar:
    return (quadrant & 1).ne(0)


def _sign_of(quadrant: Scalar) -> Scalar:
    """A sign bit that is set in quadrants 2 and 3."""
    top = quadrant.dtype.bits - 1
    return (quadrant << (top - 1)) & (1 << top)


def _flipped(value: Scalar, sign: Scalar) -> Scalar:
    return bitcast(bitcast(value, sign.dtype) ^ sign, value.dtype)


def _quadrant(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """(sin(f pi/2), cos(f pi/2), an unsigned integer whose low bits are q); x is not negative."""
    if x.dtype is float32:
        f, bits = _reduced_single(cast(x, float64))
        r = cast(f * (math.pi / 2), float32)
        return *sine_and_cosine_single(r), cast(bits, uint32)
    r, excess, bits = _reduced_double(x)
    z = r * r
    main = 1.0 - 0.5 * z
    sine = r - (excess * main - r * z * horner(z, _SIN_DOUBLE))
    # 1 - z/2 is rounded; what that loses is added to the rest.
    cosine = main + (((1.0 - main) - 0.5 * z) + (z * z * horner(z, _COS_DOUBLE) + r * excess))
    return sine, cosine, bits


def sine_and_cosine_single(r: Scalar) -> tuple[Scalar, Scalar]:
    """(sin r, cos r) of a float32 r within pi/4."""
    z = r * r
    return r + r * z * horner(z, _SIN_SINGLE), 1.0 + z * (z * horner(z, _COS_SINGLE) - 0.5)


def _reduced_single(x: Scalar) -> tuple[Scalar, Scalar]:
    """(f, bits of q) of a float64 `x` that is a float32: right for every finite float32.

    The bits of 2/pi before a window change x 2/pi by multiples of 4 only, and a product of 24
    and 29 bits is exact in float64, so that x times the window is known modulo 4.
    """
    first, second, rest = (_window(x, [w[i] for w in _WINDOWS]) for i in range(3))
    a, b = _modulo_four(x * first), _modulo_four(x * second)
    q, bits = nearest(a + b)
    return ((a - q) + b) + x * rest, bits


def _window(magnitude: Scalar, constants: Sequence[float]) -> Scalar:
    result = constant(constants[0], float64)
    for i, c in enumerate(constants[1:]):
        result = select(magnitude < 2.0 ** (53 + 28 * i), result, c)
    return result


def _modulo_four(x: Scalar) -> Scalar:
    """`x`, below 2^53 in magnitude, less the nearest multiple of 4."""
    shifter = 1.5 * 2.0**54
    return x - ((x + shifter) - shifter)


def _reduced_double(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """(r, d, bits of q), x = q pi/2 + r - d (Cody and Waite); r is NaN beyond LARGEST_DOUBLE."""
    q, bits = nearest(x * (2 / math.pi))
    exact = (x - q * _HALF_PI[0]) - q * _HALF_PI[1]
    third, fourth = q * _HALF_PI[2], q * _HALF_PI[3]
    r = exact - third
    excess = third - (exact - r)
    result = r - fourth
    result = select(x <= LARGEST_DOUBLE, result, math.nan)
    return result, excess + (fourth - (r - result)) + q * _HALF_PI[4], bits
