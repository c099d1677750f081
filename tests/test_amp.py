"""Autocast and gradient scaling: the dtypes that ops give, gradients, capture, and the scaler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import nn, optim

X = np.random.default_rng(0).standard_normal((4, 8), dtype=np.float32)
W = np.random.default_rng(1).standard_normal((8, 8), dtype=np.float32)
LOW, WIDE = "low", "wide"

CASES: dict[str, tuple[Callable[..., Any], str]] = {
    "matmul": (lambda x, w: x @ w, LOW),
    "linear": (F.linear, LOW),
    "attention": (lambda x, w: F.scaled_dot_product_attention(x, w, w), LOW),
    "softmax": (lambda x, w: F.softmax(x, dim=-1), WIDE),
    "log_softmax": (lambda x, w: F.log_softmax(x, dim=-1), WIDE),
    "layer_norm": (lambda x, w: F.layer_norm(x, (8,)), WIDE),
    "rms_norm": (lambda x, w: F.rms_norm(x, (8,)), WIDE),
    "mse_loss": (lambda x, w: F.mse_loss(x, x * 0), WIDE),
    "sum": (lambda x, w: x.sum(), WIDE),
    "exp": (lambda x, w: x.exp(), WIDE),
    "pow": (lambda x, w: x**2, WIDE),
}


@pytest.mark.parametrize("given", [ot.float32, ot.bfloat16], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_dtypes(name: str, given: ot.DType) -> None:
    fn, rule = CASES[name]
    x, w = ot.tensor(X).to(given), ot.tensor(W).to(given)
    with ot.autocast("cpu", ot.bfloat16):
        assert fn(x, w).dtype is (ot.bfloat16 if rule is LOW else ot.float32)
    assert fn(x, w).dtype is given


def test_ops_without_a_rule_keep_dtypes() -> None:
    x = ot.tensor(X)
    with ot.autocast("cpu", ot.bfloat16):
        assert (x + x).dtype is ot.float32
        assert F.gelu(x.to(ot.bfloat16)).dtype is ot.bfloat16
        assert (x.double() @ ot.tensor(W).double()).dtype is ot.float64


def ours_and_theirs() -> tuple[Any, Any]:
    theirs = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 3))
    ours = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 3))
    state = {name: ot.tensor(p.detach().numpy()) for name, p in theirs.state_dict().items()}
    ours.load_state_dict(state)
    return ours, theirs


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_gradients_are_as_in_torch(compiled: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = ours_and_theirs()

    def step(x: Any) -> Any:
        with ot.autocast("cpu", ot.bfloat16):
            loss = ours(x).float().square().mean()
        loss.backward()
        return loss.detach()

    loss = (ot.compile(step) if compiled else step)(ot.tensor(X))
    with torch.autocast("cpu", torch.bfloat16):
        expected = theirs(torch.from_numpy(X)).float().square().mean()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-2)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert p.grad.dtype is ot.float32, name
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=0.05, atol=2e-3)


def test_a_compiled_function_captures_each_autocast_once() -> None:
    @ot.compile
    def product(x: Any, w: Any) -> Any:
        return x @ w

    x, w = ot.tensor(X), ot.tensor(W)
    for _ in range(2):
        assert product(x, w).dtype is ot.float32
        with ot.autocast("cpu", ot.bfloat16):
            assert product(x, w).dtype is ot.bfloat16
    assert sum(map(len, product.variants.values())) == 2


def test_nesting_and_decorating() -> None:
    x, w = ot.tensor(X), ot.tensor(W)
    with ot.autocast("cpu", ot.bfloat16):
        with ot.autocast("cpu", enabled=False):
            assert not ot.is_autocast_enabled()
            assert (x @ w).dtype is ot.float32
        assert ot.autocast("cpu", ot.float16)(lambda: (x @ w).dtype)() is ot.float16
        assert ot.is_autocast_enabled()
    assert not ot.is_autocast_enabled()


ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "device": (
        lambda: ot.autocast("tpu"),
        "autocast: device 'tpu' came; give 'cpu' or 'cuda'",
    ),
    "dtype": (
        lambda: ot.autocast("cpu", ot.float64),
        "autocast: dtype ostinato.float64 came; give bfloat16 or float16",
    ),
    "factors": (
        lambda: ot.amp.GradScaler(growth_factor=1.0),
        "GradScaler: growth_factor 1.0, backoff_factor 0.5 and growth_interval 2000 came; give "
        "above 1, between 0 and 1, at least 1",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, text = ERRORS[name]
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == text


def scales(scaler: Any, opt: Any, p: Any) -> list[float]:
    """The scales and parameters of steps whose gradients overflow now and then."""
    seen: list[float] = []
    for factor in (1.0, 2.0, float("inf"), 1.0, 1.0, float("nan"), 1.0, 1.0, 1.0):
        opt.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(opt)
        scaler.update()
        seen += [scaler.get_scale(), p.detach().sum().item()]
    return seen


def test_scaler_is_torchs() -> None:
    options: dict[str, Any] = {"init_scale": 8.0, "growth_interval": 2}
    p = ot.tensor(X, requires_grad=True)
    q = torch.tensor(X, requires_grad=True)
    ours = scales(ot.amp.GradScaler("cpu", **options), optim.SGD([p], lr=0.1), p)
    theirs = scales(torch.amp.GradScaler("cpu", **options), torch.optim.SGD([q], lr=0.1), q)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_scaler_refuses_to_unscale_twice_and_keeps_its_state() -> None:
    p = ot.tensor(X, requires_grad=True)
    opt, scaler = optim.SGD([p], lr=0.1), ot.amp.GradScaler(init_scale=4.0)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(opt)
    np.testing.assert_array_equal(p.grad.numpy(), np.ones_like(X))
    with pytest.raises(RuntimeError) as caught:
        scaler.unscale_(opt)
    text = "unscale_: it was called already for this step; call update() first"
    assert str(caught.value) == text
    scaler.update(new_scale=16.0)
    other = ot.amp.GradScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 16.0


def test_a_scaler_that_is_off_does_nothing() -> None:
    p = ot.tensor(X, requires_grad=True)
    opt, scaler = optim.SGD([p], lr=1.0), ot.amp.GradScaler(enabled=False)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(opt)
    scaler.step(opt)
    scaler.update()
    assert scaler.get_scale() == 1.0
    np.testing.assert_array_equal(p.detach().numpy(), X - 1)


def test_autocast_of_another_device_leaves_operands() -> None:
    x, w = ot.tensor(X), ot.tensor(W)
    with ot.autocast("cuda", ot.bfloat16):
        assert ot.is_autocast_enabled()
        assert (x @ w).dtype is ot.float32
