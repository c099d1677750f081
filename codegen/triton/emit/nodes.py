"""The kernel being written, as a tree: values, stores and loops, before they become text.

A pure value goes to the outermost frame (loop body) in which its operands exist, and is made once
there: so invariants leave loops and equal expressions are one value, however often the passes over
a row compute them again. `text` drops what nothing uses, and names or inlines the rest.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

ATOM, UNARY, PRODUCT, SUM, SHIFT, AND, XOR, OR, COMPARE, LOOSE = range(10, 0, -1)
"""How tightly operators of Python bind."""

Axes = frozenset[str]
"""The tile axes along which a value varies; none for a scalar."""

NO_AXES: Axes = frozenset()


@dataclass(eq=False, slots=True)
class Node:
    """A value: `template` is Python text with `{0}`, `{1}`, ... for `operands`. Literals are spelt
    as beside a value of their type, for `{0:t}` as alone in a call, for `{0:f}` as a tensor.

    `held` is its Triton type (`float32`, `int64`, `int1`, ...), which for an integer of the IR may
    be narrower than the IR's where [low, high], the values that it can have, fit. `rank` is how
    tightly the template binds, `ranks` how tightly operands must. A `named` value is never
    written inside another expression. `number` is the value of a literal.
    """

    template: str
    operands: tuple[Node, ...]
    held: str
    axes: Axes = NO_AXES
    rank: int = ATOM
    ranks: tuple[int, ...] = ()
    hint: str = "value"
    depth: int = 0
    low: int | None = None
    high: int | None = None
    named: bool = False
    number: bool | int | float | None = None

    @property
    def is_literal(self) -> bool:
        """True for numbers."""
        return self.number is not None

    @property
    def is_integer(self) -> bool:
        """True for integers, bools not among them."""
        return "int" in self.held and self.held != "int1"


@dataclass(eq=False, slots=True)
class Carried:
    """A variable that a loop changes: `start` before it, `following` at the end of each pass.

    `inside` stands for its value in the body, `after` for that after the loop.
    """

    inside: Node
    after: Node
    start: Node
    following: Node


@dataclass(eq=False, slots=True)
class Store:
    """Text without a value that has to be where it is: a store or a barrier."""

    template: str
    operands: tuple[Node, ...] = ()
    comment: str = ""


@dataclass(eq=False, slots=True)
class Loop:
    """`for index in range(...)` over a frame."""

    index: Node
    range: str
    body: Frame
    carried: list[Carried] = field(default_factory=list[Carried])


@dataclass(eq=False, slots=True)
class Frame:
    """What one loop body, or the function outside of loops, holds, in order."""

    items: list[Node | Store | Loop] = field(default_factory=list["Node | Store | Loop"])
    known: dict[Hashable, Node] = field(default_factory=dict[Hashable, Node])


class Writer:
    """Puts values into frames; `functions` collects the device functions that they call."""

    def __init__(self) -> None:
        self.frames = [Frame()]
        self.functions: dict[str, None] = {}

    @property
    def depth(self) -> int:
        """The number of the innermost open frame."""
        return len(self.frames) - 1

    def known(self, key: Hashable) -> Node | None:
        """The value that an open frame has under `key`."""
        for frame in reversed(self.frames):
            if key in frame.known:
                return frame.known[key]
        return None

    def note(self, key: Hashable, node: Node) -> None:
        """Files `node` under `key` in the innermost frame."""
        self.frames[-1].known[key] = node

    def place(self, node: Node, depth: int) -> Node:
        """Adds `node` to the end of frame number `depth`."""
        node.depth = depth
        self.frames[depth].items.append(node)
        return node

    def pure(
        self,
        template: str,
        operands: Sequence[Node],
        held: str,
        *,
        rank: int = ATOM,
        ranks: tuple[int, ...] = (),
        hint: str = "value",
        low: int | None = None,
        high: int | None = None,
        axes: Axes | None = None,
        named: bool = False,
    ) -> Node:
        """The value of an expression without side effects, made at most once."""
        key = (template, *map(_identity, operands), held)
        depth = max((n.depth for n in operands), default=0)
        known = self.frames[depth].known.get(key)
        if known is None:
            if axes is None:
                axes = NO_AXES.union(*(n.axes for n in operands))
            known = Node(template, tuple(operands), held, axes, rank, ranks, hint,
                         low=low, high=high, named=named)  # fmt: skip
            self.place(known, depth)
            self.frames[depth].known[key] = known
        return known

    def call(self, name: str, operands: Sequence[Node], held: str, *, hint: str = "",
             axes: Axes | None = None, named: bool = False) -> Node:  # fmt: skip
        """`name(operands)`."""
        slots = ", ".join(f"{{{i}:t}}" for i in range(len(operands)))
        return self.pure(f"{name}({slots})", operands, held, hint=hint or name.rpartition(".")[2],
                         axes=axes, named=named)  # fmt: skip

    def function(self, name: str, operands: Sequence[Node], held: str) -> Node:
        """A call of the device function `name`, which the module will define."""
        self.functions[name] = None
        slots = ", ".join(f"{{{i}:f}}" for i in range(len(operands)))
        return self.pure(f"{name}({slots})", operands, held, hint=name)

    def infix(self, symbol: str, a: Node, b: Node, held: str, rank: int, *, hint: str,
              low: int | None = None, high: int | None = None) -> Node:  # fmt: skip
        """`a symbol b`, which groups to the left; comparisons do not group."""
        ranks = (rank + (rank == COMPARE), rank + 1)
        first = "{0:t}" if b.is_literal else "{0}"
        return self.pure(f"{first} {symbol} {{1}}", (a, b), held, rank=rank, ranks=ranks, hint=hint,
                         low=low, high=high)  # fmt: skip


def _identity(node: Node) -> Hashable:
    """Equal for values that are the same; 0.0 and -0.0 are not."""
    return (repr(node.number), node.held) if node.is_literal else node


def literal(value: bool | int | float, held: str) -> Node:
    """A number of the type `held`; the text depends on where it is used."""
    whole = isinstance(value, int)
    low = int(value) if whole else None
    return Node("", (), held, number=value, low=low, high=low)
