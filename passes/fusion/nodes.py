"""One op as fusion and lowering see it: the elements that it reads, and what it makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from xdsl.ir import Operation, SSAValue

from ...ir.scalar.expression import Scalar
from .index import Bounds, Linear, compose
from .types import Shape


class Condition(NamedTuple):
    """Holds where low <= index < high."""

    index: Linear  # pyright: ignore[reportIncompatibleMethodOverride]
    low: int
    high: int

    @property
    def is_certain(self) -> bool:
        """True where it holds for every element."""
        return self.index.low >= self.low and self.index.high < self.high


Guard = tuple[Condition, ...]


def bounds_of(guard: Guard) -> Bounds:
    """The digits of n that `guard` bounds."""
    return tuple(
        (weight, size, low - e.const, high - e.const)
        for e, low, high in guard
        for weight, size, c in e.terms[:1]
        if len(e.terms) == 1 and c == 1
    )  # fmt: skip


def guarded(arg: Arg, e: Linear, guard: Guard) -> tuple[Linear, Guard] | None:
    """What `arg` reads of its value where its node is computed for element `e` under `guard`: the
    element, and the whole guard. None where no index map says so."""
    bounds = bounds_of(guard)
    whole = list(guard)
    for c in arg.guard:
        index = compose(c.index, e, bounds)
        if index is None:
            return None
        condition = Condition(index, c.low, c.high)
        if not condition.is_certain and condition not in whole:
            whole.append(condition)
    inner = tuple(whole)
    link = compose(arg.link, e, bounds_of(inner))
    return None if link is None else (link, inner)


class Gathered(NamedTuple):
    """An index read from memory: argument number `at` times `stride` is added to the link.

    Values outside [0, size) read nothing and give NaN (0 for integers).
    """

    at: int
    stride: int
    size: int
    signed: bool = True


class Arg(NamedTuple):
    """An element that a node reads: element `link` of `value`, where all of `guard` hold. `source`
    is the node that computes the value; None for inputs and literals."""

    value: SSAValue
    source: Node | None
    link: Linear
    guard: tuple[Condition, ...] = ()
    gathered: tuple[Gathered, ...] = ()

    @property
    def is_plain(self) -> bool:
        """True where the link alone says which element it is."""
        return not self.guard and not self.gathered


@dataclass(eq=False, slots=True)
class Node:
    """One op. Its domain is `count` elements: of its result, or of what a reduction reads.

    `expression` is over the elements of `args`, then the integers `indices`, then the truth of
    `conditions`. A reduction folds the middle of (`outer`, `reduced`, `inner`) with `combiner`.
    Opaque nodes (`kind` call) have neither. Nodes of one op with several results are each other's
    `family`: they read the same `args`, and are computed together.
    """

    position: int
    op: Operation
    kind: str
    result: SSAValue
    shape: Shape
    count: int
    args: tuple[Arg, ...] = ()
    indices: tuple[Linear, ...] = ()
    conditions: tuple[Condition, ...] = ()
    expression: Scalar | None = None
    cost: float = 0.0
    combiner: str = ""
    outer: int = 1
    reduced: int = 1
    inner: int = 1
    family: list[Node] = field(default_factory=list["Node"])

    @property
    def is_reduction(self) -> bool:
        """True for nodes that fold elements."""
        return self.kind == "reduce"

    @property
    def is_opaque(self) -> bool:
        """True for nodes that no kernel computes."""
        return self.kind == "call"
