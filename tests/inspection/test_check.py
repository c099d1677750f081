"""Calls of compiled functions checked against eager ops: what is reported, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import nn, optim
from ostinato.passes.pipeline import PASSES
from planted_passes import WRONG, Wrong, floats, leaf


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong Programs are not kept for others."""
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))


# Wrong rewrites.


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: w.name)
def test_a_wrong_rewrite_is_reported_on_the_first_call(wrong: Wrong) -> None:
    fn, args = wrong.program()
    checked = ot.compile(fn, check="first")
    with wrong.planted(), pytest.warns(ot.CheckWarning) as told:
        checked(*args)
    (found,) = checked.mismatches
    assert [str(t.message) for t in told] == [str(found)]
    assert told[0].filename == __file__
    assert found.pass_name == wrong.pass_name
    assert found.expected != found.found
    assert any(line.startswith(f"{fn.__code__.co_filename}:") for line in found.lines)


def test_wrong_rewrites_are_in_every_pass() -> None:
    assert {w.pass_name for w in WRONG} == {*PASSES, "split", "codegen"}


def test_what_is_said_of_a_wrong_call() -> None:
    (wrong,) = (w for w in WRONG if "negated_summand" in w.name)
    fn, args = wrong.program()
    checked = ot.compile(fn, check="first")
    with wrong.planted(), pytest.warns(ot.CheckWarning):
        checked(*args)
    (found,) = checked.mismatches
    x, w, b = (a.numpy() for a in args)
    right = x * w - b * 2
    assert (found.call, found.value, found.index, found.op) == (1, "result 0", (0, 0), "ot.sub")
    np.testing.assert_allclose([found.expected, found.found], [right[0, 0], -right[0, 0]], 1e-6)
    (line,) = found.lines
    assert str(found) == (
        f"<lambda>: in call 1 result 0[0, 0] is {found.found} where eager ops give "
        f"{found.expected}; pass 'simplify' made it wrong in ot.sub, {line}. The call gives what "
        "eager ops give, and so do later ones of this variant; run it with OSTINATO_BUNDLE=DIR, "
        "and `ostinato bisect DIR` names the rewrite"
    )


# What a wrong call leaves behind.


@dataclass
class Model:
    """A training step with all that changes: parameters, moments, grads, buffers, random state."""

    step: Callable[..., Any]
    parameters: list[Any]
    opt: Any
    total: Any

    def state(self) -> dict[str, Any]:
        """Everything that a step changes, as it is now."""
        found = {f"p{i}": p for i, p in enumerate(self.parameters)}
        found |= {f"grad{i}": p.grad for i, p in enumerate(self.parameters)}
        for i, p in enumerate(self.parameters):
            found |= {f"{k}{i}": v for k, v in self.opt.state[p].items()}
        found |= {"total": self.total, "random": ot.get_rng_state()}
        return {k: v.detach().numpy().copy() for k, v in found.items()}


def model() -> Model:
    """Dropout, a running sum in place, gradients that stay, AdamW."""
    ot.manual_seed(7)
    net = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.LayerNorm(16), nn.Dropout(0.3),
                        nn.Linear(16, 4))  # fmt: skip
    opt = optim.AdamW(net.parameters(), lr=1e-2)
    total = ot.zeros(4)

    def step(x: Any, y: Any, scale: float) -> Any:
        opt.zero_grad()
        scores = net(x)
        loss = F.cross_entropy(scores, y) * scale
        loss.backward()
        opt.step()
        with ot.no_grad():
            total.mul_(0.9).add_(scores.sum(0))
        return loss.detach(), scores.detach().argmax(1)

    return Model(step, list(net.parameters()), opt, total)


def batches(count: int) -> list[tuple[Any, Any, float]]:
    """Inputs, labels, and a number."""
    numbers = np.random.default_rng(3)
    return [
        (floats(8, 6, seed=i), ot.from_numpy(numbers.integers(0, 4, 8)), 1.0 + i)
        for i in range(count)
    ]


