"""Optimizers and schedules against PyTorch's, step by step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
from ostinato import optim
from ostinato.optim import lr_scheduler

STEPS = 8
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"lr": 0.1}),
    "SGD, decay": ("SGD", {"lr": 0.1, "weight_decay": 0.3}),
    "SGD, momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "SGD, dampening": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    "SGD, Nesterov": ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    "Adam": ("Adam", {"lr": 0.1}),
    "Adam, decay": ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3}),
    "AdamW": ("AdamW", {"lr": 0.1}),
    "AdamW, decay": ("AdamW", {"lr": 0.05, "betas": (0.5, 0.9), "eps": 0.1, "weight_decay": 0.5}),
}
DTYPES = {"float32": 2e-6, "float64": 1e-13}


def starts(dtype: str) -> tuple[list[Any], list[Any]]:
    """The same two parameters in both libraries."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in ((3, 4), (5,))]
    ours = [ot.tensor(a, requires_grad=True) for a in arrays]
    return ours, [torch.tensor(a, requires_grad=True) for a in arrays]


def give_gradients(parameters: list[Any], library: Any, step: int) -> None:
    """Gradients that change with the step and shrink to nothing in the second parameter."""
    rng = np.random.default_rng(step + 1)
    for i, p in enumerate(parameters):
        array = rng.standard_normal(p.shape) * 10.0 ** (-2 * i * step)
        p.grad = library.tensor(array.astype(p.detach().numpy().dtype))


def assert_equal(ours: list[Any], theirs: list[Any], tolerance: float) -> None:
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            p.detach().numpy(), q.detach().numpy(), rtol=tolerance, atol=tolerance
        )


def made(library: Any, name: str, parameters: list[Any]) -> Any:
    kind, options = OPTIMIZERS[name]
    return getattr(library, kind)(parameters, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_pytorchs(name: str, dtype: str) -> None:
    ours, theirs = starts(dtype)
    opt, other = made(optim, name, ours), made(torch.optim, name, theirs)
    for step in range(STEPS):
        give_gradients(ours, ot, step)
        give_gradients(theirs, torch, step)
        opt.step()
        other.step()
        assert_equal(ours, theirs, DTYPES[dtype])


def objective(parameters: list[Any], x: Any) -> Any:
    p, q = parameters
    return (p * p * x).sum() + (q * q * x).sum()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_steps_are_eager_ones(name: str) -> None:
    (ours, _), (others, _) = starts("float32"), starts("float32")
    eager, captured = made(optim, name, ours), made(optim, name, others)

    @ot.compile
    def step(x: Any) -> Any:
        loss = objective(others, x)
        loss.backward()
        captured.step()
        captured.zero_grad()
        return loss

    for i in range(4):
        for group in (*eager.param_groups, *captured.param_groups):
            group["lr"] = 0.1 / (i + 1)
        x = ot.tensor(1.0 + i)
        objective(ours, x).backward()
        eager.step()
        eager.zero_grad()
        step(x)
        assert_equal(others, ours, 2e-6)
    assert len(step.variants) == 1


def test_groups_have_their_own_options() -> None:
    ours, theirs = starts("float64")
    for library, (p, q) in ((optim, ours), (torch.optim, theirs)):
        opt = library.AdamW([{"params": [p], "lr": 0.5}, {"params": q}], lr=0.1, weight_decay=0.0)
        opt.param_groups[1]["weight_decay"] = 0.9
        give_gradients([p, q], ot if library is optim else torch, 0)
        opt.step()
    assert_equal(ours, theirs, 1e-13)


def test_a_parameter_without_gradient_stays() -> None:
    (p, q), _ = starts("float32")
    opt = optim.AdamW([p, q], lr=0.1)
    before = q.tolist()
    p.grad = p.detach() * 1
    opt.step()
    assert q.tolist() == before
    assert [opt.state[x]["step"].item() for x in (p, q)] == [1, 0]
    opt.zero_grad(set_to_none=False)
    assert p.grad.abs().sum().item() == 0
    opt.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_from_a_saved_state(name: str) -> None:
    ours, _ = starts("float32")
    opt = made(optim, name, ours)
    give_gradients(ours, ot, 0)
    opt.step()
    saved = copy.deepcopy(opt.state_dict())
    copies = [p.detach().clone().requires_grad_() for p in ours]
    other = made(optim, name, copies)
    other.param_groups[0]["lr"] = 99.0
    other.load_state_dict(saved)
    for parameters, optimizer in ((ours, opt), (copies, other)):
        give_gradients(parameters, ot, 1)
        optimizer.step()
    for p, q in zip(ours, copies, strict=True):
        assert p.tolist() == q.tolist()


def test_state_dict_has_pytorchs_form() -> None:
    ours, theirs = starts("float32")
    opt, other = optim.Adam(ours), torch.optim.Adam(theirs)
    give_gradients(ours, ot, 0)
    give_gradients(theirs, torch, 0)
    opt.step()
    other.step()
    a, b = opt.state_dict(), other.state_dict()
    assert {i: set(s) for i, s in a["state"].items()} == {i: set(s) for i, s in b["state"].items()}
    group, expected = a["param_groups"][0], b["param_groups"][0]
    assert group == {name: expected[name] for name in group}


SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "StepLR": lambda s, opt: s.StepLR(opt, 3, gamma=0.5),
    "CosineAnnealingLR": lambda s, opt: s.CosineAnnealingLR(opt, 10, eta_min=0.01),
    "LinearLR": lambda s, opt: s.LinearLR(opt, start_factor=0.25, total_iters=4),
    "LambdaLR": lambda s, opt: s.LambdaLR(opt, lambda step: 1 / (1 + step)),
    "LambdaLR, one a group": lambda s, opt: s.LambdaLR(opt, [lambda i: 0.9**i, lambda i: 1 - i]),
}


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_pytorchs(name: str) -> None:
    rates: list[list[list[float]]] = []
    for library, (p, q) in zip((optim, torch.optim), starts("float32"), strict=True):
        opt = library.SGD([{"params": [p]}, {"params": [q], "lr": 0.3}], lr=0.1)
        schedule = SCHEDULES[name](library.lr_scheduler, opt)
        seen: list[list[float]] = []
        for _ in range(9):
            assert schedule.get_last_lr() == [group["lr"] for group in opt.param_groups]
            seen.append(schedule.get_last_lr())
            schedule.step()
        rates.append(seen)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-12)


