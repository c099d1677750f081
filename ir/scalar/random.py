"""Random numbers as scalar expressions: Philox4x32-10 and what is drawn from its bits.

J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Element i is lane
i mod 4 of the block of counter offset + i // 4, so that any element can be computed alone.
"""

from __future__ import annotations

import math

from ..dtypes import float32, int32
from .expression import Scalar, bitcast, cast, constant, log, mulhi, select, sqrt, uint32, uint64
from .float import nearest
from .trig import sine_and_cosine_single

_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)


def philox(counter: tuple[Scalar, ...], key: tuple[Scalar, Scalar]) -> tuple[Scalar, ...]:
    """The block of four uint32 for four uint32 of `counter` and two of `key`."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        high0, low0 = mulhi(c0, _MULTIPLIERS[0]), c0 * _MULTIPLIERS[0]
        high1, low1 = mulhi(c2, _MULTIPLIERS[1]), c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + _KEY_STEPS[0], k1 + _KEY_STEPS[1]
    return c0, c1, c2, c3


def _block(seed: Scalar, counter: Scalar) -> tuple[Scalar, ...]:
    zero = constant(0, uint32)
    return philox((*_halves(counter), zero, zero), _halves(seed))


def _halves(x: Scalar) -> tuple[Scalar, Scalar]:
    bits = bitcast(x, uint64)
    return cast(bits, uint32), cast(bits >> 32, uint32)


def random_bits(seed: Scalar, offset: Scalar, index: Scalar) -> Scalar:
    """32 random bits, uint32, for element `index` (not negative); all operands are int64."""
    lanes = _block(seed, offset + (index >> 2))
    odd, upper = (index & 1).ne(0), (index & 2).ne(0)
    return select(upper, select(odd, lanes[3], lanes[2]), select(odd, lanes[1], lanes[0]))


def uniform(bits: Scalar) -> Scalar:
    """A float32 in [0, 1), a multiple of 2^-24, from the upper 24 of 32 random bits."""
    return _fraction(bits) * 2.0**-24


def _fraction(bits: Scalar) -> Scalar:
    return cast(bitcast(bits >> 8, int32), float32)


def normal(seed: Scalar, offset: Scalar, index: Scalar) -> Scalar:
    """A float32 of the standard normal distribution for element `index`; operands are int64.

    Box and Muller over lanes 2k and 2k+1: the radius from the first, in (0, 1] so that its
    logarithm is finite, the angle from the second; the even element is the cosine.
    """
    lanes = _block(seed, offset + (index >> 2))
    upper = (index & 2).ne(0)
    first, second = select(upper, lanes[2], lanes[0]), select(upper, lanes[3], lanes[1])
    radius = sqrt(-2.0 * log((_fraction(first) + 1.0) * 2.0**-24))
    return radius * _cosine_of_turn(uniform(second), (index & 1).ne(0))


def _cosine_of_turn(turn: Scalar, sine: Scalar) -> Scalar:
    """cos(2 pi turn), or sin where `sine`; not the kind cos, since no reduction is needed."""
    quarters = turn * 4.0 - select(sine, constant(1.0, float32), 0.0)
    q, bits = nearest(quarters)
    at_sine, at_cosine = sine_and_cosine_single((quarters - q) * (math.pi / 2))
    # From quarter to quarter the cosine is cos, -sin, -cos, sin.
    value = select((bits & 1).ne(0), at_sine, at_cosine)
    return select(((bits + 1) & 2).ne(0), -value, value)
