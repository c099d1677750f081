"""The closed set of combinators in which shape rules are written.

A rule has a Python form, `rule(op name, operands, attributes) -> shape` over sizes that are
integers or symbols, and a C++ form, the function of the same name in snake case in
`runtime/native/dispatch/shape_rules.hpp`. Checks that need a number pass on symbols: a symbolic
call repeats one that has already succeeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .dims import Dim, is_known, product
from .errors import ShapeError

Shape = tuple[int | Dim, ...]


class ShapeRule(Protocol):
    """A shape rule."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape: ...
    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str: ...


def show(shape: Sequence[int | Dim]) -> str:
    """A shape as a user writes it: `(2, 3)`, `(2,)`, `()`."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def axis_of(name: str, dim: int, ndim: int, shape: Sequence[int | Dim]) -> int:
    """`dim` counted from the front; ShapeError where it is out of range. A 0-d value has axis 0."""
    n = max(ndim, 1)
    if not -n <= dim < n:
        raise ShapeError(
            f"{name}: dim {dim} is out of range for shape {show(shape)}; "
            f"give a dim from {-n} to {n - 1}"
        )
    return dim % n


def broadcast_shapes(name: str, shapes: Sequence[Shape]) -> Shape:
    """The common shape of operands whose trailing sizes are equal or 1."""
    ndim = max(len(s) for s in shapes)
    out: list[int | Dim] = [1] * ndim
    for shape in shapes:
        for i, size in enumerate(shape, ndim - len(shape)):
            if out[i] == 1:
                out[i] = size
            elif size != 1 and size != out[i] and is_known((size, out[i])):
                given = " and ".join(show(s) for s in shapes)
                raise ShapeError(
                    f"{name}: shapes {given} do not broadcast; "
                    "sizes must be equal or 1, counted from the last"
                )
    return tuple(out)


@dataclass(frozen=True)
class Broadcast:
    """The broadcast of the operands `which` (all when empty; absent ones do not count)."""

    which: tuple[int, ...] = ()

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        chosen = [operands[i] for i in self.which] if self.which else operands
        return broadcast_shapes(name, [t.shape for t in chosen if t is not None])

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::broadcast(call, {{{', '.join(map(str, self.which))}}})"


@dataclass(frozen=True)
class SameShape:
    """The shape of operand `index`, of at least `least` axes, which has the axes that attribute
    `dim` (if any) names."""

    index: int = 0
    least: int = 0
    dim: str = ""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape = operands[self.index].shape
        if len(shape) < self.least:
            raise ShapeError(
                f"{name}: shape {show(shape)} has too few axes; "
                f"give a tensor with at least {self.least}"
            )
        if self.dim:
            reduced_axes(name, attrs[self.dim], shape)
        return shape

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        if not self.least and not self.dim:
            return f"shape_rule::same(call, {self.index})"
        dim = attr_index[self.dim] if self.dim else -1
        return f"shape_rule::same(call, {self.index}, {self.least}, {dim})"


@dataclass(frozen=True)
class Constant:
    """Always `sizes`."""

    sizes: tuple[int, ...] = ()

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        return self.sizes

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"Sizes{{{', '.join(map(str, self.sizes))}}}"


@dataclass(frozen=True)
class Given:
    """The sizes attribute `name`; negative sizes are refused."""

    name: str = "size"

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        sizes = tuple(attrs[self.name])
        if is_known(sizes) and any(s < 0 for s in sizes):
            raise ShapeError(f"{name}: size {show(sizes)} is negative; give sizes from 0")
        return sizes

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::given(call, {attr_index[self.name]})"


@dataclass(frozen=True)
class Counted:
    """One axis whose length is the size attribute `name` (twice with `square`)."""

    name: str
    square: bool = False

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        n = attrs[self.name]
        if is_known((n,)) and n < 0:
            raise ShapeError(f"{name}: size {n} is negative; give a size from 0")
        return (n, n) if self.square else (n,)

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        square = str(self.square).lower()
        return f"shape_rule::counted(call, {attr_index[self.name]}, {square})"


def reduced_axes(name: str, dim: int | Sequence[int] | None, shape: Shape) -> tuple[int, ...]:
    """The axes a reduction runs over: all for None, else `dim` counted from the front."""
    if dim is None:
        return tuple(range(len(shape)))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    axes = tuple(axis_of(name, d, len(shape), shape) for d in dims)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: dim {show(dims)} names an axis twice; give each axis once")
    return axes if shape else ()


@dataclass(frozen=True)
class Reduced:
    """Operand `index` without the axes of attribute `dim` (None: all), or with 1 for them."""

    index: int = 0
    dim: str = "dim"
    keepdim: str = "keepdim"

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape = operands[self.index].shape
        axes = reduced_axes(name, attrs[self.dim], shape)
        if attrs[self.keepdim]:
            return tuple(1 if i in axes else s for i, s in enumerate(shape))
        return tuple(s for i, s in enumerate(shape) if i not in axes)

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        dim, keep = attr_index[self.dim], attr_index[self.keepdim]
        return f"shape_rule::reduced(call, {self.index}, {dim}, {keep})"


@dataclass(frozen=True)
class Permuted:
    """Operand 0 with its axes in the order of attribute `dims`."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape, dims = operands[0].shape, attrs["dims"]
        axes = tuple(axis_of(name, d, len(shape), shape) for d in dims)
        if sorted(axes) != list(range(len(shape))):
            raise ShapeError(
                f"{name}: dims {show(dims)} do not order the axes of shape {show(shape)}; "
                "name each axis once"
            )
        return tuple(shape[a] for a in axes)

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::permuted(call, {attr_index['dims']})"


