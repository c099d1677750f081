"""Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import Tensor
from ..ops import functions
from ..runtime import _C
from .optimizer import Group, Optimizer, check_range, live


class Adam(Optimizer):
    """p -= lr · m̂ / (sqrt(v̂) + eps), m and v being running means of g and g², m̂ and v̂ these
    over 1 - betaᵗ. Weight decay adds weight_decay · p to g.

    The state of a parameter is `step` (float64, 0-d), `exp_avg` and `exp_avg_sq`.
    """

    decoupled = False

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Group],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        options = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options)

    def check(self, group: Group) -> None:
        for option in ("lr", "eps", "weight_decay"):
            check_range(self._name, option, group[option], 0, None)
        for i, beta in enumerate(group["betas"]):
            check_range(self._name, f"betas[{i}]", beta, 0, 1)

    def init_state(self, p: Tensor, group: Group) -> dict[str, Tensor]:
        return {
            "exp_avg": functions.zeros_like(p),
            "exp_avg_sq": functions.zeros_like(p),
        }

    def counts_steps(self, group: Group) -> bool:
        return True

    def numbers(self, group: Group) -> tuple[Any, ...]:
        return live(group, "lr", "betas", "eps", "weight_decay")

    def update_all(self, params: list[Tensor], numbers: tuple[Any, ...]) -> None:
        targets: list[list[Tensor]] = []
        operands: list[list[Any]] = []
        for p in params:
            state = self.state[p]
            step, mean, square = state["step"], state["exp_avg"], state["exp_avg_sq"]
            targets.append([p, mean, square])
            operands.append([p, p.grad, mean, square, step])
        name = "adamw_step" if self.decoupled else "adam_step"
        _C.call_into_many(name, targets, operands, *numbers)


class AdamW(Adam):
    """Adam whose weight decay shrinks p by 1 - lr · weight_decay instead of adding to g."""

    decoupled = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Group],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
