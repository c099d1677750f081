"""Tensors that a module trains."""

from __future__ import annotations

from typing import Self

from .. import Tensor


class Parameter(Tensor):
    """A tensor that becomes a parameter of the module it is assigned to.

    It shares the storage of `data` and, unlike `data`, asks for a gradient.
    """

    def __new__(cls, data: Tensor, requires_grad: bool = True) -> Self:
        return Tensor.__new__(cls, data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