def trained(check: Any, count: int = 4) -> tuple[list[Any], list[dict[str, Any]]]:
    """(results, state) after each of some compiled steps."""
    m = model()
    step = ot.compile(m.step, check=check)
    results: list[Any] = []
    states: list[dict[str, Any]] = []
    for batch in batches(count):
        results.append([r.numpy() for r in step(*batch)])
        states.append(m.state())
    assert not step.mismatches
    return results, states


def test_a_checked_call_leaves_what_an_unchecked_one_does() -> None:
    plain, checked = trained(None), trained(1)
    for a, b in zip(plain[0], checked[0], strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)
    for a, b in zip(plain[1], checked[1], strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_wrong_call_ends_as_eager_ops_have_it() -> None:
    eager, other = model(), model()
    ot.manual_seed(1)
    wanted = [[r.numpy() for r in eager.step(*batch)] for batch in batches(3)]
    state = eager.state()
    (wrong,) = (w for w in WRONG if "found[w] if w in" in w.name)
    step = ot.compile(other.step, check="first")
    ot.manual_seed(1)
    with wrong.planted(), pytest.warns(ot.CheckWarning):
        results = [[r.numpy() for r in step(*batch)] for batch in batches(3)]
    # The first step finds no grads, which makes it a variant of its own.
    assert [m.call for m in step.mismatches] == [1, 2]
    for a, b in zip(wanted, results, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, 1e-6)
    found = other.state()
    for name, right in state.items():
        np.testing.assert_allclose(found[name], right, 1e-5, 1e-6, err_msg=name)


def test_results_of_a_wrong_call_belong_to_the_tape() -> None:
    (wrong,) = (w for w in WRONG if w.pass_name == "split")
    w, v = leaf(4, 5, seed=1), leaf(4, 5, seed=1)
    checked = ot.compile(lambda x: ((x * w).tanh(), x * w.exp()), check="first")
    x = floats(4, 5)
    with wrong.planted(), pytest.warns(ot.CheckWarning, match="the gradient by"):
        a, b = checked(x)
    (a * 2 + b).sum().backward()
    ((x * v).tanh() * 2 + x * v.exp()).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), v.grad.numpy())


def test_an_input_that_a_result_shows_is_as_it_was_when_it_was_read() -> None:
    """Eager values that are views of what the Program changes later are not compared late."""

    def step(x: Any) -> Any:
        old = x.t().reshape(-1)[:3] * 1.0, x.detach().expand(2, 4, 4)[0].clone()
        x.add_(1.0)
        return old

    fn = ot.compile(step, check=1)
    for _ in range(3):
        x = floats(4, 4)
        before = x.numpy().copy()
        flat, whole = fn(x)
        np.testing.assert_array_equal(flat.numpy(), before.T.reshape(-1)[:3])
        np.testing.assert_array_equal(whole.numpy(), before)
        np.testing.assert_array_equal(x.numpy(), before + np.float32(1))
    assert not fn.mismatches


# When calls are checked.


WHEN: list[tuple[Any, list[int]]] = [
    ("first", [1]),
    (1, [1, 2, 3, 4, 5, 6]),
    (3, [3, 6]),
    (7, []),
    (1 - 1e-15, [1, 2, 3, 4, 5, 6]),
    (1e-15, []),
    (None, []),
]


