"""Functions that need values in the middle, or do what a replay would leave out: their Python runs
at each call, and all is as in eager calls."""

from __future__ import annotations

import abc
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato import nn, optim


def data(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def item_scales(state: Any) -> Callable[[Any], Any]:
    return lambda x: x * (x * x).sum().item()


def branch_on_a_tensor(state: Any) -> Callable[[Any], Any]:
    def fn(x: Any) -> Any:
        y = x + 1
        if y.sum() > 0:
            return y * 2
        return y - 3

    return fn


def loop_by_data(state: Any) -> Callable[[Any], Any]:
    def fn(x: Any) -> Any:
        y = x.abs()
        while y.amax() > 0.5:
            y = y * 0.5
        return y

    return fn


def through_numpy(state: Any) -> Callable[[Any], Any]:
    def fn(x: Any) -> Any:
        y = np.sort((x * 3).numpy())
        return ot.from_numpy(y) + x

    return fn


def counts_and_appends(state: Any) -> Callable[[Any], Any]:
    def fn(x: Any) -> Any:
        state["n"] = state.get("n", 0) + 1
        state.setdefault("sums", []).append(x.sum())
        return x * state["n"]

    return fn


def draws(state: Any) -> Callable[[Any], Any]:
    return lambda x: x * random.random() + ot.rand(3)


def writes_to_an_unknown_container(state: Any) -> Callable[[Any], Any]:
    def fn(x: Any) -> Any:
        kept = state.setdefault("kept", {})
        kept["last"] = x * 2
        return kept["last"] + kept["last"].sum().item()

    return fn


def views_across_a_break(state: Any) -> Callable[[Any], Any]:
    def fn(x: Any) -> Any:
        y = x * 2
        row = y[1]
        flat = x.view(-1)
        total = y.sum().item()
        row.add_(total)
        flat.mul_(2)
        return y, row, x + 0

    return fn


def numpy_sees_memory(state: Any) -> Callable[[Any], Any]:
    def fn(x: Any) -> Any:
        seen = x.numpy()
        y = x + 1
        seen[0] = 7
        return y, x * 1

    return fn


class Own:
    def __init__(self, value: Any) -> None:
        self.value = value


def object_made(state: Any) -> Callable[[Any], Any]:
    return lambda x: Own(x + 1)


def numpy_number(state: Any) -> Callable[[Any], Any]:
    return lambda x: x * np.float32(random.random())


def gradients_around_a_break(state: Any) -> Callable[[Any], Any]:
    w = ot.from_numpy(data(9, 3)).requires_grad_()
    state["w"] = w

    def fn(x: Any) -> Any:
        loss = (x * w).pow(2).sum()
        state.setdefault("losses", []).append(loss.item())
        (loss * 2).backward()
        return loss.detach()

    return fn


def gradients_by_regions(state: Any) -> Callable[[Any], Any]:
    w = ot.from_numpy(data(9, 3)).requires_grad_()
    state["w"] = w

    def fn(x: Any) -> Any:
        h = (x * w).exp()
        if h.sum() > 3:
            h = h * 2
        loss = h.mean()
        loss.backward()
        grad: Any = w.grad
        with ot.no_grad():
            w.sub_(grad * 0.1)
        w.grad = None
        return loss.detach()

    return fn


PROGRAMS = [
    item_scales, branch_on_a_tensor, loop_by_data, through_numpy, counts_and_appends, draws,
    writes_to_an_unknown_container, views_across_a_break, numpy_sees_memory, object_made,
    numpy_number, gradients_around_a_break, gradients_by_regions,
]  # fmt: skip


def shown(value: Any) -> Any:
    """A value as plain data, with the gradients of tensors."""
    if isinstance(value, ot.Tensor):
        grad = None if value.grad is None else value.grad.numpy().tolist()
        return value.detach().numpy().tolist(), grad
    if isinstance(value, Own):
        return shown(value.value)
    if isinstance(value, dict):
        return {k: shown(v) for k, v in value.items()}
    return [shown(v) for v in value] if isinstance(value, (list, tuple)) else value


def five_calls(make: Callable[[Any], Any], wrap: Callable[[Any], Any]) -> Any:
    """What five calls give, and what they leave."""
    random.seed(3)
    ot.manual_seed(3)
    state: dict[str, Any] = {}
    fn = wrap(make(state))
    seen: list[Any] = []
    for i in range(5):
        x = ot.from_numpy(data(i, 2, 3) if make is views_across_a_break else data(i, 3))
        seen.append((shown(fn(x)), shown(x), shown(state)))
    return seen, fn


@pytest.mark.parametrize("verify", [None, "follow", 0.5])
@pytest.mark.parametrize("make", PROGRAMS, ids=lambda p: p.__name__)
def test_five_calls_are_those_of_the_eager_function(make: Any, verify: Any) -> None:
    want, _ = five_calls(make, lambda fn: fn)
    got, compiled = five_calls(make, lambda fn: ot.compile(fn, verify=verify))
    for w, g in zip(want, got, strict=True):
        np.testing.assert_equal(np.array(str(rounded(w))), np.array(str(rounded(g))))
    assert compiled.entries, "nothing was captured"


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def test_a_break_is_listed_with_its_line_and_costs_no_more_regions() -> None:
    fn = ot.compile(item_scales(None))
    for i in range(4):
        fn(ot.from_numpy(data(i, 3)))
    (found,) = fn.breaks
    line = item_scales.__code__.co_firstlineno + 1
    assert found.line == f"{__file__}:{line}" and found.count == 4
    assert found.why == "`.item()` needs a value now"
    (entry,) = fn.entries.values()
    assert [r.calls for r in entry.followed.regions.values()] == [4, 4]
    assert f"break at {found.line}: `.item()` needs a value now; 4 times" in str(fn.explain())


def test_breaks_of_one_line_for_one_reason_are_one() -> None:
    def fn(x: Any) -> Any:
        one, other = x.sum().item(), x.mean().item()
        return x * one, x * float(x.amax() + other)

    compiled = ot.compile(fn)
    for i in range(3):
        compiled(ot.from_numpy(data(i, 3)))
    first = fn.__code__.co_firstlineno
    counts = {int(b.line.split(":")[1]) - first: b.count for b in compiled.breaks}
    assert counts == {1: 6, 2: 3} and len(compiled.breaks) == 2
    assert all(b.seconds > 0 for b in compiled.breaks)


def test_code_that_python_specialises_needs_no_other_region() -> None:
    """CPython 3.11 calls C functions elsewhere in the code once it has seen them for a while."""

    def fn(x: Any) -> Any:
        return x.sum().item() + ot.exp(x).mean(0).item()

    compiled = ot.compile(fn)
    for i in range(20):
        compiled(ot.from_numpy(data(i, 3)))
    (entry,) = compiled.entries.values()
    assert len(entry.followed.regions) == 2


def test_another_branch_is_a_new_region_once() -> None:
    fn = ot.compile(branch_on_a_tensor(None))
    for sign in (1, -1, 1, -1, 1):
        x = ot.full((3,), 2.0 * sign)
        assert fn(x).tolist() == ([6.0] * 3 if sign > 0 else [-4.0] * 3)
    (entry,) = fn.entries.values()
    assert len(entry.followed.regions) == 3


def test_fullgraph_names_what_asks_for_a_value() -> None:
    fn = ot.compile(item_scales(None), fullgraph=True)
    line = item_scales.__code__.co_firstlineno + 1
    with pytest.raises(ot.CaptureError) as caught:
        fn(ot.ones(3))
    assert f"test_follow.py:{line}" in str(caught.value) and ".item()" in str(caught.value)


def test_an_error_half_way_leaves_what_was_done_before_it() -> None:
    def fn(x: Any, seen: list[Any]) -> Any:
        x.add_(1)
        seen.append(x.sum())
        if x.sum() > 10:
            raise ValueError("too much")
        return x * 2

    compiled = ot.compile(fn)
    x, seen = ot.zeros(3), []
    for _ in range(3):
        compiled(x, seen)
    with pytest.raises(ValueError, match="too much"):
        compiled(x, seen)
    assert x.tolist() == [4.0] * 3 and [s.item() for s in seen] == [3.0, 6.0, 9.0, 12.0]


def test_a_training_step_with_its_loss_printed() -> None:
    def train(wrap: Callable[[Any], Any]) -> tuple[list[float], Any]:
        ot.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))
        opt = optim.AdamW(model.parameters(), lr=0.1)
        log: list[float] = []

        def step(x: Any, y: Any) -> Any:
            loss = ((model(x) - y) ** 2).mean()
            log.append(loss.item())
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
            opt.step()

        run = wrap(step)
        for i in range(6):
            run(ot.from_numpy(data(i, 5, 4)), ot.from_numpy(data(i + 50, 5, 1)))
        return log, run

    want, _ = train(lambda f: f)
    got, run = train(ot.compile)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    (entry,) = run.entries.values()
    assert len(entry.followed.regions) <= 4  # the first step has no grads to clear


