"""Reductions over axes."""

from __future__ import annotations

from typing import Any

from ..dtypes import Summed
from ..lazy import np
from ..op import OPS, Ints, Tensor, primitive
from ..shapes import Reduced, reduced_axes


@primitive(shape=Reduced(), dtype=Summed())
def sum(x: Tensor, dim: Ints | None = None, keepdim: bool = False) -> Tensor:
    """The sum of the elements along `dim` (all axes for None); integers add up in int64."""
    dtype = np.int64 if x.dtype.kind in "bui" else x.dtype
    return x.sum(axis=None if dim is None else tuple(dim), keepdims=keepdim, dtype=dtype)


@sum.vjp
def _(g: Tensor, out: Tensor, x: Tensor, dim: Ints | None, keepdim: bool) -> Any:
    if not keepdim:
        for axis in sorted(reduced_axes("sum", dim, x.shape)):
            g = OPS["unsqueeze"](g, dim=axis)
    return (OPS["expand"](g, size=x.shape),)
