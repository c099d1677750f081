"""What is known of the lengths of a kernel's loops: numbers, or sizes that lie in a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr

from ....ir.dialects.kernel import FuncOp, LoadOp, StoreOp
from ....ir.polynomial import Polynomial, Ranges, Sizes
from .nodes import Node, literal

Length = int | SSAValue
"""As many iterations as a loop has: a number, or a size that the kernel takes."""


@dataclass(frozen=True)
class Spread:
    """The sizes that a kernel is made for: `ranges` of the symbols, `typical` ones, which choices
    are made for, and `samples`, of which what is true is taken to be true of all."""

    ranges: Ranges
    typical: Sizes
    samples: Sequence[Sizes]


@dataclass(frozen=True)
class Size:
    """A size that a kernel takes: `of` symbols, from `low` to `high`; `values` are those for the
    samples."""

    of: Polynomial
    low: int
    high: int
    typical: int
    values: tuple[int, ...]

    @staticmethod
    def over(of: Polynomial, spread: Spread) -> Size:
        """What `of` is for sizes of `spread`."""
        low, high = of.bounds(spread.ranges)
        return Size(of, low, high, of.at(spread.typical), tuple(map(of.at, spread.samples)))

    @property
    def held(self) -> str:
        """The type that holds it."""
        return "int32" if -(1 << 31) <= self.low and self.high < 1 << 31 else "int64"


class Lengths:
    """The sizes of one kernel, by its arguments, and what follows for lengths."""

    def __init__(self, func: FuncOp, sizes: Sequence[Size] = ()) -> None:
        self.sizes: dict[SSAValue, Size] = dict(zip(func.sizes, sizes, strict=True))
        names = [f"n{i}" if len(sizes) > 1 else "n" for i in range(len(sizes))]
        self.nodes: dict[SSAValue, Node] = {
            argument: Node(name, (), size.held, hint=name, named=True, low=size.low, high=size.high)
            for (argument, size), name in zip(self.sizes.items(), names, strict=True)
        }

    @property
    def names(self) -> list[str]:
        """The parameters that sizes are, in order."""
        return [node.template for node in self.nodes.values()]

    @property
    def settings(self) -> list[Mapping[SSAValue, int]]:
        """The sizes of each sample; one without any where there are none."""
        count = max((len(s.values) for s in self.sizes.values()), default=1)
        return [{a: s.values[i] for a, s in self.sizes.items()} for i in range(count)]

    def most(self, length: Length) -> int:
        """The greatest value."""
        return length if isinstance(length, int) else self.sizes[length].high

    def typical(self, length: Length) -> int:
        """The value that choices are made for."""
        return length if isinstance(length, int) else self.sizes[length].typical

    def divisor(self, length: Length) -> int:
        """What divides it."""
        return length if isinstance(length, int) else self.sizes[length].of.divisor

    def node(self, length: Length) -> Node:
        """Its value in the kernel."""
        return literal(length, "int64") if isinstance(length, int) else self.nodes[length]

    def text(self, length: Length) -> str:
        """How the kernel spells it."""
        return str(length) if isinstance(length, int) else self.nodes[length].template

    def range(self, length: Length, name: str = "", size: int = 1) -> Range:
        """0 to `length` in steps of `size`, which is called `name`."""
        text, most = self.text(length), self.most(length)
        held = "int32" if most + size <= 1 << 31 else "int64"
        if held == "int64":  # Triton has 2147483648 for unsigned, and compares it with signed ones
            text = f"tl.full([], {text}, tl.int64)"
        return Range(f"range(0, {text}, {name})" if size > 1 else f"range({text})", most, held)


@dataclass(frozen=True)
class Range:
    """What a loop goes through, as text, at most how far, and the type of its index."""

    text: str
    most: int
    held: str = "int32"


def at_setting(length: Length, setting: Mapping[SSAValue, int]) -> int:
    """The value of a length for one sample."""
    return length if isinstance(length, int) else setting[length]


def offset_at(op: LoadOp | StoreOp, setting: Mapping[SSAValue, int]) -> AffineExpr:
    """The offset of an access for one sample: its other symbols are what they were."""
    map_ = op.map.data
    symbols = [
        AffineExpr.constant(setting[v]) if v in setting else AffineExpr.symbol(i)
        for i, v in enumerate(list(op.indices)[map_.num_dims :])
    ]
    return map_.results[0].replace_dims_and_symbols([], symbols)


def loaded_symbols(op: LoadOp | StoreOp) -> list[SSAValue]:
    """The symbols of an access that are no sizes of its kernel."""
    func = op.parent_op()
    while func is not None and not isinstance(func, FuncOp):
        func = func.parent_op()
    sizes = () if func is None else func.sizes
    return [v for v in list(op.indices)[op.map.data.num_dims :] if v not in sizes]
