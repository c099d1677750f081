"""An op in the modules that are looked at side by side, as rules see it; what they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdsl.ir import SSAValue

from ...ir.dialects.ot import TableOp
from ...ir.dtypes import DType
from ...ir.graph import type_of
from ...ir.op import Op, is_list
from ...ir.polynomial import Polynomial, Real
from .axes import Axes, Axis, Padded, RefusedError, Sizes, Vector, is_padded

Number = bool | int | float


@dataclass(frozen=True)
class Mask:
    """Operand `operand` of op number `op` gets `fill` for its padding, which lies as `axes` say:
    along those that are padded."""

    op: int
    operand: int
    axes: Axes
    fill: Number


@dataclass(frozen=True)
class Size:
    """Operand `operand` of op number `op` is `Plan.numbers[number]`, which depends on sizes."""

    op: int
    operand: int
    number: int


@dataclass(frozen=True)
class Plan:
    """What is done to a region at stage `decomposed`, whose ops are counted without constants.
    `results` says where the padding in each of its results lies, `inputs` the same of its inputs;
    `numbers` are what the region is given besides: first the sizes without padding."""

    padded: tuple[int, ...]
    apart: bool
    """Whether attention is not one op, so that keys can be masked."""
    numbers: tuple[Polynomial | Real, ...]
    edits: tuple[Mask | Size, ...]
    inputs: tuple[Axes, ...]
    results: tuple[Axes, ...]


@dataclass(frozen=True)
class Tracked:
    """What is known of a value: its axes, and whether all its padding is 0."""

    axes: Axes
    is_zero: bool = False


@dataclass
class Node:
    """An op in each of the modules, for the rules."""

    number: int
    alike: Sequence[TableOp]
    operands: list[Tracked]
    sizes: Sizes
    edits: list[Mask | Size]
    attrs: list[dict[str, Any]] = field(init=False)
    places: list[list[int]] = field(init=False)
    """Where the operands of the table's signature lie among all values given."""

    def __post_init__(self) -> None:
        self.attrs = [op.attribute_values() for op in self.alike]
        self.places, at = [], 0
        for given in self.alike[-1].grouped_operands():
            count = len(given) if is_list(given) else int(given is not None)
            self.places.append(list(range(at, at + count)))
            at += count

    @property
    def op(self) -> Op:
        """Its entry in the table."""
        return self.alike[-1].SCHEMA

    def at(self, place: int) -> int | None:
        """The number of an operand by its place in the signature; None where it is absent."""
        found = self.places[place]
        return found[0] if found else None

    def given(self, place: int) -> Tracked:
        """What is known of an operand that must be there."""
        return self.operands[self.places[place][0]]

    def axes(self, place: int) -> Axes:
        """Its axes."""
        return self.given(place).axes

    def shape(self, place: int) -> list[Vector]:
        """Its sizes."""
        return shape_of([op.operands[self.places[place][0]] for op in self.alike])

    def made(self, result: int = 0) -> list[Vector]:
        """The sizes of a result."""
        return shape_of([op.results[result] for op in self.alike])

    def dtype(self, place: int) -> DType:
        """The dtype of an operand."""
        return type_of(self.alike[-1].operands[self.places[place][0]]).dtype

    def fixed(self, name: str) -> Any:
        """An attribute that is the same for all sizes."""
        values = [attrs[name] for attrs in self.attrs]
        if any(v != values[0] for v in values):
            several = ", ".join(map(str, values[:-1]))
            raise RefusedError(f"takes another {name} for another size, as {several}")
        return values[0]

    def axis(self, name: str, rank: int) -> int:
        """An attribute that names an axis, counted from the front."""
        return int(self.fixed(name)) % max(rank, 1)

    def mask(self, place: int, fill: Number, where: Mapping[int, Axis] | None = None) -> None:
        """Padding of an operand counts as `fill`. Along an axis of equal elements there is none,
        unless `where` says how it lies; then only the axes in it are masked."""
        at = self.at(place)
        if at is None or (fill == 0 and self.operands[at].is_zero):
            return
        axes = self.operands[at].axes
        given = dict(enumerate(axes)) if where is None else where
        masked = {i: axis for i, axis in given.items() if axis is not None and is_padded(axis)}
        if masked:
            every = tuple(masked.get(i, (1,)) for i in range(len(axes)))
            self.edits.append(Mask(self.number, at, every, fill))

    def ordered(self, place: int, at: int) -> tuple[int | Padded, ...]:
        """An axis of an operand; an order of its own for one of equal elements."""
        axis = self.axes(place)[at]
        return self.sizes.axis(self.shape(place)[at]) if axis is None else axis


Rule = Callable[[Node], Tracked | Sequence[Tracked]]


def shape_of(alike: Sequence[SSAValue]) -> list[Vector]:
    """The shape of a value in each of the modules, a vector an axis."""
    return list(zip(*(_fixed_shape(v) for v in alike), strict=True))


def _fixed_shape(value: SSAValue) -> tuple[int, ...]:
    return tuple(s for s in type_of(value).shape if isinstance(s, int))


def adding_to(table: dict[str, Rule]) -> Callable[..., Callable[[Rule], Rule]]:
    """A decorator that enters a rule for the ops named."""

    def named(*names: str) -> Callable[[Rule], Rule]:
        def add(rule: Rule) -> Rule:
            table.update(dict.fromkeys(names, rule))
            return rule

        return add

    return named