@pytest.mark.parametrize(("when", "calls"), WHEN)
def test_which_calls_are_checked(
    when: Any, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ostinato.compiler.check import compared

    done: list[int] = []

    class Noted(compared.Compared):
        def __init__(self, *given: Any) -> None:
            done.append(number)
            super().__init__(*given)

    monkeypatch.setattr(compared, "Compared", Noted)
    double = ot.compile(lambda x: x * 2.0, check=when)
    for number in range(1, 7):
        assert double(ot.tensor([float(number)])).item() == 2.0 * number
    assert done == calls


def test_every_variant_has_a_first_call() -> None:
    wrong = next(w for w in WRONG if w.pass_name == "batch")
    checked = ot.compile(lambda x, y: x - y * 2.0, check="first")
    with wrong.planted(), pytest.warns(ot.CheckWarning) as told:
        for size in (3, 4, 3, 4):
            x, y = floats(size), floats(size, seed=1)
            np.testing.assert_array_equal(checked(x, y).numpy(), (x - y * 2.0).numpy())
    assert [m.call for m in checked.mismatches] == [1, 2]
    assert len(told) == 2


def test_regions_between_breaks_are_checked() -> None:
    wrong = next(w for w in WRONG if w.pass_name == "batch")
    total = floats(3, seed=2)

    def halved(x: Any, y: Any) -> Any:
        z = x - y * 2.0
        if z.sum().item() > 1e9:
            return z
        total.add_(z)
        return (z - x * 3.0).tanh()

    checked = ot.compile(halved, check="first")
    right = total.numpy().copy()
    with wrong.planted(), pytest.warns(ot.CheckWarning):
        for seed in range(3):
            x, y = floats(3, seed=seed), floats(3, seed=9)
            z = x.numpy() - y.numpy() * 2
            right += z
            np.testing.assert_allclose(checked(x, y).numpy(), np.tanh(z - x.numpy() * 3), 1e-6)
            np.testing.assert_allclose(total.numpy(), right, 1e-6, 1e-7)
    assert checked.breaks
    assert {m.pass_name for m in checked.mismatches} == {"batch"}
    assert len(checked.mismatches) > 1


@pytest.mark.parametrize("when", ["last", 0, -1, True, 0.0, 1.0, 1.5])
def test_another_check_is_refused(when: Any) -> None:
    with pytest.raises(ValueError, match=r"compile: check=.* came; give \"first\", a number of"):
        ot.compile(lambda x: x, check=when)


def test_random_numbers_of_a_probability_are_not_the_users() -> None:
    import random

    random.seed(5)
    wanted = random.random()
    random.seed(5)
    ot.compile(lambda x: x + 1.0, check=0.5)(floats(3))
    assert random.random() == wanted


def test_a_checked_call_shows_the_random_state_to_no_one() -> None:
    """Memory that NumPy sees is changed at once, which ends a region in the middle of a draw."""
    checked = ot.compile(lambda x: x + ot.rand(3), check=1)
    for _ in range(2):
        checked(ot.ones(3))
    followed = ot.compile(lambda x: x + ot.rand(3), verify="follow")
    ot.manual_seed(4)
    wanted = [(ot.ones(3) + ot.rand(3)).tolist() for _ in range(3)]
    ot.manual_seed(4)
    assert [followed(ot.ones(3)).tolist() for _ in range(3)] == wanted
    assert not followed.breaks


# What is right is not reported.


def language(classes: int = 36) -> Any:
    config = models.Config(dim=32, heads=2, layers=2, classes=classes, length=32, batch=4)

    def batch(numbers: Any) -> Any:
        shape = (config.batch, config.length)
        return [ot.from_numpy(numbers.integers(0, classes, shape)) for _ in range(2)]

    return models.LanguageModel(config), batch


def images() -> Any:
    config = models.ImageConfig(
        dim=32, heads=2, layers=2, classes=10, length=20, batch=4, image=8, channels=1
    )

    def batch(numbers: Any) -> Any:
        pixels = numbers.standard_normal((config.batch, 1, 8, 8)).astype(np.float32)
        labels = numbers.integers(0, 10, config.batch)
        return ot.from_numpy(pixels), ot.from_numpy(labels)

    return models.VisionTransformer(config), batch


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("make", [language, images, lambda: language(300)],
                         ids=["reverse", "vit", "minigpt"])  # fmt: skip
def test_training_steps_of_the_examples_are_right(make: Callable[[], Any], half: bool) -> None:
    ot.manual_seed(11)
    net, batch = make()
    opt = optim.AdamW(net.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)

    def step(x: Any, y: Any) -> Any:
        with ot.autocast(ot.get_default_device().type, ot.bfloat16, enabled=half):
            loss = net(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        return loss.detach()

    checked, numbers = ot.compile(step, check=1), np.random.default_rng(2)
    for _ in range(5):
        checked(*batch(numbers))
    assert not checked.mismatches
    assert not checked.breaks and all(record.followed is None for record in checked.ledger)
