"""Oracles of normalisation, losses, attention and optimizer steps, and of their gradients."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from oracles_torch import on_torch


def _layer_norm(x: Any, w: Any, b: Any, normalized_shape: Any, eps: float) -> Any:
    return F.layer_norm(x, normalized_shape, w, b, eps)


def _rms_norm(x: Any, w: Any, normalized_shape: Any, eps: float | None) -> Any:
    return F.rms_norm(x, normalized_shape, w, eps)


def _gradients(y: Any, inputs: list[Any], g: Any) -> tuple[Any, ...]:
    return torch.autograd.grad(y, inputs, g)


def _leaf(x: Any) -> Any:
    return x.detach().requires_grad_()


def _layer_norm_backward(g: Any, x: Any, w: Any, normalized_shape: Any, eps: float) -> Any:
    w = torch.ones(normalized_shape, dtype=x.dtype) if w is None else w
    x, w, b = _leaf(x), _leaf(w), _leaf(torch.zeros_like(w))
    return _gradients(F.layer_norm(x, normalized_shape, w, b, eps), [x, w, b], g)


def _rms_norm_backward(g: Any, x: Any, w: Any, normalized_shape: Any, eps: float | None) -> Any:
    x, w = _leaf(x), _leaf(torch.ones(normalized_shape, dtype=x.dtype) if w is None else w)
    return _gradients(F.rms_norm(x, normalized_shape, w, eps), [x, w], g)


def _mse_loss(x: Any, y: Any, reduction: str) -> Any:
    return F.mse_loss(*torch.broadcast_tensors(x, y), reduction=reduction)


def _binary_cross_entropy(x: Any, y: Any, reduction: str) -> Any:
    both = torch.broadcast_tensors(x, y)
    return F.binary_cross_entropy_with_logits(*both, reduction=reduction)


def _cross_entropy(x: Any, target: Any, **attrs: Any) -> Any:
    return F.cross_entropy(x, target.long(), **attrs)


def _cross_entropy_backward(g: Any, x: Any, target: Any, **attrs: Any) -> Any:
    x = _leaf(x)
    return _gradients(_cross_entropy(x, target, **attrs), [x], g)[0]


def _scores(q: Any, k: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    wide = torch.float64 if q.dtype is torch.float64 else torch.float32
    scores = torch.einsum("...le,...se->...ls", q.to(wide), k.to(wide)) * scale
    if is_causal:
        mask = torch.arange(k.shape[-2]) <= torch.arange(q.shape[-2])[:, None]
    if mask is None:
        return scores
    return scores.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else scores + mask


def _sdpa(q: Any, k: Any, v: Any, mask: Any, **attrs: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v, mask, **attrs)


def _attention(q: Any, k: Any, v: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    out = _sdpa(q, k, v, mask, is_causal=is_causal, scale=scale)
    return out, torch.logsumexp(_scores(q, k, mask, is_causal, scale), -1)


def _attention_backward(
    g: Any, q: Any, k: Any, v: Any, out: Any, lse: Any, mask: Any, is_causal: bool, scale: float
) -> Any:
    q, k, v = _leaf(q), _leaf(k), _leaf(v)
    return _gradients(_sdpa(q, k, v, mask, is_causal=is_causal, scale=scale), [q, k, v], g)


def _attention_backward_stacked(*operands: Any, **attrs: Any) -> Any:
    return torch.stack(_attention_backward(*operands, **attrs))


def _stepped(make: Callable[..., Any], param: Any, grad: Any, state: dict[str, Any]) -> Any:
    """The parameter and state after one step of the optimizer that `make` makes."""
    leaf = param.clone().requires_grad_()
    leaf.grad = grad.clone()
    optimizer = make([leaf])
    optimizer.state[leaf] = {k: v.clone() for k, v in state.items()}
    optimizer.step()
    return leaf.detach(), optimizer.state[leaf]


def _sgd_step(param: Any, grad: Any, lr: float, weight_decay: float) -> Any:
    return _stepped(lambda p: torch.optim.SGD(p, lr, weight_decay=weight_decay), param, grad, {})[0]


def _sgd_momentum_step(
    param: Any, grad: Any, buffer: Any, step: Any, lr: float, momentum: float, dampening: float,
    weight_decay: float, nesterov: bool,
) -> Any:  # fmt: skip
    state = {} if step == 1 else {"momentum_buffer": buffer}

    # torch refuses nesterov with dampening when it is made, not when it steps.
    def make(p: Any) -> Any:
        made = torch.optim.SGD(p, lr, momentum, dampening, weight_decay)
        made.param_groups[0]["nesterov"] = nesterov
        return made

    param, state = _stepped(make, param, grad, state)
    return param, state["momentum_buffer"]


def _adam(kind: Any) -> Callable[..., Any]:
    def oracle(
        param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, step: Any, lr: float, beta1: float,
        beta2: float, eps: float, weight_decay: float,
    ) -> Any:  # fmt: skip
        before = {"step": torch.tensor(float(step) - 1), "exp_avg": exp_avg}
        param, state = _stepped(
            lambda p: kind(p, lr, (beta1, beta2), eps, weight_decay),
            param, grad, before | {"exp_avg_sq": exp_avg_sq},
        )  # fmt: skip
        return param, state["exp_avg"], state["exp_avg_sq"]

    return on_torch(oracle)


ORACLE: dict[str, Callable[..., Any]] = {
    "softmax": on_torch(torch.softmax),
    "log_softmax": on_torch(torch.log_softmax),
    "layer_norm": on_torch(_layer_norm),
    "layer_norm_backward": on_torch(_layer_norm_backward),
    "rms_norm": on_torch(_rms_norm),
    "rms_norm_backward": on_torch(_rms_norm_backward),
    "mse_loss": on_torch(_mse_loss),
    "binary_cross_entropy_with_logits": on_torch(_binary_cross_entropy),
    "cross_entropy": on_torch(_cross_entropy),
    "cross_entropy_backward": on_torch(_cross_entropy_backward),
    "scaled_dot_product_attention": on_torch(_sdpa),
    "attention": on_torch(_attention),
    "attention_backward": on_torch(_attention_backward),
    "attention_backward_stacked": on_torch(_attention_backward_stacked),
    "sgd_step": on_torch(_sgd_step),
    "sgd_momentum_step": on_torch(_sgd_momentum_step),
    "adam_step": _adam(torch.optim.Adam),
    "adamw_step": _adam(torch.optim.AdamW),
}
