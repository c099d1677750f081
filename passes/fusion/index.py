"""Index maps of fused ops: where an element comes from, as an affine function of digits.

An op's iteration is one variable n, the row-major number of an element of its domain. A digit of n
is `(n // weight) % size`; a `Linear` is a constant plus digits times coefficients. Views (permute,
expand, slice, reshape, ...) and broadcasting are such functions of the viewed element's number, and
so are their compositions as long as a reshape does not cut through a digit unevenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

Term = tuple[int, int, int]
"""(weight, size, coefficient) of one digit."""

Bounds = tuple[tuple[int, int, int, int], ...]
"""(weight, size, low, high): that digit of n is known to lie in [low, high)."""

_CACHED = 1 << 14


class Linear(NamedTuple):
    """`const + sum of coefficient * ((n // weight) % size)`; terms by rising weight."""

    const: int
    terms: tuple[Term, ...]

    @property
    def low(self) -> int:
        """The least value."""
        return self.const + sum(min(c, 0) * (s - 1) for _, s, c in self.terms)

    @property
    def high(self) -> int:
        """The greatest value."""
        return self.const + sum(max(c, 0) * (s - 1) for _, s, c in self.terms)


ZERO = Linear(0, ())


@lru_cache(_CACHED)
def identity(count: int) -> Linear:
    """n itself, of a domain of `count` elements."""
    return Linear(0, ((1, count, 1),)) if count > 1 else ZERO


def rows(count: int, length: int) -> Linear:
    """The number of the row of `length` elements that n lies in, of `count` elements."""
    return Linear(0, ((length, count // length, 1),)) if count > length else ZERO


def normal(const: int, terms: Sequence[Term]) -> Linear:
    """The Linear of these terms in its one form: sorted, adjacent digits joined."""
    total: dict[tuple[int, int], int] = {}
    for weight, size, c in terms:
        if size > 1 and c:
            total[weight, size] = total.get((weight, size), 0) + c
    joined: list[Term] = []
    for (weight, size), c in sorted(total.items()):
        if not c:
            continue
        if joined:
            below, length, inner = joined[-1]
            if weight == below * length and c == inner * length:
                joined[-1] = (below, length * size, inner)
                continue
        joined.append((weight, size, c))
    return Linear(const, tuple(joined))


def span(e: Linear, bounds: Bounds = ()) -> tuple[int, int]:
    """The least and the greatest value of `e` where the digits lie within `bounds`."""
    if not bounds:
        return e.low, e.high
    low = high = e.const
    for weight, size, c in e.terms:
        first, last = 0, size - 1
        for w, s, start, stop in bounds:
            if w * s != weight * size:
                continue
            if w >= weight:
                first = max(first, start * (w // weight))
                last = min(last, stop * (w // weight) - 1)
            else:
                first = max(first, start // (weight // w))
                last = min(last, (stop - 1) // (weight // w))
        low += min(c * first, c * last)
        high += max(c * first, c * last)
    return low, high


def divide(e: Linear, by: int, bounds: Bounds = ()) -> tuple[Linear, Linear] | None:
    """`e // by` and `e % by`; None where they are no Linear."""
    if by == 1:
        return e, ZERO
    quotient, const = divmod(e.const, by)
    high: list[Term] = []
    low: list[Term] = []
    for weight, size, c in e.terms:
        whole = abs(c) // by * (1 if c > 0 else -1)
        if whole:
            high.append((weight, size, whole))
        c -= whole * by
        if not c:
            continue
        inner = by // abs(c) if by % abs(c) == 0 else 0
        if (
            bounds
            and 0 <= min(span(Linear(0, ((weight, size, c),)), bounds))
            and max(span(Linear(0, ((weight, size, c),)), bounds)) < by
        ):
            low.append((weight, size, c))
        elif inner and size > inner and size % inner == 0:
            low.append((weight, inner, c))
            high.append((weight * inner, size // inner, 1 if c > 0 else -1))
        else:
            low.append((weight, size, c))
    rest = normal(const, low)
    least, greatest = span(rest, bounds)
    if least < 0 or greatest >= by:
        # The remainder may still lie in one other period of `by`.
        period = least // by
        if bounds and period == greatest // by:
            whole = normal(quotient + period, high)
            return whole, Linear(rest.const - period * by, rest.terms)
        return None
    return normal(quotient, high), rest


def digit_of(e: Linear, weight: int, size: int, bounds: Bounds = ()) -> Linear | None:
    """`(e // weight) % size`; None where it is no Linear."""
    whole = divide(e, weight, bounds)
    if whole is None:
        return None
    least, greatest = span(whole[0], bounds)
    if least >= 0 and greatest < size:
        return whole[0]
    parts = divide(whole[0], size, bounds)
    return parts and parts[1]


@lru_cache(_CACHED)
def compose(outer: Linear, inner: Linear, bounds: Bounds = ()) -> Linear | None:
    """`outer` of the number that `inner` gives where `bounds` hold; None where it is no Linear."""
    const, terms = outer.const, list[Term]()
    for weight, size, c in outer.terms:
        digit = digit_of(inner, weight, size, bounds)
        if digit is None:
            return None
        const += c * digit.const
        terms += [(w, s, c * k) for w, s, k in digit.terms]
    return normal(const, terms)


@lru_cache(_CACHED)
def axes_of(shape: tuple[int, ...]) -> tuple[Linear, ...]:
    """The index along each axis of the element with row-major number n."""
    found: list[Linear] = []
    weight = 1
    for size in reversed(shape):
        found.append(normal(0, [(weight, size, 1)]))
        weight *= size
    return tuple(reversed(found))


def strides_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides, in elements."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def weighted(indices: Sequence[Linear], strides: Sequence[int], const: int = 0) -> Linear:
    """`const + sum of index * stride`."""
    terms: list[Term] = []
    for index, stride in zip(indices, strides, strict=True):
        const += index.const * stride
        terms += [(w, s, c * stride) for w, s, c in index.terms]
    return normal(const, terms)


@lru_cache(_CACHED)
def broadcast(source: tuple[int, ...], target: tuple[int, ...]) -> Linear:
    """The element of `source` that an element of `target`, its broadcast, comes from."""
    if source == target:
        return identity(_count(target))
    axes = axes_of(target)[len(target) - len(source) :]
    pairs = zip(axes, strides_of(source), source, strict=True)
    kept = [(axis, stride) for axis, stride, size in pairs if size > 1]
    return weighted([a for a, _ in kept], [s for _, s in kept])


def _count(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def strides_for(e: Linear, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides along the axes of `shape` of the elements `e.const + ...`, where `e` is a function
    of the row-major number; None where an axis has no single stride."""
    strides = [0] * len(shape)
    weights = strides_of(shape)
    terms = list(e.terms)
    for axis in reversed(range(len(shape))):
        size, weight = shape[axis], weights[axis]
        if size == 1:
            continue
        found = _stride_along(terms, weight, size)
        if found is None:
            return None
        strides[axis] = found
    return tuple(strides)


def _stride_along(terms: Sequence[Term], weight: int, size: int) -> int | None:
    """The coefficient of the whole digit (weight, size); 0 if no term touches it."""
    total = 0
    for w, s, c in terms:
        if w >= weight * size or w * s <= weight:
            continue
        if w <= weight and weight % w == 0 and (w * s) % (weight * size) == 0:
            total += c * (weight // w)
        else:
            return None
    return total
