"""Arithmetic on elements."""

from __future__ import annotations

from typing import Any

from ..dtypes import PromoteFloat
from ..op import Tensor, pointwise


@pointwise()
def add(x: Tensor, y: Tensor) -> Tensor:
    """x + y."""
    return x + y


@add.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    return g, g


@pointwise()
def mul(x: Tensor, y: Tensor) -> Tensor:
    """x * y."""
    return x * y


@mul.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    return g * y, g * x


@pointwise(dtype=PromoteFloat())
def div(x: Tensor, y: Tensor) -> Tensor:
    """x / y, in floating point."""
    return x / y


@div.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    return g / y, -g * out / y
