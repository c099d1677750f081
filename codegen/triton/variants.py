"""Kernels of a family of sizes: one for all, or one for each power of two that rows fit into.

A row is held in registers from one pass to the next only where a block holds it, and a block that
is much longer than the row does as much work for nothing. So a kernel whose rows are as long as a
size is made for each power of two; those that come out alike are one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from xdsl.ir import SSAValue

from ...ir.dialects.kernel import BatchOp, FuncOp
from ...ir.polynomial import Polynomial
from .emit.batch import emit_launchable
from .emit.sizes import Size, Spread
from .emit.tiles import LONGEST, loops_of, power_above
from .kernel import TritonKernel

_NARROWEST = 16
"""Shorter rows are not worth a kernel of their own."""


@dataclass(frozen=True)
class KernelFamily:
    """The sizes that kernels take, by name of those that take any, and where sizes lie."""

    sizes: Mapping[str, Sequence[Polynomial]]
    spread: Spread


Made = TypeVar("Made")


@dataclass(frozen=True)
class Variants(Generic[Made]):
    """What is made for ranges of a symbol: `cases` have the greatest size of each, rising."""

    symbol: int
    cases: list[tuple[int, list[Made]]]


def emit_family(
    name: str, kernels: Mapping[str, FuncOp | BatchOp], family: KernelFamily
) -> Variants[TritonKernel]:
    """The kernels that a launch of `name` runs, by size."""

    def made(spread: Spread) -> list[TritonKernel]:
        sizes = {k: [Size.over(p, spread) for p in ps] for k, ps in family.sizes.items()}
        return [emit_launchable(name, kernels, sizes)]

    op = kernels[name]
    widths = _widths(op, family.sizes.get(name, ())) if isinstance(op, FuncOp) else []
    return by_width(made, widths, family.spread)


def by_width(
    make: Callable[[Spread], list[Made]], widths: Sequence[Polynomial], spread: Spread
) -> Variants[Made]:
    """What `make` gives for each part of `spread` between powers of two of `widths`."""
    symbol, parts = _parts(widths, spread)
    cases: list[tuple[int, list[Made]]] = []
    for part in parts:
        made = make(part)
        if cases and cases[-1][1] == made:
            cases.pop()
        cases.append((part.ranges[symbol][1], made))
    return Variants(symbol, cases)


def _widths(func: FuncOp, sizes: Sequence[Polynomial]) -> list[Polynomial]:
    """The sizes that are lengths of rows."""
    of: dict[SSAValue, Polynomial] = dict(zip(func.sizes, sizes, strict=True))
    lengths = [op.length for op in loops_of(func) if op.vector is not None]
    return list(dict.fromkeys(of[n] for n in lengths if not isinstance(n, int)))


def _parts(widths: Sequence[Polynomial], spread: Spread) -> tuple[int, list[Spread]]:
    """`spread` cut where one of `widths` is a power of two, along the first symbol that one has;
    typical is the greatest size of each part."""
    symbols = [f[0] for w in widths for _, f in w.terms if f]
    if not symbols:
        return 0, [spread]
    symbol = symbols[0]
    low, high = spread.ranges[symbol]
    ends = {end for w in widths for end in _ends(w, symbol, spread) if low <= end < high}
    parts: list[Spread] = []
    for end in (*sorted(ends), high):
        ranges = [(low, end) if i == symbol else r for i, r in enumerate(spread.ranges)]
        typical = [end if i == symbol else n for i, n in enumerate(spread.typical)]
        parts.append(replace(spread, ranges=ranges, typical=typical))
        low = end + 1
    return symbol, parts


def _ends(width: Polynomial, symbol: int, spread: Spread) -> list[int]:
    """For each power of two the greatest size for which `width` is at most that."""
    low, high = spread.ranges[symbol]

    def at(size: int) -> int:
        return width.at([size if i == symbol else n for i, n in enumerate(spread.typical)])

    ends: list[int] = []
    power = _NARROWEST
    while power < min(power_above(at(high)), 2 * LONGEST):
        fitting = [low - 1, high]
        while fitting[1] - fitting[0] > 1:
            middle = sum(fitting) // 2
            fitting[at(middle) > power] = middle
        ends.append(fitting[0])
        power *= 2
    return ends
