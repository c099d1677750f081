"""Bit-level steps that the written-out functions share: rounding, scaling, signs, polynomials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dtypes import DType, float32
from .expression import Scalar, bitcast, constant, uint32, uint64


@dataclass(frozen=True)
class Format:
    """A floating-point format: its bits as an unsigned integer, fraction width, exponent bias."""

    bits: DType
    fraction: int
    bias: int

    @property
    def shifter(self) -> float:
        """Adding this rounds to an integer, half to even, which the sum's low bits then hold."""
        return 1.5 * 2.0**self.fraction

    @property
    def sign(self) -> int:
        """The sign bit."""
        return 1 << (self.bits.bits - 1)

    @property
    def smallest_normal(self) -> float:
        """The smallest normal number."""
        return 2.0 ** (1 - self.bias)


_SINGLE = Format(uint32, 23, 127)
_DOUBLE = Format(uint64, 52, 1023)


def format_of(dtype: DType) -> Format:
    """The format of float32 or float64."""
    return _SINGLE if dtype is float32 else _DOUBLE


def horner(x: Scalar, coefficients: Sequence[float]) -> Scalar:
    """The polynomial in `x` with these coefficients, lowest power first.

    A long one is split into its even and odd half, since a chain of dependent steps takes
    longer than the extra products.
    """
    if len(coefficients) > 8:
        square = x * x
        return horner(square, coefficients[::2]) + x * horner(square, coefficients[1::2])
    total = constant(coefficients[-1], x.dtype)
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def nearest(x: Scalar, offset: float = 0.0) -> tuple[Scalar, Scalar]:
    """The integer nearest to `x`, and an unsigned integer whose low bits are it plus `offset`.

    Needs |x| below 2 ** (fraction - 1).
    """
    form = format_of(x.dtype)
    shifter = form.shifter + offset
    shifted = x + shifter
    return shifted - shifter, bitcast(shifted, form.bits)


def scaled(y: Scalar, bits: Scalar) -> Scalar:
    """y 2^n, where the low bits of `bits` are n + 2 bias: in two factors of about 2^(n/2), since
    2^n itself overflows at one end and is subnormal at the other."""
    form = format_of(y.dtype)
    half = bits >> 1
    first = bitcast(half << form.fraction, y.dtype)
    return y * first * bitcast((bits - half) << form.fraction, y.dtype)


def with_sign_of(magnitude: Scalar, x: Scalar) -> Scalar:
    """`magnitude`, which is not negative, with the sign bit of `x`."""
    form = format_of(x.dtype)
    sign = bitcast(x, form.bits) & form.sign
    return bitcast(bitcast(magnitude, form.bits) | sign, x.dtype)


def high_part(x: Scalar, kept: int) -> Scalar:
    """`x` cut to its `kept` leading fraction bits; the rest, x - high_part(x), is exact."""
    form = format_of(x.dtype)
    mask = (1 << form.bits.bits) - (1 << (form.fraction - kept))
    return bitcast(bitcast(x, form.bits) & mask, x.dtype)
