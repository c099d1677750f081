"""Parts of tensors: views of them, functional writes to them, and the whole grown by padding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dtypes import Same
from ..lazy import np
from ..op import OPS, Sample, Size, Sizes, Tensor, function, primitive
from ..samples import floats, ints, sample
from ..shapes import SameShape, axis_of
from ..shapes_index import Padded, Selected, Sliced, slice_bounds
from .create import full


@primitive(shape=Sliced(), view=True, method=False, namespace="internal")
def slice_(x: Tensor, dim: int, start: Size, stop: Size, step: int = 1) -> Tensor:
    """Elements start, start + step, ... below stop along `dim`; bounds are clamped, and negative
    ones count from the end."""
    start, stop = slice_bounds(x.shape[dim], start, stop)
    return x[(*[slice(None)] * (dim % x.ndim), slice(start, stop, step))]


@slice_.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: int, start: Size, stop: Size, step: int) -> Any:
    if step != 1:
        base = full(x.shape, 0, dtype=g.dtype)
        return (slice_scatter(base, g, dim=dim, start=start, stop=stop, step=step),)
    at, size = dim % x.ndim, x.shape[dim]
    first, last = slice_bounds(size, start, stop)
    amounts = (0, 0) * (x.ndim - 1 - at) + (first, size - last)
    return (pad(g, pad=amounts),)


@slice_.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(5, 3), dim=0, start=1, stop=4)
    yield sample(floats(5, 3), dim=0, start=-3, stop=-1)
    yield sample(floats(5, 3), dim=1, start=0, stop=99)
    yield sample(floats(5, 3), dim=0, start=0, stop=5, step=2)
    yield sample(floats(5, 3), dim=-2, start=1, stop=5, step=3)
    yield sample(floats(5, 3), dim=0, start=3, stop=2)
    yield sample(floats(5, 3), dim=0, start=-9, stop=2)
    yield sample(floats(5, 3), dim=0, start=7, stop=9)
    yield sample(ints(2, 4, 2), dim=-2, start=1, stop=3)
    yield sample(floats(2, 4, 3), dim=-2, start=1, stop=3)
    yield sample(floats(2, 4, 3), dim=0, start=0, stop=1)


@primitive(shape=Selected(), view=True)
def select(x: Tensor, dim: int, index: Size) -> Tensor:
    """Element `index` along `dim`, without that axis; a negative index counts from the end."""
    return x.take(index, axis=dim)


@select.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: int, index: Size) -> Any:
    base = full(x.shape, 0, dtype=g.dtype)
    return (select_scatter(base, g, dim=dim, index=index),)


@select.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(4, 3), dim=0, index=2)
    yield sample(floats(4, 3), dim=-1, index=-1)
    yield sample(floats(3), dim=0, index=0)
    yield sample(ints(2, 3, 4), dim=1, index=-3)


@function()
def narrow(x: Tensor, dim: int, start: Size, length: Size) -> Tensor:
    """`length` elements along `dim` from `start`."""
    return slice_(x, dim=dim, start=start, stop=start + length)


@narrow.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(5, 3), dim=0, start=1, length=3)
    yield sample(floats(5, 3), dim=-1, start=-2, length=1)
    yield sample(floats(5, 3), dim=0, start=5, length=0)


@primitive(shape=SameShape(dim="dim"), dtype=Same())
def slice_scatter(
    x: Tensor, src: Tensor, dim: int, start: Size, stop: Size, step: int = 1
) -> Tensor:
    """x with the elements that `slice` would give replaced by `src`, broadcast and converted."""
    y = x.copy()
    start, stop = slice_bounds(x.shape[dim], start, stop)
    y[(*[slice(None)] * (dim % x.ndim), slice(start, stop, step))] = src
    return y


@slice_scatter.vjp
def _(
    g: Tensor, out: Tensor, x: Tensor, src: Tensor, dim: int, start: Size, stop: Size, step: int
) -> Any:
    src_g = slice_(g, dim=dim, start=start, stop=stop, step=step)
    base = full(src_g.shape, 0, dtype=g.dtype)
    return slice_scatter(g, base, dim=dim, start=start, stop=stop, step=step), src_g


@slice_scatter.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(5, 3), floats(2, 3, seed=1), dim=0, start=1, stop=3)
    yield sample(floats(5, 3), floats(3, seed=1), dim=0, start=-4, stop=5, step=2)
    yield sample(floats(5, 3), floats(5, 1, seed=1), dim=-1, start=0, stop=2)
    yield sample(floats(5, 3), floats(1, 3, seed=1), dim=0, start=9, stop=9)
    yield sample(ints(5), floats(2), dim=0, start=0, stop=2)


@primitive(shape=SameShape(dim="dim"), dtype=Same())
def select_scatter(x: Tensor, src: Tensor, dim: int, index: Size) -> Tensor:
    """x with the elements that `select` would give replaced by `src`, broadcast and converted."""
    y = x.copy()
    y[(*[slice(None)] * (dim % x.ndim), index)] = src
    return y


@select_scatter.vjp
def _(g: Tensor, out: Tensor, x: Tensor, src: Tensor, dim: int, index: Size) -> Any:
    src_g = select(g, dim=dim, index=index)
    base = full(src_g.shape, 0, dtype=g.dtype)
    return select_scatter(g, base, dim=dim, index=index), src_g


@select_scatter.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(4, 3), floats(3, seed=1), dim=0, index=2)
    yield sample(floats(4, 3), floats(4, seed=1), dim=-1, index=-1)
    yield sample(floats(4, 3), floats(seed=1), dim=0, index=0)
    yield sample(ints(3), floats(), dim=0, index=1)


@primitive(shape=Padded(), dtype=Same(), method=False, namespace="nn.functional",
           variants={"mode": ("constant",)})  # fmt: skip
def pad(input: Tensor, pad: Sizes, mode: str = "constant", value: float = 0.0) -> Tensor:
    """input grown by `pad`, (before, after) pairs from the last axis to the front, with `value`;
    negative amounts cut."""
    given = [(pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)]
    amounts = [(0, 0)] * (input.ndim - len(given)) + given[::-1]
    grown = np.pad(input, [(max(a, 0), max(b, 0)) for a, b in amounts], constant_values=value)
    pairs = zip(amounts, grown.shape, strict=True)
    return grown[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in pairs)]


@pad.vjp
def _(g: Tensor, out: Tensor, input: Tensor, pad: Sizes, mode: str, value: float) -> Any:
    return (OPS["pad"](g, pad=tuple(-p for p in pad)),)


@pad.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), pad=(1, 2))
    yield sample(floats(2, 3), pad=(0, 1, 2, 0), value=-1.5)
    yield sample(floats(4, 3), pad=(-1, 1, -1, -2))
    yield sample(floats(2, 3), pad=())
    yield sample(floats(2, 3), pad=(-1, -2, 1, 0))
    yield sample(ints(2, 3), pad=(1, 1), value=7.0)
    yield sample(floats(0, 3), pad=(0, 0, 1, 1))


@function()
def split(x: Tensor, split_size_or_sections: Sizes, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of x cut along `dim`, of one size (the last may be smaller) or of the given sizes."""
    total = x.shape[axis_of("split", dim, x.ndim, x.shape)]
    sizes: Any = split_size_or_sections
    if isinstance(sizes, int):
        if sizes < 1:
            raise ValueError(f"split: size {sizes} is not positive; give a size from 1")
        sizes = [min(sizes, total - i) for i in range(0, total, sizes)] or [0]
    if sum(sizes) != total:
        raise ValueError(
            f"split: sizes {tuple(sizes)} do not add up to {total}, the size along dim {dim}; "
            "give sizes that do"
        )
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(
        slice_(x, dim=dim, start=a, stop=a + n) for a, n in zip(starts, sizes, strict=True)
    )


@split.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(5, 2), split_size_or_sections=2)
    yield sample(floats(2, 5), split_size_or_sections=(1, 4), dim=-1)
    yield sample(floats(0, 2), split_size_or_sections=2)


@function()
def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of x of equal size along `dim`, the last of which may be smaller."""
    if chunks < 1:
        raise ValueError(f"chunk: chunks {chunks} is not positive; give a number from 1")
    total = x.shape[axis_of("chunk", dim, x.ndim, x.shape)]
    if total == 0:
        return split(x, (0,) * chunks, dim=dim)
    return split(x, max(-(-total // chunks), 1), dim=dim)


@chunk.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(5, 2), chunks=2)
    yield sample(floats(2, 6), chunks=3, dim=1)
    yield sample(floats(2), chunks=5)
    yield sample(floats(0, 2), chunks=3)


@function()
def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of x at each index along `dim`, without that axis."""
    total = x.shape[axis_of("unbind", dim, x.ndim, x.shape)]
    return tuple(select(x, dim=dim, index=i) for i in range(total))


@unbind.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(3, 2))
    yield sample(floats(3, 2), dim=-1)
