"""Autocast and gradient scaling: the dtypes that ops give, gradients, capture, and the scaler."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import nn, optim
from ostinato.ir.op import OPS
from scaled_steps import scaled_steps

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
    "binary_cross_entropy_with_logits": (
        lambda x, w: F.binary_cross_entropy_with_logits(x, x * 0),
        WIDE,
    ),
    "sum": (lambda x, w: x.sum(), WIDE),
    "exp": (lambda x, w: x.exp(), WIDE),
    "pow": (lambda x, w: x**2, WIDE),
    "number to the power": (lambda x, w: 2.0**x, WIDE),
    "number divided": (lambda x, w: 1 / x, WIDE),
    "logsumexp": (lambda x, w: x.logsumexp(-1), WIDE),
    "softplus": (lambda x, w: F.softplus(x), WIDE),
}
# Ours that are several of PyTorch's: they do as the first that looks at the operands.
NAMES_IN_TORCH = {
    "attention": "scaled_dot_product_attention", "cross_entropy": "log_softmax",
}  # fmt: skip
# Python functions over other ops of ours, whose operands are cast there.
OVER_OTHERS = {"scaled_dot_product_attention"}


def torchs_rules() -> dict[str, str]:
    """The rule of each op that PyTorch's header of autocast names, for CUDA."""
    header = Path(torch.__file__).parent / "include/ATen/autocast_mode.h"
    lists = re.findall(
        r"#define AT_FORALL_([A-Z0-9]+)([^\\]*(?:\\\n[^\\\n]*)+)", header.read_text()
    )
    kinds = {"LOWER": LOW, "FP32": WIDE, "DIFFERENT": WIDE}
    return {
        name: kinds[of]
        for of, text in lists
        if of in kinds
        for name in re.findall(r"\b_\((?:ADD_NS\()?(\w+)", text.partition("\n")[2])
    }


def test_rules_are_those_of_torchs_header() -> None:
    theirs = torchs_rules()
    assert {theirs[name] for name in ("matmul", "softmax", "norm", "exp")} == {LOW, WIDE}
    expected = {name: theirs.get(NAMES_IN_TORCH.get(name, name), "") for name in OPS}
    found = {name: op.autocast or "" for name, op in OPS.items()}
    differ = {name for name in OPS if found[name] != expected[name]}
    assert differ == OVER_OTHERS


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
        assert (x.to(ot.bfloat16) / 2.0).dtype is ot.bfloat16
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
    assert len(product.variants) == 2


def test_nesting_and_decorating() -> None:
    x, w = ot.tensor(X), ot.tensor(W)
    with ot.autocast("cpu", ot.bfloat16):
        with ot.autocast("cpu", enabled=False):
            assert not ot.is_autocast_enabled()
            assert (x @ w).dtype is ot.float32
        assert ot.autocast("cpu", ot.float16)(lambda: (x @ w).dtype)() is ot.float16
        assert ot.is_autocast_enabled()
    assert not ot.is_autocast_enabled()


def test_devices_have_autocasts_of_their_own() -> None:
    x, w = ot.tensor(X), ot.tensor(W)
    with ot.autocast("cpu", ot.bfloat16):
        with ot.autocast("cuda", enabled=False):
            assert (x @ w).dtype is ot.bfloat16
            assert not ot.is_autocast_enabled("cuda")
        with ot.autocast("cuda", ot.float16):
            assert (x @ w).dtype is ot.bfloat16
            assert ot.is_autocast_enabled("cuda") and ot.is_autocast_enabled("cpu")
        assert not ot.is_autocast_enabled("cuda")
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


def test_state_of_a_scaler_is_torchs() -> None:
    options: dict[str, Any] = {"init_scale": 8.0, "growth_factor": 4.0, "growth_interval": 2}
    ours, theirs = ot.amp.GradScaler("cpu", **options), torch.amp.GradScaler("cpu", **options)
    p, q = ot.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    scales(ours, optim.SGD([p], lr=0.1), p)
    scales(theirs, torch.optim.SGD([q], lr=0.1), q)
    assert ours.state_dict() == theirs.state_dict()
    other = ot.amp.GradScaler("cpu")
    other.load_state_dict(theirs.state_dict())
    assert other.state_dict() == theirs.state_dict()
    assert (other.get_growth_factor(), other.get_growth_interval()) == (4.0, 2)
    assert ot.amp.GradScaler(enabled=False).state_dict() == {}


