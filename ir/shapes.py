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

from .dims import Dim, dim_max, dim_min, is_known, product
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
    ndim = max((len(s) for s in shapes), default=0)
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
class Leading:
    """The shape of operand `index` without its last `drop` axes."""

    index: int = 0
    drop: int = 1

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        shape = operands[self.index].shape
        return shape[: max(len(shape) - self.drop, 0)]

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::leading(call, {self.index}, {self.drop})"


@dataclass(frozen=True)
class ProductBatch:
    """The shape of an attention result: (..., q rows, v columns) of operands 0 and 2."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        q, k, v = (operands[i].shape for i in range(3))
        fits = min(map(len, (q, k, v))) >= 2 and all(
            a == b or not is_known((a, b)) for a, b in ((q[-1], k[-1]), (k[-2], v[-2]))
        )
        if not fits:
            raise ShapeError(
                f"{name}: query {show(q)}, key {show(k)} and value {show(v)} do not fit; "
                "give (..., L, E), (..., S, E) and (..., S, Ev)"
            )
        return (*broadcast_shapes(name, [q[:-2], k[:-2], v[:-2]]), q[-2], v[-1])

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return "shape_rule::product_batch(call)"


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


@dataclass(frozen=True)
class Loss:
    """The broadcast of operands 0 and 1 where attribute `reduction` is "none", else ()."""

    def __call__(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Shape:
        each = broadcast_shapes(name, [operands[0].shape, operands[1].shape])
        return each if attrs["reduction"] == "none" else ()

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
        return target if attrs["reduction"] == "none" else ()

    def cpp(self, operand_index: dict[str, int], attr_index: dict[str, int]) -> str:
        return f"shape_rule::class_loss(call, {attr_index['reduction']})"


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
        i == free_axis or not is_known((a, b)) or a <= b
        for i, (a, b) in enumerate(zip(index, shape, strict=True))
    )
    if not fits:
        raise ShapeError(
            f"{name}: index {show(index)} does not fit {what} {show(shape)}; give an index of the "
            "same rank, no longer along any other axis"
        )
