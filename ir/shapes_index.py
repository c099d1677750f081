"""Shape rules of joining, slicing, padding and indexing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .dims import dim_max, dim_min, is_known
from .errors import ShapeError
from .shapes import Shape, axis_of, show


@dataclass(frozen=True)
class Catted:
    """The tensors of the list operand end to end along `dim`; all other sizes agree."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shapes = [t.shape for t in operands[0]]
        if not shapes:
            raise ShapeError(f"{name}: the list of tensors is empty; give at least one")
        first = shapes[0]
        at = axis_of(name, attrs["dim"], len(first), first)
        for s in shapes[1:]:
            same = len(s) == len(first) and all(
                a == b or i == at or not is_known((a, b))
                for i, (a, b) in enumerate(zip(s, first, strict=True))
            )
            if not same:
                raise ShapeError(
                    f"{name}: shapes {show(first)} and {show(s)} differ outside dim {at}; "
                    "give tensors that agree in every other size"
                )
        total = shapes[0][at]
        for s in shapes[1:]:
            total = total + s[at]
        return (*first[:at], total, *first[at + 1 :])

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::catted(call, {attr_index['dim']})"


def slice_bounds(size: Any, start: Any, stop: Any) -> tuple[Any, Any]:
    """`start` and `stop` of a slice clamped into [0, size], negative ones counted from the end."""
    start = dim_min(dim_max(from_front(start, size), 0), size)
    return start, dim_min(dim_max(from_front(stop, size), start), size)


def from_front(index: Any, size: Any) -> Any:
    """`index` counted from the front: `size` more where it is negative."""
    if isinstance(index, int):
        return index + size if index < 0 else index
    return index + size * dim_min(dim_max(-index, 0), 1)


@dataclass(frozen=True)
class Sliced:
    """Operand 0 with axis `dim` cut to start, start+step, ... below stop (clamped as in Python)."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, step = operands[0].shape, attrs["step"]
        at = axis_of(name, attrs["dim"], len(shape), shape)
        if step < 1:
            raise ShapeError(f"{name}: step {step} is not positive; give a step from 1, then flip")
        if not shape:
            raise ShapeError(f"{name}: shape () has no axis to slice; give a tensor with axes")
        start, stop = slice_bounds(shape[at], attrs["start"], attrs["stop"])
        length = stop - start if step == 1 else (stop - start + (step - 1)) // step
        return (*shape[:at], length, *shape[at + 1 :])

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        order = ", ".join(str(attr_index[k]) for k in ("dim", "start", "stop", "step"))
        return f"shape_rule::sliced(call, {order})"


@dataclass(frozen=True)
class Selected:
    """Operand 0 without axis `dim`, of which one element, at attribute `index`, is taken."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, index = operands[0].shape, attrs["index"]
        if not shape:
            raise ShapeError(f"{name}: shape () has no axis to index; give a tensor with axes")
        at = axis_of(name, attrs["dim"], len(shape), shape)
        if is_known((index, shape[at])) and not -shape[at] <= index < shape[at]:
            raise ShapeError(
                f"{name}: index {index} is out of range for dim {at} of shape {show(shape)}; "
                f"give an index from {-shape[at]} to {shape[at] - 1}"
            )
        return (*shape[:at], *shape[at + 1 :])

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::selected(call, {attr_index['dim']}, {attr_index['index']})"


@dataclass(frozen=True)
class Taken:
    """Operand 0 with as many elements along axis `dim` as the size attribute `count` says, of
    those that there are."""

    count: str

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, count = operands[0].shape, attrs[self.count]
        if not shape:
            raise ShapeError(f"{name}: shape () has no axis to index; give a tensor with axes")
        at = axis_of(name, attrs["dim"], len(shape), shape)
        if is_known((count, shape[at])) and not 0 <= count <= shape[at]:
            raise ShapeError(
                f"{name}: {self.count} {count} is out of range for dim {at} of shape "
                f"{show(shape)}; give one from 0 to {shape[at]}"
            )
        return (*shape[:at], count, *shape[at + 1 :])

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        at = f"{attr_index[self.count]}, {attr_index['dim']}"
        return f'shape_rule::taken(call, "{self.count}", {at})'


@dataclass(frozen=True)
class Padded:
    """Operand 0 grown by `pad`: (before, after) pairs from the last axis to the front."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, pad = list(operands[0].shape), attrs["pad"]
        if len(pad) % 2 or len(pad) > 2 * len(shape):
            raise ShapeError(
                f"{name}: pad {show(pad)} does not fit shape {show(shape)}; "
                "give (before, after) pairs for the last axes"
            )
        for i in range(len(pad) // 2):
            shape[-1 - i] = shape[-1 - i] + pad[2 * i] + pad[2 * i + 1]
        if is_known(shape) and any(s < 0 for s in shape):
            raise ShapeError(f"{name}: pad {show(pad)} cuts more than there is; pad less")
        return tuple(shape)

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::padded(call, {attr_index['pad']})"


@dataclass(frozen=True)
class IndexSelected:
    """Operand 0 with axis `dim` replaced by the shape of the index operand 1."""

    axis: int | None = None

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, index = operands[0].shape, operands[1].shape
        dim = self.axis if self.axis is not None else attrs["dim"]
        at = axis_of(name, dim, len(shape), shape)
        return (*shape[:at], *index, *shape[at + 1 :])

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        if self.axis is not None:
            return f"shape_rule::index_selected(call, {self.axis})"
        return f"shape_rule::index_selected(call, call.attr({attr_index['dim']}).as_int())"


@dataclass(frozen=True)
class Appended:
    """Operand 0, without its last `drop` axes, with one more axis of the size attribute `name`."""

    name: str
    drop: int = 0

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, size = operands[0].shape, attrs[self.name]
        if len(shape) < self.drop:
            raise ShapeError(
                f"{name}: shape {show(shape)} has too few axes; "
                f"give a tensor with at least {self.drop}"
            )
        if is_known((size,)) and size < 0:
            raise ShapeError(f"{name}: size {size} is negative; give a size from 0")
        return (*shape[: len(shape) - self.drop], size)

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::appended(call, {attr_index[self.name]}, {self.drop})"


@dataclass(frozen=True)
class Gathered:
    """Operand 1 (an index), of the rank of operand 0 and no longer except along `dim`."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, index = operands[0].shape, operands[1].shape
        at = axis_of(name, attrs["dim"], len(shape), shape)
        _check_index(name, "input", shape, index, at)
        return index

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::gathered(call, {attr_index['dim']})"


@dataclass(frozen=True)
class Scattered:
    """Operand 0; operand 1 (an index) has its rank and that of operand 2 and is no longer than
    operand 2, nor than operand 0 except along `dim`."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, index, src = (operands[i].shape for i in range(3))
        at = axis_of(name, attrs["dim"], len(shape), shape)
        _check_index(name, "input", shape, index, at)
        _check_index(name, "src", src, index, -1)
        return shape

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::scattered(call, {attr_index['dim']})"


def _check_index(name: str, what: str, shape: Shape, index: Shape, free_axis: int) -> None:
    fits = len(index) == len(shape) and all(
        i == free_axis or dim_min(a, b) == a or not is_known((a, b))
        for i, (a, b) in enumerate(zip(index, shape, strict=True))
    )
    if not fits:
        raise ShapeError(
            f"{name}: index {show(index)} does not fit {what} {show(shape)}; give an index of the "
            "same rank, no longer along any other axis"
        )
