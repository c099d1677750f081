"""Loops of a kernel, and element numbers as affine functions of their indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import i64
from xdsl.ir import BlockArgument, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ...ir.dialects.integers import integer_attribute
from ...ir.kernel_builder import KernelBuilder
from ..fusion.index import Linear, Term


@dataclass(frozen=True, eq=False)
class Axis:
    """A loop, or a digit of one: `(index // divisor) % size` steps by `weight` elements of n.

    `whole` says that no remainder has to be taken. `depth` is that of the loop's body.
    """

    index: BlockArgument
    weight: int
    size: int
    depth: int
    divisor: int = 1
    whole: bool = True

    @property
    def end(self) -> int:
        """The weight of the next digit of n."""
        return self.weight * self.size


@dataclass(frozen=True)
class Piece:
    """`coefficient * ((axis // divisor) % size)`, the remainder left out where `whole`."""

    axis: Axis
    divisor: int
    size: int
    whole: bool
    coefficient: int


class Space:
    """The open loops, outermost first: n is the sum of their indices times their weights."""

    def __init__(self) -> None:
        self.axes: list[Axis] = []

    def depth_of(self, e: Linear) -> int:
        """The depth of the innermost loop that `e` depends on."""
        return max((a.depth for t in e.terms for a in self._needed(t)), default=0)

    def _needed(self, term: Term) -> list[Axis]:
        """The loops whose indices the digit of n is computed from."""
        if self._pieces(term) is not None:
            return self._touched(term)
        end = term[0] * term[1]
        return [a for a in self.axes if a.size > 1 and a.weight % end]

    def _touched(self, term: Term) -> list[Axis]:
        weight, size, _ = term
        return [a for a in self.axes if a.size > 1 and a.weight < weight * size and a.end > weight]

    def _pieces(self, term: Term) -> list[Piece] | None:
        """The digit of n as digits of loop indices; None where it cuts unevenly through one."""
        weight, size, c = term
        end = weight * size
        pieces: list[Piece] = []
        for a in self._touched(term):
            low, high = max(weight, a.weight), min(end, a.end)
            if low % a.weight or a.end % high or high % low or low % weight:
                return None
            pieces.append(
                Piece(a, low // a.weight, high // low, high == a.end, c * (low // weight))
            )
        return pieces

    def access(self, e: Linear) -> tuple[AffineMap, list[BlockArgument]]:
        """The map and the loop indices that give `e`."""
        dims: dict[BlockArgument, AffineExpr] = {}

        def index(axis: Axis) -> AffineExpr:
            if axis.index not in dims:
                dims[axis.index] = AffineExpr.dimension(len(dims))
            return dims[axis.index]

        expr = AffineExpr.constant(e.const)
        for term in reversed(e.terms):
            pieces = self._pieces(term)
            parts = (
                [_piece(index(p.axis), p) * p.coefficient for p in pieces]
                if pieces is not None
                else [self._general(term, index)]
            )
            for part in parts:
                expr = part + expr
        return AffineMap(len(dims), 0, (expr,)), list(dims)

    def _general(self, term: Term, index: object) -> AffineExpr:
        weight, size, c = term
        total = AffineExpr.constant(0)
        for a in self._needed(term):
            digit = Piece(a, 1, a.size, True, 1)
            total = total + _piece(index(a), digit) * a.weight  # pyright: ignore
        return (total // weight) % size * c

    def value(self, e: Linear, b: KernelBuilder) -> SSAValue:
        """`e` as an i64, computed where `b` stands."""
        parts: list[SSAValue] = []
        for term in e.terms:
            pieces = self._pieces(term)
            if pieces is None:
                parts.append(self._general_value(term, b))
            else:
                parts += [_scaled(_digit_value(p, b), p.coefficient, b) for p in pieces]
        if e.const or not parts:
            parts.append(_constant(e.const, b))
        total = parts[0]
        for part in parts[1:]:
            total = b.insert(arith.AddiOp(total, part)).result
        return total

    def _general_value(self, term: Term, b: KernelBuilder) -> SSAValue:
        weight, size, c = term
        total = _constant(0, b)
        for a in self._needed(term):
            part = _scaled(_digit_value(Piece(a, 1, a.size, True, 1), b), a.weight, b)
            total = b.insert(arith.AddiOp(total, part)).result
        whole = b.insert(arith.DivUIOp(total, _constant(weight, b))).result
        rest = b.insert(arith.RemUIOp(whole, _constant(size, b))).result
        return _scaled(rest, c, b)


def _piece(index: AffineExpr, p: Piece) -> AffineExpr:
    """`(axis digit // divisor) % size` of the axis' loop index."""
    divisor = p.axis.divisor * p.divisor
    expr = index // divisor if divisor > 1 else index
    return expr if p.whole and p.axis.whole else expr % p.size


def _digit_value(p: Piece, b: KernelBuilder) -> SSAValue:
    value = b.insert(arith.IndexCastOp(p.axis.index, i64)).result
    divisor = p.axis.divisor * p.divisor
    if divisor > 1:
        value = b.insert(arith.DivUIOp(value, _constant(divisor, b))).result
    if not (p.whole and p.axis.whole):
        value = b.insert(arith.RemUIOp(value, _constant(p.size, b))).result
    return value


def _scaled(value: SSAValue, by: int, b: KernelBuilder) -> SSAValue:
    return value if by == 1 else b.insert(arith.MuliOp(value, _constant(by, b))).result


def _constant(value: int, b: KernelBuilder) -> SSAValue:
    return b.insert(arith.ConstantOp(integer_attribute(value))).result


def breaks(offsets: Sequence[Linear], length: int) -> list[int]:
    """The weights inside of (1, length) at which some of `offsets` stop being one stride."""
    found: set[int] = set()
    for e in offsets:
        for weight, size, _ in e.terms:
            found |= {w for w in (weight, weight * size) if 1 < w < length}
    return sorted(found)
