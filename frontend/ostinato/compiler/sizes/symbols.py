"""Which dimensions of the arguments vary from call to call, and sizes that stand for them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from ...ir.polynomial import Samples

MOST = 2
"""How many symbols there may be."""

_LEAST = 11
"""Sizes that are tried go down to this prime, where no call had a smaller one."""

Place = tuple[int, int]
"""A dimension: the leaf of the call that is a tensor, and its axis."""


@dataclass(frozen=True)
class Symbols:
    """The dimensions that vary; those of one symbol always have the same size."""

    places: tuple[tuple[Place, ...], ...]

    @property
    def names(self) -> str:
        """A letter for each."""
        return "NMKL"[: len(self.places)]

    def sizes_in(self, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
        """The size of each symbol; None where its dimensions differ."""
        found = [{shapes[leaf][axis] for leaf, axis in places} for places in self.places]
        return tuple(s.pop() for s in found) if all(len(s) == 1 for s in found) else None

    def put(self, shapes: Sequence[tuple[int, ...]], sizes: Sequence[int]) -> list[tuple[int, ...]]:
        """`shapes` with `sizes` in them."""
        made = [list(s) for s in shapes]
        for places, size in zip(self.places, sizes, strict=True):
            for leaf, axis in places:
                made[leaf][axis] = size
        return [tuple(s) for s in made]


def varying(calls: Sequence[Sequence[tuple[int, ...]]]) -> Symbols:
    """The dimensions in which the shapes of some calls differ."""
    groups: dict[tuple[int, ...], list[Place]] = {}
    for leaf, shape in enumerate(calls[0]):
        for axis in range(len(shape)):
            seen = tuple(c[leaf][axis] for c in calls)
            if len(set(seen)) > 1:
                groups.setdefault(seen, []).append((leaf, axis))
    return Symbols(tuple(map(tuple, groups.values())))


@dataclass(frozen=True)
class Domain:
    """Symbols with their ranges, sizes for which something is made to see what depends on them,
    and those that choices by size are made for."""

    symbols: Symbols
    ranges: tuple[tuple[int, int], ...]
    samples: Samples
    typical: tuple[int, ...]

    @property
    def stand_ins(self) -> list[tuple[tuple[int, int], ...]]:
        """For each sample its sizes, with those that passes take them for."""
        return [tuple(zip(s, self.typical, strict=True)) for s in self.samples.sizes]

    @property
    def guards(self) -> list[str]:
        """`N in [11, 521], axis 1 of argument 0`, a line a symbol."""
        every = zip(self.symbols.names, self.ranges, self.symbols.places, strict=True)
        return [
            f"{name} in [{low}, {high}], "
            + " and ".join(f"axis {axis} of argument {leaf}" for leaf, axis in places)
            for name, (low, high), places in every
        ]

    def named(self, sizes: Sequence[int]) -> str:
        """`N = 37`."""
        return ", ".join(f"{n} = {s}" for n, s in zip(self.symbols.names, sizes, strict=True))

    def takes(self, sizes: Sequence[int]) -> bool:
        """Whether sizes lie in the ranges."""
        return all(low <= n <= high for n, (low, high) in zip(sizes, self.ranges, strict=True))


def domains(
    symbols: Symbols, calls: Sequence[tuple[int, ...]], avoid: Collection[int]
) -> Iterator[Domain]:
    """Domains for symbols that had the sizes `calls`, with the last ones in the ranges, the widest
    first. Samples are the corners of the ranges and one inside, all primes that divide none of the
    numbers `avoid`."""
    seen = list(zip(*calls, strict=True))
    typical = tuple(max(sizes) for sizes in seen)
    for times in (4, 2, 1, 0):
        used: set[int] = set()
        chosen = [_three(sizes, times, avoid, used) for sizes in seen]
        three = [c for c in chosen if c is not None]
        if len(three) < len(chosen):
            continue
        corners = list(product(*((low, high) for low, _, high in three)))
        inside = tuple(middle for _, middle, _ in three)
        samples = Samples([corners[0], inside, *corners[1:]])
        found = Domain(symbols, tuple((a, b) for a, _, b in three), samples, typical)
        if found.takes(calls[-1]):
            yield found


def _three(
    seen: Sequence[int], times: int, avoid: Collection[int], used: set[int]
) -> tuple[int, int, int] | None:
    """A low, a middle and a high prime; the high one is at least `times` the largest size, or below
    it for 0."""

    def first(numbers: range) -> int | None:
        fitting = (n for n in numbers if is_prime(n) and n not in used)
        found = next((n for n in fitting if all(a % n for a in avoid)), None)
        used.update(() if found is None else (found,))
        return found

    least, most = min(seen), max(seen)
    low = first(range(_LEAST, least + 1)) if least >= _LEAST else first(range(least, 1, -1))
    high = first(range(most * times, most * times * 3)) if times else first(range(most, 1, -1))
    if low is None or high is None or low >= high:
        return None
    middle = first(range(math.isqrt(low * high), high)) or first(range(high, low, -1))
    return (low, middle, high) if middle is not None and low < middle < high else None


def is_prime(number: int) -> bool:
    """Whether no smaller number from 2 on divides it."""
    return number > 1 and all(number % k for k in range(2, math.isqrt(number) + 1))
