"""Losses as modules."""

from __future__ import annotations

from .. import Tensor
from . import functional as F
from .module import Module


class CrossEntropyLoss(Module):
    """-log softmax(x)[target], averaged; targets equal to `ignore_index` do not count.

    `weight` (classes,) scales each class; `reduction` is "mean", "sum" or "none".
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    weight: Tensor | None

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Logits (n, classes, ...) and class indices (n, ...) to a 0-d loss."""
        return F.cross_entropy(
            x,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class MSELoss(Module):
    """(x - target)², averaged (`reduction` "mean"), summed ("sum") or as it is ("none")."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Two tensors of the same shape to a 0-d loss."""
        return F.mse_loss(x, target, reduction=self.reduction)
