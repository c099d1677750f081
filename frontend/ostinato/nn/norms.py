"""Layers that normalise over the last axes."""

from __future__ import annotations

from .. import Tensor, device, empty, float32
from ..ir.dtypes import DType
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class LayerNorm(Module):
    """(x - mean) / sqrt(variance + eps) · weight + bias, over the last axes `normalized_shape`."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DType = float32,
        device: device | str | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _axes(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        has_bias = elementwise_affine and bias
        self.weight = _affine(shape, dtype, device) if elementwise_affine else None
        self.bias = _affine(shape, dtype, device) if has_bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights of one, biases of zero."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., *normalized_shape) to the same shape."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        shown = _norm_repr(self.normalized_shape, self.eps, self.elementwise_affine)
        return f"{shown}, bias={self.bias is not None}"


class RMSNorm(Module):
    """x / sqrt(mean(x²) + eps) · weight over the last axes `normalized_shape`.

    Where `eps` is None it is the machine epsilon of x's dtype.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DType = float32,
        device: device | str | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _axes(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        self.weight = _affine(shape, dtype, device) if elementwise_affine else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights of one."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(..., *normalized_shape) to the same shape."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return _norm_repr(self.normalized_shape, self.eps, self.elementwise_affine)


def _axes(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _norm_repr(shape: tuple[int, ...], eps: float | None, affine: bool) -> str:
    return f"{shape}, eps={eps}, elementwise_affine={affine}"


def _affine(shape: tuple[int, ...], dtype: DType, device: device | str | None) -> Parameter:
    return Parameter(empty(shape, dtype=dtype, device=device))
