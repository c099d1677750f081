"""Where the padding in a tensor lies: axes as products of sizes, some of which are padded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Vector = tuple[int, ...]
"""A size in each of the modules that are looked at side by side."""


class RefusedError(Exception):
    """What would let padding into results: `why`, what to do about it, and what does it where that
    is not called as the op is."""

    def __init__(self, why: str, advice: str = "", what: str = "") -> None:
        super().__init__(why)
        self.why, self.what = why, what
        self.wants_apart = False
        self.advice = advice or "do that outside of the function"


class PaddedKeysError(RefusedError):
    """Attention to padded keys, which can be masked once it is no op of its own."""

    def __init__(self) -> None:
        super().__init__("lets queries see padded keys")
        self.wants_apart = True


@dataclass(frozen=True)
class Padded:
    """A factor of an axis: the padded size with this number."""

    number: int


Axis = tuple["int | Padded", ...] | None
"""The factors of an axis in row-major order, an element being padding where its index along a
padded factor is none of the unpadded tensor; None where all elements along it are equal, so that
any of them may be."""

Axes = tuple[Axis, ...]


@dataclass(frozen=True)
class Sizes:
    """The padded sizes, one vector each; the last module is the one that is made to run."""

    padded: tuple[Vector, ...]

    def of(self, factor: int | Padded) -> Vector:
        """What a factor is in each module."""
        if isinstance(factor, Padded):
            return self.padded[factor.number]
        return (factor,) * len(self.padded[0])

    def product(self, axis: Sequence[int | Padded]) -> Vector:
        """What an axis is in each module."""
        return tuple(map(math.prod, zip(*map(self.of, axis), strict=True))) or self.of(1)

    def axis(self, size: Vector) -> tuple[int | Padded, ...]:
        """Padded sizes and then a fixed one whose product is `size`: an order for what has none."""
        found: list[int | Padded] = []
        for number, padded in enumerate(self.padded):
            while all(s > 1 and s % p == 0 for s, p in zip(size, padded, strict=True)):
                found.append(Padded(number))
                size = tuple(s // p for s, p in zip(size, padded, strict=True))
        if len(set(size)) > 1:
            raise RefusedError("has a size that is no multiple of the padded one")
        return (*found, *(size[:1] if size[0] != 1 or not found else ()))

    def run(self, size: Vector) -> tuple[int | Padded, ...]:
        """The same for an axis whose elements follow from their index alone."""
        axis = self.axis(size)
        if not is_run(axis):
            raise RefusedError("numbers elements of two padded axes one after the other")
        return axis


def is_padded(axis: Axis) -> bool:
    """Whether there is padding along an axis, or may be."""
    return axis is None or any(isinstance(f, Padded) for f in axis)


def is_run(axis: Axis) -> bool:
    """Whether elements that are no padding have the index that they have without it."""
    return axis is None or not any(isinstance(f, Padded) for f in axis[1:])


def fixed(size: int) -> Axis:
    """An axis without padding."""
    return (size,)


def joined(one: Axis, other: Axis) -> Axis:
    """The axis of what is computed from elements of two, of one size but where one has size 1."""
    if one == other or other == (1,):
        return one
    if one == (1,) or one is None:
        return other
    if other is None:
        return one
    raise RefusedError("pairs elements whose padding lies in different places")


def aligned(many: Sequence[Axes]) -> Axes:
    """Axes of what is computed from tensors that are broadcast."""
    rank = max(map(len, many), default=0)
    out: list[Axis] = [(1,)] * rank
    for axes in many:
        for i, axis in enumerate(axes, rank - len(axes)):
            out[i] = joined(out[i], axis)
    return tuple(out)


def reshaped(sizes: Sizes, axes: Axes, old: Sequence[Vector], new: Sequence[Vector]) -> Axes:
    """The axes of a tensor whose shape `old` becomes `new`, elements in row-major order."""
    if any(0 in size for size in (*old, *new)):
        raise RefusedError("gives a tensor without elements another shape")
    out: list[Axis] = [(1,)] * len(new)
    kept = [i for i, size in enumerate(old) if set(size) != {1}]
    wanted = [i for i, size in enumerate(new) if set(size) != {1}]
    for before, after in _groups([old[i] for i in kept], [new[i] for i in wanted]):
        parts = [axes[kept[i]] for i in before]
        found = _regrouped(sizes, parts, [new[wanted[i]] for i in after])
        for i, axis in zip(after, found, strict=True):
            out[wanted[i]] = axis
    return tuple(out)


def _groups(old: Sequence[Vector], new: Sequence[Vector]) -> Iterator[tuple[range, range]]:
    """The shortest runs of sizes on both sides that have the same product."""
    i = j = 0
    while i < len(old) or j < len(new):
        first, second = i, j
        left = right = tuple(1 for _ in (old or new)[0])
        while i == first or j == second or left != right:
            takes_old = j == len(new) or (i < len(old) and math.prod(left) <= math.prod(right))
            if takes_old and i == len(old):
                raise RefusedError("gives the padded axis a shape of another order")
            if takes_old:
                left, i = _times(left, old[i]), i + 1
            else:
                right, j = _times(right, new[j]), j + 1
        yield range(first, i), range(second, j)


def _times(one: Vector, other: Vector) -> Vector:
    return tuple(a * b for a, b in zip(one, other, strict=True))


def _regrouped(sizes: Sizes, parts: Sequence[Axis], new: Sequence[Vector]) -> list[Axis]:
    if len(parts) == len(new) == 1:
        return [parts[0]]
    if parts == [None] or not any(map(is_padded, parts)):
        return [None if len(set(size)) > 1 else fixed(size[0]) for size in new]
    if any(part is None for part in parts):
        raise RefusedError("joins an axis of equal elements with others")
    factors = [f for part in parts if part is not None for f in part if f != 1]
    return [_taken(sizes, factors, size) for size in new]


def _taken(sizes: Sizes, factors: list[int | Padded], size: Vector) -> Axis:
    """An axis of `size` from the front of `factors`, which is shortened."""
    axis: list[int | Padded] = []
    while set(size) != {1}:
        if not factors:
            raise RefusedError("splits the padded axis")
        factor = factors.pop(0)
        if isinstance(factor, int):
            part = math.gcd(factor, *size)
            if part != factor:
                factors.insert(0, factor // part)
            if part == 1:
                raise RefusedError("splits or joins the padded axis in another order")
            factor = part
        count = sizes.of(factor)
        if any(s % c for s, c in zip(size, count, strict=True)):
            raise RefusedError("splits or joins the padded axis in another order")
        size = tuple(s // c for s, c in zip(size, count, strict=True))
        axis.append(factor)
    return merged(axis)


def merged(factors: Sequence[int | Padded]) -> tuple[int | Padded, ...]:
    """Fixed factors side by side made one."""
    out: list[int | Padded] = []
    for factor in factors:
        if out and isinstance(factor, int) and isinstance(out[-1], int):
            out[-1] *= factor
        else:
            out.append(factor)
    return tuple(out)
