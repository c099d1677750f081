"""What the user says of sizes: `dims={"x": {0: Bucket(64, 128)}}`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..sizes.recapture import Shapes
from ..sizes.symbols import Place


@dataclass(frozen=True, init=False)
class Bucket:
    """Sizes that a dimension is padded up to, each time to the smallest one that fits."""

    sizes: tuple[int, ...]

    def __init__(self, *sizes: int) -> None:
        if not sizes or any(type(s) is not int or s < 1 for s in sizes):
            came = ", ".join(map(repr, sizes))
            raise ValueError(f"Bucket({came}): give one or more sizes, ints from 1 on")
        object.__setattr__(self, "sizes", tuple(sorted(set(sizes))))

    def __repr__(self) -> str:
        return f"Bucket({', '.join(map(str, self.sizes))})"

    def fitting(self, size: int) -> int | None:
        """The smallest of its sizes that is no smaller; None beyond the largest."""
        return next((s for s in self.sizes if s >= size), None)

    def below(self, size: int) -> int:
        """The smallest size that is padded to `size`."""
        return max((s for s in self.sizes if s < size), default=0) + 1


Dims = Mapping[str, Mapping[int, Bucket]]
"""Buckets by axis, by the name of an argument; `batch.ids` is a part of one, `xs.0` an element."""


@dataclass(frozen=True)
class Dim:
    """An axis of an argument that has a bucket."""

    place: Place
    bucket: Bucket
    name: str
    """`axis 0 of x`."""


def checked(dims: Dims, fn: Callable[..., Any], name: str) -> Dims:
    """`dims`, or ValueError where they name what `fn` does not take or give no buckets."""
    if not isinstance(dims, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(
            f"compile: dims={dims!r} came; give axes by argument, as in "
            "{'x': {0: Bucket(64, 128)}}"
        )
    for key, axes in dims.items():
        fits = isinstance(axes, Mapping) and all(  # pyright: ignore[reportUnnecessaryIsInstance]
            isinstance(axis, int) and isinstance(bucket, Bucket)  # pyright: ignore
            for axis, bucket in axes.items()
        )
        if not fits:
            raise ValueError(
                f"compile: dims[{key!r}] is {axes!r}; give a Bucket for each axis, as in "
                "{0: Bucket(64, 128)}"
            )
    known = _parameters(fn)
    for key in dims if known is not None else ():
        assert known is not None
        if key.partition(".")[0] not in known:
            raise ValueError(
                f"compile: dims names {key!r}, and {name} takes {', '.join(known) or 'nothing'}"
            )
    return dims


def _parameters(fn: Callable[..., Any]) -> list[str] | None:
    """Names that arguments may have; None where these are any."""
    try:
        every = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return None
    return None if any(p.kind is p.VAR_KEYWORD for p in every) else [p.name for p in every]


def found_dims(
    dims: Dims, fn: Callable[..., Any], name: str, structure: Any, shapes: Shapes
) -> list[Dim]:
    """The axes that `dims` names; ValueError where the call has no such tensor or axis."""
    names = _names(fn, structure)
    found: list[Dim] = []
    for key, axes in dims.items():
        if key not in names:
            tensors = ", ".join(n for n, shape in zip(names, shapes, strict=True) if shape)
            raise ValueError(
                f"{name}: dims names {key!r}, which this call gives no tensor for; it has "
                f"{tensors or 'none, also not in tuples, lists and dictionaries'}"
            )
        leaf = names.index(key)
        rank = len(shapes[leaf])
        for axis, bucket in axes.items():
            if not -rank <= axis < rank:
                raise ValueError(
                    f"{name}: dims names axis {axis} of {key}, which has shape {shapes[leaf]}"
                )
            at = axis % rank
            found.append(Dim((leaf, at), bucket, f"axis {at} of {key}"))
    return found


def _names(fn: Callable[..., Any], structure: Any) -> list[str]:
    """The name of each leaf: that of its parameter, and the way inside."""
    try:
        every = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        every = []
    return [_name(path, every) for path in structure.paths()]


def _name(path: Sequence[Any], parameters: Sequence[inspect.Parameter]) -> str:
    by_keyword, first, *rest = path
    if by_keyword:
        return ".".join(map(str, (first, *rest)))
    for i, p in enumerate(parameters):
        if p.kind is p.VAR_POSITIONAL:
            return ".".join(map(str, (p.name, first - i, *rest)))
        if i == first:
            return ".".join(map(str, (p.name, *rest)))
    return ".".join(map(str, (first, *rest)))
