"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import Tensor
from ..ops import functions
from ..runtime import _C
from .optimizer import Group, Optimizer, check_range, live


class SGD(Optimizer):
    """p -= lr · v with v = momentum · v + (1 - dampening) · g, and g + weight_decay · p for g.

    The first v is g. With `nesterov`, p moves along g + momentum · v instead of v. Momentum that is
    0 at the start stays 0: there is no state for it.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Group],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, options)

    def check(self, group: Group) -> None:
        for option in ("lr", "momentum", "weight_decay"):
            check_range("SGD", option, group[option], 0, None)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov came; it needs momentum above 0 and dampening 0")

    def init_state(self, p: Tensor, group: Group) -> dict[str, Tensor]:
        if group["momentum"] == 0:
            return {}
        return {"momentum_buffer": functions.zeros_like(p)}

    def counts_steps(self, group: Group) -> bool:
        return group["momentum"] != 0

    def numbers(self, group: Group) -> tuple[Any, ...]:
        return live(group, "lr", "momentum", "dampening", "weight_decay", "nesterov")

    def update_all(self, params: list[Tensor], numbers: tuple[Any, ...]) -> None:
        lr, momentum, dampening, decay, nesterov = numbers
        plain = [p for p in params if not self.state[p]]
        pairs: list[list[Any]] = [[p, p.grad] for p in plain]
        _C.call_into_many("sgd_step", [[p] for p in plain], pairs, lr, decay)
        targets: list[list[Tensor]] = []
        operands: list[list[Any]] = []
        for p in params:
            if state := self.state[p]:
                targets.append([p, state["momentum_buffer"]])
                operands.append([p, p.grad, state["momentum_buffer"], state["step"]])
        _C.call_into_many(
            "sgd_momentum_step", targets, operands, lr, momentum, dampening, decay, bool(nesterov)
        )