def test_a_schedule_goes_on_from_a_saved_state() -> None:
    opts = [optim.SGD(starts("float32")[0], lr=0.1) for _ in range(2)]
    first, second = (lr_scheduler.StepLR(opt, 2) for opt in opts)
    for _ in range(3):
        first.step()
    second.load_state_dict(first.state_dict())
    assert second.get_last_lr() == first.get_last_lr()
    first.step()
    second.step()
    assert second.get_last_lr() == first.get_last_lr() == [pytest.approx(0.001)]


def leaf() -> Any:
    return ot.zeros(2, requires_grad=True)


def loaded(saved: Any) -> None:
    optim.Adam([leaf()]).load_state_dict(saved)


ERRORS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "nothing": (
        lambda: optim.SGD([]),
        ValueError,
        "SGD: no parameters came; give at least one",
    ),
    "no tensor": (
        lambda: optim.SGD([1.5]),  # pyright: ignore[reportArgumentType]
        TypeError,
        "SGD: a float came; give tensors",
    ),
    "computed": (
        lambda: optim.SGD([leaf() * 2]),
        ValueError,
        "SGD: a computed tensor came; give leaves, as parameters are",
    ),
    "twice": (
        lambda: optim.SGD([leaf()] * 2),
        ValueError,
        "SGD: a parameter came twice; give each once",
    ),
    "option": (
        lambda: optim.Adam([{"params": [leaf()], "speed": 1}]),
        ValueError,
        "Adam: option 'speed' came; give some of lr, betas, eps, weight_decay",
    ),
    "rate": (
        lambda: optim.AdamW([leaf()], lr=-1.0),
        ValueError,
        "AdamW: lr -1.0 came; give at least 0",
    ),
    "beta": (
        lambda: optim.Adam([leaf()], betas=(0.9, 1.0)),
        ValueError,
        "Adam: betas[1] 1.0 came; give at least 0 and less than 1",
    ),
    "Nesterov": (
        lambda: optim.SGD([leaf()], nesterov=True),
        ValueError,
        "SGD: nesterov came; it needs momentum above 0 and dampening 0",
    ),
    "groups": (
        lambda: loaded(optim.Adam([leaf(), leaf()]).state_dict()),
        ValueError,
        "load_state_dict: groups of [2] parameters came; Adam has [1]",
    ),
    "state": (
        lambda: loaded(optim.SGD([leaf()], momentum=0.5).state_dict()),
        ValueError,
        "load_state_dict: state {'step': (), 'momentum_buffer': (2,)} came for parameter 0; "
        "Adam needs {'step': (), 'exp_avg': (2,), 'exp_avg_sq': (2,)}",
    ),
    "functions": (
        lambda: lr_scheduler.LambdaLR(optim.SGD([leaf()]), []),
        ValueError,
        "LambdaLR: 0 functions came; give one, or 1",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, kind, text = ERRORS[name]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text
