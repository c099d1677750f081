"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable

from .. import Tensor, float64, zeros, zeros_like
from .optimizer import Group, Optimizer, check_range


class SGD(Optimizer):
    """p -= lr · v with v = momentum · v + (1 - dampening) · g, and g + weight_decay · p for g.

    The first v is g. With `nesterov`, p moves along g + momentum · v instead of v.
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
        state = {"momentum_buffer": zeros_like(p).detach()}
        # Dampening spares the first step, so the step must be known.
        return state | ({"step": zeros((), dtype=float64)} if group["dampening"] != 0 else {})

    def update(self, p: Tensor, grad: Tensor, state: dict[str, Tensor], group: Group) -> None:
        if group["weight_decay"] != 0:
            grad = grad + p * group["weight_decay"]
        momentum = group["momentum"]
        if momentum != 0:
            grad = self._accelerated(grad, state, group, momentum)
        p.sub_(grad * group["lr"])

    def _accelerated(
        self, grad: Tensor, state: dict[str, Tensor], group: Group, momentum: float
    ) -> Tensor:
        velocity, step = state["momentum_buffer"], state.get("step")
        velocity.mul_(momentum)
        if step is None:
            velocity.add_(grad)
        else:
            velocity.add_(grad * (1 - group["dampening"] * (step > 0)))
            step.add_(1)
        return grad + velocity * momentum if group["nesterov"] else velocity
