"""Losses as modules."""

from __future__ import annotations

from typing import Literal

from .. import Tensor
from . import functional as F
from .module import Module

Reduction = Literal["none", "mean", "sum"]


class CrossEntropyLoss(Module):
    """-log softmax(x)[target]: its mean, sum ("sum") or each one ("none"), as `reduction` says.

    Targets equal to `ignore_index` do not count.
    """

    def __init__(
        self, ignore_index: int = -100, reduction: Reduction = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Logits (n, classes, ...) and class indices (n, ...) to a 0-d loss."""
        return F.cross_entropy(x, target, self.ignore_index, self.reduction, self.label_smoothing)


class MSELoss(Module):
    """(x - target)², averaged (`reduction` "mean"), summed ("sum") or as it is ("none")."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Two tensors of the same shape to a 0-d loss."""
        return F.mse_loss(x, target, reduction=self.reduction)


class BCEWithLogitsLoss(Module):
    """The cross-entropy of a probability, given as its logit, and a target from 0 to 1: averaged
    (`reduction` "mean"), summed ("sum") or each one ("none")."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Two tensors of the same shape to a 0-d loss."""
        return F.binary_cross_entropy_with_logits(x, target, reduction=self.reduction)
