"""Eager autograd: the tape, its Programs, and what it refuses."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
from both_libraries import pair
from ostinato.runtime import _C


def net(lib: Any, x: Any, w: Any, b: Any) -> Any:
    h = (x @ w + b).tanh()
    return ((h - h.mean(1, True)) * h.exp()).sum() + (h.reshape(-1)[2:9] ** 2).mean()


def test_gradients_equal_torchs_for_any_sizes_with_the_same_programs() -> None:
    known = []
    for n, m in ((3, 4), (5, 6), (7, 2), (4, 9)):
        ours, theirs = zip(pair(n, m), pair(m, 4, seed=1), pair(4, seed=2), strict=True)
        net(ot, *ours).backward()
        net(torch, *theirs).backward()
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10)
        known.append(_C.program_counts()["derived"])
    assert known[1:] == [known[0]] * 3


def test_gradients_accumulate_and_stop() -> None:
    x, _ = pair(3)
    for _ in range(2):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0, 4.0]
    with ot.no_grad():
        assert not (x * 2).requires_grad
    assert not x.detach().requires_grad
    held = x.grad
    x.grad = None
    x.exp().sum().backward()
    assert held.tolist() == [4.0, 4.0, 4.0]


def test_functional_forms_and_second_gradients() -> None:
    x, t = pair(5)
    x = x.detach()

    def f(v: Any) -> Any:
        return (v.sin() * v * v).sum()

    (first,) = torch.autograd.grad(f(t), t, create_graph=True)
    (second,) = torch.autograd.grad((first * first).sum(), t)
    value, got = ot.value_and_grad(f)(x)
    np.testing.assert_allclose(value.item(), f(t).item())
    np.testing.assert_allclose(got.numpy(), first.detach().numpy(), rtol=1e-12)
    twice = ot.grad(lambda v: (ot.grad(f)(v) ** 2).sum())(x)
    np.testing.assert_allclose(twice.numpy(), second.numpy(), rtol=1e-10)
    out, pull = ot.vjp(lambda v: v.exp(), x)
    np.testing.assert_allclose(pull(out)[0].numpy(), np.exp(2 * x.numpy()), rtol=1e-12)


def test_a_saved_tensor_changed_in_place_is_named() -> None:
    x, _ = pair(3)
    y = x * 2
    z = y * y
    with ot.no_grad():
        y.add_(1)
    with pytest.raises(ot.GradientError, match=r"mul at .*test_tape\.py:\d+ saved was changed"):
        z.sum().backward()


REFUSED = {
    "twice": (lambda x: [(s := (x * x).sum()).backward(), s.backward()], "ran before"),
    "not scalar": (lambda x: (x * 2).backward(), "has 3 elements"),
    "no graph": (lambda x: x.detach().sum().backward(), "nothing was recorded"),
    "a leaf in place": (lambda x: x.add_(1), "a leaf that requires grad"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    fn, message = REFUSED[name]
    with pytest.raises(ot.GradientError, match=message):
        fn(pair(3)[0])


# A second backward over one graph: allowed where the first needed no values.

SECOND: dict[str, Any] = {
    "reshape": lambda lib, x, w: x.reshape(-1),
    "transpose": lambda lib, x, w: x.t()[1:],
    "index": lambda lib, x, w: x[0, 1:],
    "add": lambda lib, x, w: x + w,
    "add a number": lambda lib, x, w: x + 1,
    "subtract": lambda lib, x, w: 1 - (x - w),
    "negate": lambda lib, x, w: -x,
    "sums": lambda lib, x, w: x.sum(0) + x.mean(),
    "join": lambda lib, x, w: lib.cat([x, x + w], 0),
    "convert": lambda lib, x, w: x.to(lib.float32),
    "several": lambda lib, x, w: (x.clone() + w.expand(2, 3)).cumsum(0).reshape(3, 2),
    "multiply by a number": lambda lib, x, w: x * 2,
    "multiply": lambda lib, x, w: x * w,
    "exp": lambda lib, x, w: (x + 1).exp(),
    "relu": lambda lib, x, w: lib.relu(x),
    "where": lambda lib, x, w: lib.where(x > 0, x, w),
    "matmul": lambda lib, x, w: x @ w,
    "maximum": lambda lib, x, w: x.amax(0),
}


def twice(fn: Any, lib: Any, wrap: Any) -> Any:
    """The gradient of two backwards, or None where the second is refused."""
    rng = np.random.default_rng(0)
    x, w = (wrap(rng.standard_normal(shape)) for shape in ((2, 3), (3,)))
    loss = fn(lib, x, w).sum()
    loss.backward()
    try:
        loss.backward()
    except RuntimeError as error:
        assert "backward" in str(error)
        return None
    return x.grad.numpy()


@pytest.mark.parametrize("name", SECOND)
def test_a_second_backward_is_refused_where_torch_refuses_it(name: str) -> None:
    want = twice(SECOND[name], torch, lambda a: torch.tensor(a, requires_grad=True))
    got = twice(SECOND[name], ot, lambda a: ot.from_numpy(a).requires_grad_())
    assert (got is None) == (want is None)
    if want is not None:
        np.testing.assert_allclose(got, want)


VIEWS_AND_POINTWISE = ("reshape", "transpose", "index", "add", "add a number", "subtract", "negate")


@pytest.mark.parametrize("name", VIEWS_AND_POINTWISE)
def test_a_second_backward_in_a_capture(name: str) -> None:
    fn = SECOND[name]
    want = twice(fn, torch, lambda a: torch.tensor(a, requires_grad=True))
    rng = np.random.default_rng(0)
    x, w = (ot.from_numpy(rng.standard_normal(s)).requires_grad_() for s in ((2, 3), (3,)))

    def step() -> None:
        loss = fn(ot, x, w)
        seed = ot.ones_like(loss)
        loss.backward(seed)
        loss.backward(seed)

    ot.compile(step)()
    np.testing.assert_allclose(x.grad.numpy(), want)


def test_anomaly_detection_names_the_line_of_the_first_nan() -> None:
    x = ot.tensor([0.0, 1.0], requires_grad=True)
    y = (x.sqrt() * 0).sum()
    with ot.detect_anomaly(), pytest.raises(ot.GradientError, match=r"sqrt at .*test_tape\.py"):
        y.backward()


def test_in_place_ops_are_recorded() -> None:
    x, t = pair(4)
    y, u = x * 1, t * 1
    y.mul_(3).add_(x)
    u = u * 3 + t
    y.sum().backward()
    u.sum().backward()
    assert t.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy())


def test_every_operand_of_a_long_list_gets_its_gradient() -> None:
    parts = [ot.ones(1).requires_grad_() for _ in range(70)]
    (ot.cat(parts) * ot.arange(70.0)).sum().backward()
    assert [p.grad.item() for p in parts] == list(range(70))


def test_nodes_are_visited_from_the_last_to_the_first() -> None:
    """Sums of cotangents are in the order of the ops, whichever way the graph was put together."""
    x = ot.tensor([1.0], requires_grad=True)
    parts = [x * a for a in (1e8, 1.0, -1e8)]
    (parts[2] + (parts[0] + parts[1])).backward()
    assert x.grad.item() == np.float32(-1e8) + np.float32(1) + np.float32(1e8)


def test_threads_run_forward_and_backward_at_once() -> None:
    found: dict[int, Any] = {}

    def work(seed: int) -> None:
        x, _ = pair(20, 30, seed=seed)
        for _ in range(30):
            x.grad = None
            ((x @ x.t()).tanh() * x.sum(1)).sum().backward()
        found[seed] = x.grad.numpy()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for seed, got in found.items():
        x = pair(20, 30, seed=seed)[1]
        ((x @ x.t()).tanh() * x.sum(1)).sum().backward()
        assert x.grad is not None
        np.testing.assert_allclose(got, x.grad.numpy(), rtol=1e-9)


def test_a_long_chain_is_freed_without_recursion() -> None:
    x = ot.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(200_000):
        y = y + 1
    del y
