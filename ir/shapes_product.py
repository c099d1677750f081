"""Shape rules of products, normalisation and losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .dims import is_known
from .errors import ShapeError
from .shapes import Shape, ShapeRule, broadcast_shapes, show


@dataclass(frozen=True)
class MatMul:
    """The matrix product of operands 0 and 1: 1-d operands are vectors, leading axes broadcast."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        a, b = operands[0].shape, operands[1].shape
        inner = (a[-1], b[-2 if len(b) > 1 else 0]) if a and b else (0, 1)
        if inner[0] != inner[1] and is_known(inner):
            raise ShapeError(
                f"{name}: shapes {show(a)} and {show(b)} do not multiply; the last size of the "
                "first must equal the second to last (or only) size of the second"
            )
        batch = broadcast_shapes(name, [a[:-2], b[:-2]])
        return (*batch, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return "shape_rule::mat_mul(call)"


@dataclass(frozen=True)
class Linear:
    """x (..., k) times weight (n, k) transposed: (..., n), as operand 2, a bias (n,), if given."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        (x, w), bias = (o.shape for o in operands[:2]), operands[2]
        fits = len(x) >= 1 and len(w) == 2 and (x[-1] == w[1] or not is_known((x[-1], w[1])))
        if not fits:
            raise ShapeError(
                f"{name}: input {show(x)} does not fit weight {show(w)}; the last size of the "
                "input must equal the last size of the (out, in) weight"
            )
        wanted = w[:1]
        if bias is not None and not may_equal(bias.shape, wanted):
            raise ShapeError(
                f"{name}: bias {show(bias.shape)} does not fit weight {show(w)}; give shape "
                f"{show(wanted)}"
            )
        return (*x[:-1], w[0])

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return "shape_rule::linear(call)"


@dataclass(frozen=True)
class Leading:
    """The shape of operand `index` without its last `drop` axes."""

    index: int = 0
    drop: int = 1

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape = operands[self.index].shape
        return shape[: len(shape) - self.drop]

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::leading(call, {self.index}, {self.drop})"


@dataclass(frozen=True)
class Stacked:
    """`count` tensors of the shape of operand `index`, along a new first axis."""

    index: int
    count: int

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        return (self.count, *operands[self.index].shape)

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::stacked(call, {self.index}, {self.count})"


@dataclass(frozen=True)
class ProductBatch:
    """The shape of an attention result: (..., q rows, v columns) of the first and third of the
    operands from `first` on, whose leading axes the second has as well; operand `mask` broadcasts
    to (..., q rows, k rows)."""

    first: int = 0
    mask: int = 3

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        q, k, v = (o.shape for o in operands[self.first : self.first + 3])
        mask = operands[self.mask]
        fits = min(map(len, (q, k, v))) >= 2 and (
            may_equal((*q[:-2], q[-1]), (*k[:-2], k[-1])) and may_equal(k[:-1], v[:-1])
        )
        if not fits:
            raise ShapeError(
                f"{name}: query {show(q)}, key {show(k)} and value {show(v)} do not fit; "
                "give (..., L, E), (..., S, E) and (..., S, Ev)"
            )
        if mask is not None:
            _check_mask(name, mask.shape, (*q[:-1], k[-2]))
        return (*q[:-1], v[-1])

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::product_batch(call, {self.first}, {self.mask})"


def may_equal(a: Shape, b: Shape) -> bool:
    """False where two sizes that are known differ, or the numbers of axes."""
    return len(a) == len(b) and all(
        x == y or not is_known((x, y)) for x, y in zip(a, b, strict=True)
    )


def _check_mask(name: str, mask: Shape, scores: Shape) -> None:
    last = scores[len(scores) - len(mask) :]
    if not may_equal(mask, tuple(1 if m == 1 else s for m, s in zip(mask, last, strict=False))):
        raise ShapeError(
            f"{name}: attn_mask {show(mask)} does not broadcast to {show(scores)}; "
            "give sizes equal or 1, counted from the last"
        )


@dataclass(frozen=True)
class Normalized:
    """Operand `index`, whose last sizes are the attribute `normalized_shape`, as are the shapes of
    the operands `which` that are given."""

    which: tuple[int, ...]
    index: int = 0

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, inner = operands[self.index].shape, tuple(attrs["normalized_shape"])
        given = [operands[i].shape for i in self.which if operands[i] is not None]
        for s in (shape[max(len(shape) - len(inner), 0) :], *given):
            if len(s) != len(inner) or (is_known((*s, *inner)) and s != inner):
                raise ShapeError(
                    f"{name}: shape {show(s)} is not the normalized shape {show(inner)}; give the "
                    "last sizes of the input, and weight and bias of that shape"
                )
        return shape

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        which = ", ".join(map(str, self.which))
        inner = attr_index["normalized_shape"]
        return f"shape_rule::normalized(call, {self.index}, {inner}, {{{which}}})"


def _is_reduced(name: str, reduction: str) -> bool:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(
            f"{name}: '{reduction}' is not known for reduction; give 'none', 'mean' or 'sum'"
        )
    return reduction != "none"


@dataclass(frozen=True)
class Loss:
    """The broadcast of operands 0 and 1 where attribute `reduction` is "none", else ()."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        each = broadcast_shapes(name, [operands[0].shape, operands[1].shape])
        return () if _is_reduced(name, attrs["reduction"]) else each

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::loss(call, {attr_index['reduction']})"


@dataclass(frozen=True)
class ClassLoss:
    """The shape of operand `first` + 1 where attribute `reduction` is "none", else (); operand
    `first` has one axis more, of classes: its axis 1, or its only one."""

    first: int = 0

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, target = operands[self.first].shape, operands[self.first + 1].shape
        at = 1 if len(shape) > 1 else 0
        rest = (*shape[:at], *shape[at + 1 :])
        if not shape or len(rest) != len(target) or (is_known((*rest, *target)) and rest != target):
            raise ShapeError(
                f"{name}: input {show(shape)} does not fit target {show(target)}; "
                "give (N, C, ...) and (N, ...), or (C,) and ()"
            )
        return () if _is_reduced(name, attrs["reduction"]) else target

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::class_loss(call, {self.first}, {attr_index['reduction']})"


@dataclass(frozen=True)
class Fits:
    """What `rule` says; an operand of `needed`, given by index and name, has the shape that another
    rule says."""

    rule: ShapeRule
    needed: tuple[tuple[int, str, ShapeRule], ...]

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        for index, what, rule in self.needed:
            came, wanted = operands[index].shape, rule(name, operands, attrs)
            if not may_equal(came, wanted):
                raise ShapeError(f"{name}: {what} has shape {show(came)}; give {show(wanted)}")
        return self.rule(name, operands, attrs)

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        checks = [
            f'shape_rule::fits(call, {index}, "{what}", {rule.cpp(operand_index, attr_index)})'
            for index, what, rule in self.needed
        ]
        return f"({', '.join([*checks, self.rule.cpp(operand_index, attr_index)])})"
