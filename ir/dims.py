"""Sizes that are known as integers or stand for a run-time value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Size = "int | Dim"


@dataclass(frozen=True)
class Dim:
    """A size expression: `kind` is a symbol or an operation over `args`.

    The symbols `operand` and `result` hold (index, axis, call), `attr` holds (index, element or -1
    for a single size, call). Equality is structural: two different expressions may have the same
    value.
    """

    kind: str
    args: tuple[int | Dim, ...]

    def __add__(self, o: int | Dim) -> int | Dim:
        return self if o == 0 else Dim("add", (self, o))

    def __radd__(self, o: int) -> int | Dim:
        return self + o

    def __sub__(self, o: int | Dim) -> int | Dim:
        return self if o == 0 else 0 if o == self else Dim("sub", (self, o))

    def __rsub__(self, o: int) -> int | Dim:
        return Dim("sub", (o, self))

    def __mul__(self, o: int | Dim) -> int | Dim:
        return self if o == 1 else 0 if o == 0 else Dim("mul", (self, o))

    def __rmul__(self, o: int) -> int | Dim:
        return self * o

    def __floordiv__(self, o: int | Dim) -> int | Dim:
        return self if o == 1 else 1 if o == self else Dim("div", (self, o))

    def __rfloordiv__(self, o: int) -> int | Dim:
        return Dim("div", (o, self))

    def __neg__(self) -> int | Dim:
        return Dim("sub", (0, self))

    def __bool__(self) -> bool:
        raise TypeError(f"size {self} is known only at run time; a rule may not branch on it")

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(str, self.args))})"


def dim_max(a: int | Dim, b: int | Dim) -> int | Dim:
    """The larger of two sizes."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else Dim("max", (a, b))


def dim_min(a: int | Dim, b: int | Dim) -> int | Dim:
    """The smaller of two sizes."""
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else Dim("min", (a, b))


def is_known(sizes: Iterable[int | Dim]) -> bool:
    """True when every size is an integer."""
    return all(isinstance(s, int) for s in sizes)


def product(sizes: Iterable[int | Dim]) -> int | Dim:
    """The number of elements of a shape."""
    total: int | Dim = 1
    for s in sizes:
        total = total * s
    return total
