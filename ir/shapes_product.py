"""Shape rules of products, normalisation and losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .dims import is_known
from .errors import ShapeError
from .shapes import Shape, broadcast_shapes, show


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
    """x (..., k) times weight (n, k) transposed: (..., n)."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        x, w = operands[0].shape, operands[1].shape
        fits = len(x) >= 1 and len(w) == 2 and (x[-1] == w[1] or not is_known((x[-1], w[1])))
        if not fits:
            raise ShapeError(
                f"{name}: input {show(x)} does not fit weight {show(w)}; the last size of the "
                "input must equal the last size of the (out, in) weight"
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
class ProductBatch:
    """The shape of an attention result: (..., q rows, v columns) of operands 0 and 2, whose leading
    axes operand 1 has as well; the mask, operand 3, broadcasts to (..., q rows, k rows)."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        (q, k, v), mask = (operands[i].shape for i in range(3)), operands[3]
        fits = min(map(len, (q, k, v))) >= 2 and (
            _may_equal((*q[:-2], q[-1]), (*k[:-2], k[-1])) and _may_equal(k[:-1], v[:-1])
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
        return "shape_rule::product_batch(call)"


def _may_equal(a: Shape, b: Shape) -> bool:
    """False where two sizes that are known differ, or the numbers of axes."""
    return len(a) == len(b) and all(
        x == y or not is_known((x, y)) for x, y in zip(a, b, strict=True)
    )


def _check_mask(name: str, mask: Shape, scores: Shape) -> None:
    last = scores[len(scores) - len(mask) :]
    if not _may_equal(mask, tuple(1 if m == 1 else s for m, s in zip(mask, last, strict=False))):
        raise ShapeError(
            f"{name}: attn_mask {show(mask)} does not broadcast to {show(scores)}; "
            "give sizes equal or 1, counted from the last"
        )


@dataclass(frozen=True)
class Normalized:
    """Operand 0, whose last sizes are the attribute `normalized_shape`, as are the shapes of the
    operands `which` that are given."""

    which: tuple[int, ...]

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, inner = operands[0].shape, tuple(attrs["normalized_shape"])
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
        return f"shape_rule::normalized(call, {attr_index['normalized_shape']}, {{{which}}})"


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
    """The shape of operand 1 where attribute `reduction` is "none", else (); operand 0 has one
    axis more, of classes: its axis 1, or its only one."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, target = operands[0].shape, operands[1].shape
        at = 1 if len(shape) > 1 else 0
        rest = (*shape[:at], *shape[at + 1 :])
        if not shape or len(rest) != len(target) or (is_known((*rest, *target)) and rest != target):
            raise ShapeError(
                f"{name}: input {show(shape)} does not fit target {show(target)}; "
                "give (N, C, ...) and (N, ...), or (C,) and ()"
            )
        return () if _is_reduced(name, attrs["reduction"]) else target

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::class_loss(call, {attr_index['reduction']})"
