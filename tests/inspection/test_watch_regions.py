"""`ot.watch` in compiled functions: training steps, gradients, kernels and sizes are as they are
without it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato import nn, optim
from ostinato.nn import functional as F
from watch_cases import agrees, drawn, expected

Fn = Callable[..., Any]


def test_what_is_changed_later_was_recorded_before() -> None:
    weight = ot.zeros(3)

    @ot.compile
    def fn(x: Any) -> Any:
        ot.watch(x, "x", whole=True)
        ot.watch(weight, "before", whole=True)
        weight.add_(x)
        x.mul_(2)
        ot.watch(weight, "after", whole=True)
        y = ot.watch(x + 1, "y", whole=True)
        return y.mul_(0)

    x = ot.tensor([1.0, 2.0, 3.0])
    fn(x)
    fn(x)
    found = {v.name: [t.tolist() for t in v.values] for v in fn.watched().values}
    assert found == {
        "x": [[1, 2, 3], [2, 4, 6]], "before": [[0, 0, 0], [1, 2, 3]],
        "after": [[1, 2, 3], [3, 6, 9]], "y": [[3, 5, 7], [5, 9, 13]],
    }  # fmt: skip


def trained(watches: bool) -> tuple[list[float], list[Any], Any]:
    """Losses, parameters afterwards, and the compiled step of a small model."""
    ot.manual_seed(0)
    first, second = nn.Linear(6, 16), nn.Linear(16, 3)
    parameters = [*first.parameters(), *second.parameters()]
    optimizer = optim.AdamW(parameters, lr=0.01)
    note: Fn = ot.watch if watches else lambda x, *_, **__: x

    @ot.compile(fullgraph=True)
    def step(x: Any, y: Any) -> Any:
        hidden = note(first(x), "hidden")
        loss = note(F.cross_entropy(second(F.relu(hidden)), y), "loss")
        loss.backward()
        note(first.weight.grad, "gradient")
        optimizer.step()
        optimizer.zero_grad()
        note(first.weight, "weight")
        return loss

    x, y = ot.tensor(drawn(8, 6)), ot.arange(8) % 3
    losses = [step(x, y).item() for _ in range(4)]
    return losses, [p.detach().numpy() for p in parameters], step


def test_a_whole_training_step_is_the_same_and_is_seen() -> None:
    losses, weights, step = trained(True)
    plain_losses, plain_weights, _ = trained(False)
    rounding = 0.0 if str(ot.ones(1).device) == "cpu" else 1e-5  # sums are trees of Triton's choice
    np.testing.assert_allclose(losses, plain_losses, rtol=rounding)
    for ours, plain in zip(weights, plain_weights, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=rounding)
    found = step.watched()
    assert found["loss"].values == losses
    assert agrees(found["weight"].values[-1], expected(weights[0]))
    assert all(v.std > 0 for name in ("hidden", "gradient") for v in found[name].values)


def pulled(fn: Fn) -> Any:
    x = ot.tensor(drawn(4, 5), requires_grad=True)
    (fn(x) * 3).sum().backward()
    assert x.grad is not None
    return x.grad.numpy()


GRADIENTS: dict[str, Callable[[Fn], Fn]] = {
    "eager": lambda fn: fn,
    "compiled": lambda fn: lambda x: ot.compile(fn)(x),
    "followed": lambda fn: lambda x: ot.compile(fn, verify="follow")(x),
}


@pytest.mark.parametrize("how", GRADIENTS)
def test_the_gradient_is_that_of_the_identity(how: str) -> None:
    def fn(x: Any) -> Any:
        y = ot.watch(ot.watch(x, "x").exp(), "y", whole=True)
        return ot.watch(y * x, "z")

    wanted = pulled(lambda x: x.exp() * x)
    np.testing.assert_allclose(pulled(GRADIENTS[how](fn)), wanted, rtol=1e-6)


def kernels(fn: Any) -> list[Any]:
    (region,) = fn.explain().variants
    return list(region.programs[0].kernels)


def test_a_watched_intermediate_is_a_second_result_of_its_kernel() -> None:
    fn = ot.compile(lambda x: (ot.watch(x * 2 + 1, "v", whole=True)).tanh() - 3)
    x = ot.tensor(drawn(16, 16))
    result = fn(x)
    (kernel,) = kernels(fn)
    assert kernel.bytes == 3 * x.numel() * 4
    np.testing.assert_array_equal(fn.watched()["v"].values[0].numpy(), (x * 2 + 1).numpy())
    np.testing.assert_allclose(result.numpy(), ((x * 2 + 1).tanh() - 3).numpy(), rtol=1e-5)


def plain_loss(x: Any) -> Any:
    return (x * 2).exp().mean()


def watched_loss(x: Any) -> Any:
    return ot.watch((x * 2).exp().mean(), "loss")


def test_a_watched_scalar_costs_four_bytes_and_no_launch() -> None:
    told: list[tuple[int, int]] = []
    for fn in (plain_loss, watched_loss):
        run = ot.compile(fn)
        run(ot.tensor(drawn(32, 32)))
        told.append((sum(k.launches for k in kernels(run)), sum(k.bytes for k in kernels(run))))
    (launches, moved), watched = told
    assert watched == (launches, moved + 4)


def test_pins_are_not_about_what_is_watched() -> None:
    @ot.compile
    def fn(x: Any) -> Any:
        with ot.fuse():
            y = ot.watch(x * 2, "v").tanh()
            return F.softmax(y, dim=-1)

    fn(ot.tensor(drawn(64, 64)))
    assert [k for k in kernels(fn) if "tanh" in k.name or "exp" in k.name]
    assert agrees(fn.watched()["v"].values[0], expected(drawn(64, 64) * 2))


def test_sizes_that_vary_share_their_kernels() -> None:
    fn = ot.compile(lambda x: ot.watch((x * 2).exp(), "v", whole=True).sum(0))
    rows = (5, 9, 33, 17)
    for n in rows:
        fn(ot.tensor(drawn(n, 4)))
    whole = fn.watched()["v"].values
    assert [len(v) for v in whole] == list(rows)
    for n, v in zip(rows, whole, strict=True):
        np.testing.assert_allclose(v.numpy(), np.exp(drawn(n, 4) * 2), rtol=1e-5)


def test_padding_is_not_watched() -> None:
    fn = ot.compile(lambda x: ot.watch(x + 1, "v").sum(), dims={"x": {0: ot.Bucket(16)}})
    fn(ot.tensor(drawn(5, 4)))
    assert agrees(fn.watched()["v"].values[0], expected(drawn(5, 4) + 1))


def test_a_break_leaves_values_before_and_after_it() -> None:
    @ot.compile
    def fn(x: Any) -> Any:
        if ot.watch(x.sum(), "before").item() > 0:
            ot.watch(x + 1, "positive", whole=True)
        return ot.watch(x * 2, "after", whole=True)

    for sign in (1.0, -1.0, 1.0, -1.0):
        fn(ot.full((2,), sign))
    found = fn.watched()
    assert found["before"].values == [2.0, -2.0, 2.0, -2.0]
    assert [t.tolist() for t in found["positive"].values] == [[2, 2], [2, 2]]
    assert [t.tolist() for t in found["after"].values] == [[2, 2], [-2, -2], [2, 2], [-2, -2]]


def test_a_region_without_a_function() -> None:
    x = ot.ones(3)
    with ot.capture():
        y = ot.watch(x * 2, "of a block", whole=True)
        ot.watch(y.sum(), "its sum")
    found = ot.watched()
    assert found["of a block"].values[0].tolist() == [2, 2, 2]
    assert found["its sum"].values == [6.0]


def normalized(x: Any, w: Any) -> Any:
    hidden = x @ w
    ot.watch(hidden, "hidden", every=3)
    ot.watch((hidden * 0.1).exp().amax(), "largest", every=3)
    return hidden.tanh().sum()


WATCHED_LINES = {f"{__file__}:{normalized.__code__.co_firstlineno + n}" for n in (2, 3)}


def pulls(fn: Fn) -> Callable[[int], None]:
    """Calls whose gradient is taken outside."""
    w = ot.tensor(drawn(6, 40), requires_grad=True)
    return lambda n: fn(ot.tensor(drawn(n, 6)), w).backward()


def calls(fn: Fn) -> Callable[[int], None]:
    w = ot.tensor(drawn(6, 40))
    return lambda n: fn(ot.tensor(drawn(n, 6)), w)


Begin = Callable[[Fn], Callable[[int], None]]
WAYS: dict[str, tuple[Callable[[], Any], Begin, tuple[int, ...]]] = {
    "replayed": (lambda: ot.compile(normalized), calls, (8,)),
    "followed": (lambda: ot.compile(normalized, verify="follow"), calls, (8,)),
    "gradients taken outside": (lambda: ot.compile(normalized), pulls, (8,)),
    "followed, gradients": (lambda: ot.compile(normalized, verify="follow"), pulls, (8,)),
    "any sizes": (lambda: ot.compile(normalized), calls, (8, 12, 15, 9)),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_kept_is_not_computed(way: str) -> None:
    make, begin, sizes = WAYS[way]
    fn = make()
    call = begin(fn)
    for n in sizes:
        call(n)
    so_far = len(sizes)
    with ot.profile(every=0) as found:
        for _ in range(12):
            call(sizes[-1])
    runs = {line: {s.runs for s in found.steps if s.line == line} for line in WATCHED_LINES}
    assert runs == {line: {4} for line in WATCHED_LINES}
    assert {s.runs for s in found.steps if s.line not in WATCHED_LINES} == {12}
    kept = [r.step for r in fn.watched()["hidden"].records]
    assert kept == [n for n in range(so_far + 12) if n % 3 == 0]
    hidden = drawn(sizes[-1], 6) @ drawn(6, 40)
    assert all(
        v.mean == pytest.approx(hidden.mean(), rel=1e-4) for v in fn.watched()["hidden"].values[-3:]
    )
    assert fn.watched()["largest"].values[-1] == pytest.approx(np.exp(hidden * 0.1).max(), rel=1e-3)


def test_what_is_returned_too_is_always_made() -> None:
    @ot.compile
    def fn(x: Any) -> Any:
        y = x * 2
        ot.watch(y, "y", whole=True, every=2)
        total = ot.watch(y.sum(), "total", every=0)
        return y, total

    for _ in range(3):
        y, total = fn(ot.ones(3))
        assert (y.tolist(), total.item()) == ([2.0, 2.0, 2.0], 6.0)


def test_threads_each_find_their_call() -> None:
    fn = ot.compile(lambda x: ot.watch(x.sum(), "sum", every=2))
    x = ot.ones(4)
    fn(x)
    threads = [threading.Thread(target=lambda: [fn(x) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.step for r in fn.watched()["sum"].records] == list(range(0, 201, 2))