class Decaying(optim.Optimizer):
    """An optimizer of a user, which computes with its options."""

    def numbers(self, group: Any) -> tuple[Any, ...]:
        return optim.optimizer.live(group, "lr", "betas")

    def update(self, p: Any, grad: Any, state: Any, numbers: Any) -> None:
        lr, low, high = numbers
        p.mul_(1 - lr * low)
        if high > 0.5:
            p.sub_(grad * (lr / 3) + 0.1)


OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda w: optim.SGD([w], lr=0.5, momentum=0.5),
    "Adam": lambda w: optim.Adam([w], lr=0.5),
    "AdamW": lambda w: optim.AdamW([w], lr=0.5),
    "own": lambda w: Decaying([w], {"lr": 0.5, "betas": (0.5, 0.75)}),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_options_changed_between_followed_calls_need_no_region(make: Any) -> None:
    def weights_after(compiles: bool) -> tuple[list[Any], Any]:
        opt = make(w := ot.ones(3, requires_grad=True))

        def step(x: Any) -> None:
            (w * x).sum().backward()
            opt.step()
            opt.zero_grad()

        run = ot.compile(step, verify="follow") if compiles else step
        (group,) = opt.param_groups
        for i, rate in enumerate((0.5, 0.25, 0.125, 2.0)):
            group["lr"] = rate
            if "betas" in group:
                group["betas"] = (0.5 + i / 8, 0.75 + i / 16)
            run(ot.from_numpy(data(i, 3)))
        return w.tolist(), run

    want, _ = weights_after(False)
    got, run = weights_after(True)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    (entry,) = run.entries.values()
    assert len(entry.followed.regions) == 1


