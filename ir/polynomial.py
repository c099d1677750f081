"""Numbers that depend on sizes: polynomials with integer coefficients, found from samples.

A sample is a tuple of sizes, one a symbol; samples are primes, so that what holds for them by
chance is little. A polynomial has one or two terms. Two samples determine it, all others must
agree; what no such polynomial gives depends on sizes in a way that is not known for others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, pairwise
from typing import Any, cast

MOST_DEGREE = 3

Sizes = Sequence[int]
"""A value for each symbol, in order."""

Ranges = Sequence[tuple[int, int]]
"""The least and the greatest value of each symbol, in order; none is negative."""


@dataclass(frozen=True)
class Polynomial:
    """`sum of coefficient * product of the symbols numbered in the factor`."""

    terms: tuple[tuple[int, tuple[int, ...]], ...]

    def at(self, sizes: Sizes) -> int:
        """The value for these sizes."""
        return sum(c * _monomial(factor, sizes) for c, factor in self.terms)

    def __mul__(self, other: int | Polynomial) -> Polynomial:
        """The product."""
        by = ((other, ()),) if isinstance(other, int) else other.terms
        made: dict[tuple[int, ...], int] = {}
        for c, factor in self.terms:
            for d, more in by:
                both = tuple(sorted((*factor, *more)))
                made[both] = made.get(both, 0) + c * d
        order = sorted(made, key=lambda f: (len(f), f))
        return Polynomial(tuple((made[f], f) for f in order if made[f]))

    __rmul__ = __mul__

    @property
    def divisor(self) -> int:
        """What divides it whatever the sizes are."""
        return math.gcd(*(c for c, _ in self.terms))

    def bounds(self, ranges: Ranges) -> tuple[int, int]:
        """Numbers that it is between for sizes in `ranges`, which has a pair for each symbol."""
        ends = [sorted(c * _monomial(f, [r[end] for r in ranges]) for end in (0, 1))
                for c, f in self.terms]  # fmt: skip
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def text(self, names: Sequence[str]) -> str:
        """`4*N*N + 2`."""
        parts = ["*".join([*([str(c)] if c != 1 or not f else []), *(names[i] for i in f)])
                 for c, f in self.terms]  # fmt: skip
        return " + ".join(parts)


@dataclass(frozen=True)
class Real:
    """A float that is a polynomial, or one over it."""

    of: Polynomial
    inverse: bool

    def at(self, sizes: Sizes) -> float:
        """The value for these sizes."""
        value = float(self.of.at(sizes))
        return 1.0 / value if self.inverse else value

    def text(self, names: Sequence[str]) -> str:
        """`1 / (4*N)`."""
        inner = self.of.text(names)
        return f"1 / ({inner})" if self.inverse else inner


@dataclass(frozen=True)
class Choice:
    """A number that changes no result: between those that were chosen for the samples, by the
    product of the sizes, on a logarithmic scale."""

    known: tuple[tuple[int, int], ...]  # (product of sizes, chosen), rising

    def at(self, sizes: Sizes) -> int:
        """The value for these sizes."""
        place = math.prod(sizes)
        pairs = list(self.known)
        for (a, low), (b, high) in pairwise(pairs):
            if a <= place <= b:
                share = math.log(place / a) / math.log(b / a)
                return round(low * (high / low) ** share)
        return pairs[0][1] if place < pairs[0][0] else pairs[-1][1]

    def text(self, names: Sequence[str]) -> str:
        """What was chosen for the samples."""
        return " or ".join(str(v) for _, v in self.known)


@dataclass(frozen=True)
class Pieces:
    """`times` as often as many pieces of `each` as `of` is cut into, the last of them smaller."""

    of: Number
    each: int
    times: Number = 1

    def at(self, sizes: Sizes) -> int:
        """The value for these sizes."""
        return -(-number_at(self.of, sizes) // self.each) * number_at(self.times, sizes)

    def text(self, names: Sequence[str]) -> str:
        """`3 * ceil(4*N / 256)`."""
        of, times = (n.text(names) if isinstance(n, Depends) else str(n)
                     for n in (self.of, self.times))  # fmt: skip
        return f"{times} * ceil({of} / {self.each})"


@dataclass(frozen=True)
class Total:
    """The sum of numbers, some of which depend on sizes."""

    parts: tuple[Number, ...]

    def at(self, sizes: Sizes) -> int:
        """The value for these sizes."""
        return sum(number_at(p, sizes) for p in self.parts)

    def text(self, names: Sequence[str]) -> str:
        """`ceil(N / 256) + 3`."""
        return " + ".join(p.text(names) if isinstance(p, Depends) else str(p) for p in self.parts)


@dataclass(frozen=True)
class BySize:
    """What is made for ranges of one symbol: `cases` are the greatest size of each, rising, with
    that."""

    symbol: int
    cases: tuple[tuple[int, Any], ...]

    def at(self, sizes: Sizes) -> Any:
        """What is made for these sizes, with numbers for them."""
        of = next((what for most, what in self.cases if sizes[self.symbol] <= most), None)
        assert of is not None, "a size is beyond all ranges"
        return evaluated(of, sizes)

    def text(self, names: Sequence[str]) -> str:
        """`3 cases of N`."""
        return f"{len(self.cases)} cases of {names[self.symbol]}"


Number = int | Polynomial | Pieces | Total
Depends = Polynomial | Real | Choice | Pieces | Total | BySize


def divisor_of(number: int | Polynomial) -> int:
    """What divides a number whatever the sizes are."""
    return number if isinstance(number, int) else number.divisor


def number_at(number: Number, sizes: Sizes) -> int:
    """The value of a number for these sizes."""
    return number if isinstance(number, int) else number.at(sizes)


class DiffersError(Exception):
    """What the samples have in one place goes together in no known way: `values`, at `path`."""

    def __init__(self, values: Sequence[Any], path: str = "") -> None:
        super().__init__(f"{path or 'a part'} is {', '.join(_shown(v) for v in values)}")
        self.values, self.path = values, path


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) < 40 else f"{text[:37]}..."


def _monomial(factor: tuple[int, ...], sizes: Sizes) -> int:
    return math.prod(sizes[i] for i in factor)


class Samples:
    """Sizes that something was made for, and what its numbers have in common."""

    def __init__(self, sizes: Sequence[Sizes]) -> None:
        """At least three."""
        self.sizes = [tuple(s) for s in sizes]
        symbols = range(len(self.sizes[0]))
        self._factors = [
            factor
            for degree in range(MOST_DEGREE + 1)
            for factor in combinations_with_replacement(symbols, degree)
        ]
        self._known: dict[tuple[int, ...], Polynomial | None] = {}

    def integer(self, values: Sequence[int], path: str = "") -> int | Polynomial:
        """The number that is `values` for the samples, or DiffersError."""
        if len(set(values)) == 1:
            return values[0]
        key = tuple(values)
        if key not in self._known:
            self._known[key] = next(self._fitting(key), None)
        found = self._known[key]
        if found is None:
            raise DiffersError(values, path)
        return found

    def real(self, values: Sequence[float], path: str = "") -> float | Real:
        """The same of floats: whole numbers, or one over them."""
        if len({repr(v) for v in values}) == 1:
            return values[0]
        for inverse in (False, True):
            numbers = [1.0 / v if inverse and v else v for v in values]
            if not all(math.isfinite(n) for n in numbers):
                continue
            whole = [round(n) for n in numbers]
            exact = [1.0 / w if inverse and w else float(w) for w in whole]
            if exact == list(values):
                found = self.integer(whole, path)
                assert isinstance(found, Polynomial)
                return Real(found, inverse)
        raise DiffersError(values, path)

    def choice(self, values: Sequence[int]) -> int | Choice:
        """A number that may be any, as it was chosen for the samples."""
        if len(set(values)) == 1:
            return values[0]
        places = [math.prod(s) for s in self.sizes]
        return Choice(tuple(sorted(zip(places, values, strict=True))))

    def tree(self, values: Sequence[Any], path: str = "") -> Any:
        """Nested dictionaries and lists that are `values` for the samples: one, with what depends
        on sizes in its place; DiffersError where they are not alike."""
        first = values[0]
        if isinstance(first, dict):
            return self._mapping(cast("Sequence[dict[Any, Any]]", values), path)
        if isinstance(first, (list, tuple)):
            return self._sequence(cast("Sequence[Sequence[Any]]", values), path)
        if _all_are(int, values):
            return self.integer(values, path)
        if _all_are(float, values):
            return self.real(values, path)
        if any(type(v) is not type(first) or v != first for v in values):
            raise DiffersError(values, path)
        return first

    def _mapping(self, values: Sequence[Mapping[Any, Any]], path: str) -> dict[Any, Any]:
        first = values[0]
        if any(not isinstance(v, dict) or v.keys() != first.keys() for v in values):
            raise DiffersError([list(v) for v in values], path)
        return {k: self.tree([v[k] for v in values], f"{path}.{k}") for k in first}

    def _sequence(self, values: Sequence[Sequence[Any]], path: str) -> list[Any]:
        if len({len(v) if isinstance(v, (list, tuple)) else -1 for v in values}) > 1:
            raise DiffersError(values, path)
        parts = zip(*values, strict=True)
        return [self.tree(part, f"{path}[{i}]") for i, part in enumerate(parts)]

    def _fitting(self, values: tuple[int, ...]) -> Iterator[Polynomial]:
        for factors in combinations(self._factors, 2):
            found = self._solved(factors, values)
            if found is not None:
                yield found

    def _solved(
        self, factors: tuple[tuple[int, ...], ...], values: tuple[int, ...]
    ) -> Polynomial | None:
        """The polynomial of two `factors` through the first and the last value, if through all."""
        (a, b), (c, d) = (
            [_monomial(f, s) for f in factors] for s in (self.sizes[0], self.sizes[-1])
        )
        first, last = values[0], values[-1]
        whole = a * d - b * c
        one, other = first * d - b * last, a * last - first * c
        if whole == 0 or one % whole or other % whole:
            return None
        coefficients = (one // whole, other // whole)
        found = Polynomial(tuple(t for t in zip(coefficients, factors, strict=True) if t[0]))
        return found if all(map(_gives(found), self.sizes, values)) else None


def _gives(found: Polynomial) -> Callable[[Sizes, int], bool]:
    return lambda sizes, value: found.at(sizes) == value


def _all_are(kind: type, values: Sequence[Any]) -> bool:
    return all(type(v) is kind for v in values)


def evaluated(tree: Any, sizes: Sizes) -> Any:
    """A tree that `Samples.tree` gave, with numbers for these sizes."""
    if isinstance(tree, dict):
        known = cast("dict[Any, Any]", tree)
        return {k: evaluated(v, sizes) for k, v in known.items()}
    if isinstance(tree, list):
        return [evaluated(v, sizes) for v in cast("list[Any]", tree)]
    return tree.at(sizes) if isinstance(tree, Depends) else tree
