"""Layers without parameters: pointwise functions, dropout, and changes of shape."""

from __future__ import annotations

from typing import Literal

from .. import Tensor, sigmoid, softmax, tanh
from ..compiler.live import live_number
from ..runtime import _C
from . import functional as F
from .module import Module


class Identity(Module):
    """x itself; takes and ignores any arguments, so that it can stand for any layer."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return F.relu(x)


class LeakyReLU(Module):
    """x where it is positive, else x · `negative_slope`."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class GELU(Module):
    """x · Φ(x), exactly (`approximate="none"`) or by tanh (`approximate="tanh"`)."""

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.approximate: Literal["none", "tanh"] = approximate

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return F.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x · sigmoid(x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return F.silu(x)


class Tanh(Module):
    """tanh(x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return sigmoid(x)


class Softmax(Module):
    """exp(x), normalised to sum to one along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return softmax(x, dim=self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Dropout(Module):
    """In training, zero with probability `p` and the rest scaled by 1 / (1 - p); else x itself."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p {p} came; give a probability from 0 to 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        p = self.p
        if _C.is_capturing():
            p = live_number((id(self), "p"), _C.Path(self).attribute("p"))
        return F.dropout(x, p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Module):
    """Axes `start_dim` to `end_dim` as one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        """(a, b, c, ...) to (a, b·c·...) by default."""
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