def test_a_function_that_does_something_else_is_noticed() -> None:
    """What is registered with an abstract class is what guards do not see."""

    Kind: Any = abc.ABCMeta("Kind", (), {})

    holder = Own(1.0)

    def fn(x: Any) -> Any:
        if isinstance(holder, Kind):
            return x - 1
        return x + 1

    compiled = ot.compile(fn, verify=0.999999)
    assert compiled(ot.zeros(2)).tolist() == [1.0, 1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(ot.zeros(2)).tolist() == [1.0, 1.0]
    assert compiled.variants
    Kind.register(Own)
    line = fn.__code__.co_firstlineno + 2
    with pytest.warns(ot.DivergenceWarning, match=f"test_follow.py:{line}"):
        assert compiled(ot.zeros(2)).tolist() == [-1.0, -1.0]
    assert compiled(ot.zeros(2)).tolist() == [-1.0, -1.0] and not compiled.variants


def test_a_generator_runs_between_calls() -> None:
    @ot.compile
    def fn(x: Any) -> Any:
        for i in range(3):
            yield x + i

    for _ in range(2):
        assert [y.tolist() for y in fn(ot.zeros(1))] == [[0.0], [1.0], [2.0]]


def test_a_wrong_choice_of_verify_is_refused() -> None:
    wrongs: list[Any] = ["sometimes", 0.0, 1.0, 2, True]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="give 'trust', 'follow', or a probability"):
            ot.compile(lambda x: x, verify=wrong)


def test_what_is_brought_to_the_cpu_is_there() -> None:
    def totals(x: Any) -> tuple[Any, Any, Any]:
        y = x * 2
        return y.sum().cpu(), (y > 0).sum(1).cpu(), y.amax(1).tolist()

    compiled = ot.compile(totals)
    for seed in range(3):
        x = ot.from_numpy(np.random.default_rng(seed).standard_normal((2, 5)))
        for found, wanted in zip(compiled(x), totals(x), strict=True):
            if isinstance(wanted, list):
                assert found == wanted
            else:
                assert found.device == wanted.device == ot.device("cpu")
                np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-12)
