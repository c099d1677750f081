"""Limits on gradients, reached as `nn.utils` as in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .. import Tensor, no_grad, stack, zeros
from ..compiler.sources import given_number


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scale all gradients by one factor so that their joint norm is at most `max_norm`.

    Returns the norm before, a 0-d tensor. No value is read, so it can be captured.
    """
    grads = _grads(parameters)
    with no_grad():
        total = _joint_norm(grads, norm_type)
        factor = (given_number(max_norm) / (total + 1e-6)).clamp(max=1.0)
        for g in grads:
            g.mul_(factor)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clamp every element of every gradient to ±`clip_value`."""
    limit = given_number(clip_value)
    with no_grad():
        for g in _grads(parameters):
            g.clamp_(-limit, limit)


def _joint_norm(grads: list[Tensor], norm_type: float) -> Tensor:
    if norm_type <= 0:
        raise ValueError(f"clip_grad_norm_: norm_type {norm_type} came; give a positive number")
    if not grads:
        return zeros(())
    if norm_type == math.inf:
        return stack([g.abs().amax() for g in grads]).amax()
    if norm_type == 2.0:
        return stack([(g * g).sum() for g in grads]).sum().sqrt()
    return stack([(g.abs() ** norm_type).sum() for g in grads]).sum() ** (1 / norm_type)


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in given if p.grad is not None]