@pytest.mark.parametrize("way", [lambda fn: fn, ot.compile], ids=["eager", "compiled"])
def test_steps_whose_gradients_overflow_are_left_out(way: Callable[[Any], Any]) -> None:
    ours, variants = scaled_steps(ot, "cpu", way)
    theirs, _ = scaled_steps(torch, "cpu", lambda fn: fn)
    assert [scale for scale, _ in ours] == [scale for scale, _ in theirs]
    for (_, mine), (_, wanted) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-3)
    assert variants == (way is ot.compile)  # the scale is a live number


def test_a_scale_that_changes_inside_is_the_next_calls() -> None:
    p = ot.tensor(X, requires_grad=True)
    scaler = ot.amp.GradScaler("cpu", init_scale=4.0)

    def fn(x: Any) -> Any:
        scaled = scaler.scale((p * x).sum())
        scaler.update(scaler.get_scale() * 2)
        return scaled

    ones = ot.ones(8)
    compiled, first = ot.compile(fn), 4 * float(X.sum())
    found = [compiled(ones).item() for _ in range(4)]
    np.testing.assert_allclose(found, [first * 2**i for i in range(4)], rtol=1e-5)
    scaler.enabled = False
    assert compiled(ones).item() == pytest.approx(float(X.sum()), rel=1e-5)


def test_a_scale_does_not_grow_beyond_float32() -> None:
    p = ot.tensor(X, requires_grad=True)
    opt = optim.SGD([p], lr=0.1)
    scaler = ot.amp.GradScaler("cpu", init_scale=2.0**126, growth_interval=1)
    for wanted in (2.0**127, 2.0**127):
        (p * 0).sum().backward()
        scaler.step(opt)
        scaler.update()
        assert scaler.get_scale() == wanted


def test_several_losses_are_scaled() -> None:
    p = ot.tensor(X, requires_grad=True)
    scaler = ot.amp.GradScaler("cpu", init_scale=4.0)
    first, second = scaler.scale([p.sum(), p.mean()])
    assert first.item() == pytest.approx(4 * X.sum(), rel=1e-5)
    assert second.item() == pytest.approx(4 * X.mean(), rel=1e-5)
    assert isinstance(scaler.scale((p.sum(),)), tuple)


def misused(how: str) -> None:
    """Calls of a scaler in an order that makes no sense."""
    half = how == "float16"
    p = ot.tensor(X).to(ot.float16 if half else ot.float32).requires_grad_()
    opt, scaler = optim.SGD([p], lr=0.1), ot.amp.GradScaler("cpu", init_scale=4.0)
    if how in ("twice", "float16"):
        scaler.scale(p.sum()).backward()
    if how == "update":
        scaler.update()
    if how == "empty state":
        scaler.load_state_dict({})
    scaler.step(opt)
    scaler.step(opt)


MISUSES = {
    "twice": (RuntimeError, "step: it was called already for this step; call update() first"),
    "no gradient": (
        RuntimeError,
        "step: no parameter of the optimizer has a gradient; call scale(loss).backward() first",
    ),
    "update": (RuntimeError, "update: no gradient was looked at; call step(optimizer) first"),
    "float16": (ValueError, "unscale_: a gradient is float16; keep parameters in float32"),
    "empty state": (
        RuntimeError,
        "load_state_dict: an empty state came, of a scaler that is not enabled; give one of a "
        "scaler that is",
    ),
}


@pytest.mark.parametrize("how", MISUSES)
def test_misuse_of_a_scaler(how: str) -> None:
    kind, text = MISUSES[how]
    with pytest.raises(kind) as caught:
        misused(how)
    assert str(caught.value) == text


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