@dataclass(frozen=True)
class Transposed:
    """Operand 0 with the axes `dim0` and `dim1` exchanged."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape = list(operands[0].shape)
        a, b = (axis_of(name, attrs[k], len(shape), shape) for k in ("dim0", "dim1"))
        if shape:
            shape[a], shape[b] = shape[b], shape[a]
        return tuple(shape)

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::transposed(call, {attr_index['dim0']}, {attr_index['dim1']})"


@dataclass(frozen=True)
class Reshaped:
    """Attribute `shape`, its one -1 (if any) solved from the number of elements of operand 0."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        old, new = operands[0].shape, tuple(attrs["shape"])
        if not is_known(old) or not is_known(new):
            return _solved(old, new)
        known = product(s for s in new if s != -1)
        bad = sum(s == -1 for s in new) > 1 or any(s < -1 for s in new)
        total = product(old)
        if -1 in new and not bad and known:
            new = tuple(total // known if s == -1 else s for s in new)
        if bad or -1 in new or product(new) != total:
            raise ShapeError(
                f"{name}: shape {show(old)} has {total} elements, which do not fit "
                f"{show(attrs['shape'])}; give sizes with the same product (one may be -1)"
            )
        return new

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::reshaped(call, {attr_index['shape']})"


def _solved(old: Shape, new: Shape) -> Shape:
    """The symbolic form of `Reshaped`; a run-time size is never -1 there."""
    rest = product(s for s in new if s != -1)
    return tuple(product(old) // rest if s == -1 else s for s in new)


@dataclass(frozen=True)
class Expanded:
    """Attribute `size`; -1 keeps the size of operand 0, whose own sizes must be equal or 1."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        old, size = operands[0].shape, tuple(attrs["size"])
        pad = len(size) - len(old)
        new = tuple(old[i - pad] if s == -1 and i >= pad else s for i, s in enumerate(size))
        pairs = list(zip(old, new[pad:], strict=True)) if pad >= 0 else []
        fits = all(o in (1, n) or not is_known((o, n)) for o, n in pairs)
        if pad < 0 or not fits or any(s == -1 for s in new):
            raise ShapeError(
                f"{name}: shape {show(old)} does not expand to {show(size)}; "
                "only axes of size 1 and new axes in front can grow"
            )
        return new

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::expanded(call, {attr_index['size']})"


@dataclass(frozen=True)
class Squeezed:
    """Operand 0 without the axes of attribute `dim` that have size 1 (None: all such axes)."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape = operands[0].shape
        axes = reduced_axes(name, attrs["dim"], shape)
        return tuple(s for i, s in enumerate(shape) if i not in axes or s != 1)

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::squeezed(call, {attr_index['dim']})"


@dataclass(frozen=True)
class Unsqueezed:
    """Operand 0 with an axis of size 1 (or `size`) inserted at `dim`."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape = operands[0].shape
        at = axis_of(name, attrs["dim"], len(shape) + 1, shape)
        return (*shape[:at], 1, *shape[at:])

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::unsqueezed(call, {attr_index['dim']})"
