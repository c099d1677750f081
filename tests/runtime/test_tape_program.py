"""Backward by the Program of a whole tape: the walk's results bit for bit, for any sizes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ostinato as ot
from graph_cases import same_bits
from ostinato.ir import tape
from ostinato.runtime import _C
from tape_cases import (
    STEPS,
    Step,
    as_array,
    assert_same,
    build,
    by_program,
    counts,
    net,
    usable,
    values,
    walked,
)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No tape was seen before."""
    _C.clear_tape_programs()
    yield


@pytest.mark.parametrize("name", STEPS)
def test_gradients_are_those_of_the_walk(name: str) -> None:
    step = STEPS[name]
    assert_same(by_program(step.gradients), walked(step.gradients))


@pytest.mark.parametrize("part", range(8))
def test_random_tapes(part: int) -> None:
    steps = usable(range(6 * part, 6 * part + 6))
    assert len(steps) >= 3
    for step, expected in steps:
        assert_same(by_program(step.gradients), expected)


def test_a_compiled_function_is_a_node_of_the_tape() -> None:
    layer = ot.compile(lambda x, w: (x @ w).tanh() * x.sum())

    def forward(x: Any, w: Any) -> Any:
        y = layer(x * 2, w)
        return (layer(y, w) * y + x).sum() * w.sum()

    step = Step(forward, [values(3, 3), values(3, 3, seed=1)])
    assert_same(by_program(step.gradients), walked(step.gradients))


@pytest.mark.parametrize("name", STEPS)
def test_grads_that_are_there_are_added_to(name: str) -> None:
    step = STEPS[name]

    def twice() -> list[Any]:
        leaves = step.leaves()
        step.forward(*leaves).backward()
        held = [t.grad for t in leaves]
        step.forward(*leaves).backward()
        assert all(t.grad is h for t, h in zip(leaves, held, strict=True))
        return [as_array(h) for h in held]

    expected = walked(twice)
    twice()
    before = counts()["tape runs"]
    assert_same(twice(), expected)
    assert counts()["tape runs"] == before + 2


@pytest.mark.parametrize("name", STEPS)
def test_gradients_of_chosen_inputs(name: str) -> None:
    """Leaves, results in between, the root itself, and a tensor that plays no part."""
    step = STEPS[name]

    def chosen() -> list[Any]:
        leaves = step.leaves()
        between = leaves[0] * 1
        loss = step.forward(between, *leaves[1:]) * 2
        inputs = [leaves[0], between, loss, ot.ones(2).requires_grad_()]
        found = ot.autograd.gradients(loss, inputs)
        assert all(t.grad is None for t in leaves)
        return [f.numpy() for f in found]

    same_bits(by_program(chosen), walked(chosen))


def test_a_retained_graph_runs_again_with_other_seeds() -> None:
    x = ot.from_numpy(values(3, 4)).requires_grad_()
    y = (x.exp() * x).sum(1)
    for i in range(5):
        seed = ot.from_numpy(values(3, seed=i))
        found = ot.autograd.gradients(y, [x], seed, retain_graph=True)[0]
        expected = walked(lambda s=seed: ot.autograd.gradients(y, [x], s, retain_graph=True)[0])
        same_bits([found.numpy()], [expected.numpy()])
    assert counts()["tapes kept"] == 1


def change_saved(x: Any) -> Any:
    y = x * 2
    z = y.exp() * y
    with ot.no_grad():
        y.add_(1)
    return (z + x).sum()


def change_grad(x: Any) -> Any:
    """What `z` saved is the grad of `x`, which backward itself changes."""
    if x.grad is None:
        x.grad = ot.ones(3)
    z = (x * 2) * x.grad
    return (z + x * 3).sum()


def run_twice(x: Any) -> Any:
    y = (x * x).sum()
    y.backward()
    return y


ERRORS: dict[str, tuple[Callable[..., Any], str]] = {
    "a saved tensor": (
        change_saved,
        "backward: a tensor that mul at {} saved was changed in place afterwards; change a clone() "
        "instead",
    ),
    "a saved grad": (
        change_grad,
        "backward: a tensor that mul at {} saved was changed in place afterwards; change a clone() "
        "instead",
    ),
    "twice": (
        run_twice,
        "backward: the saved tensors of mul at {} are gone, since backward ran before; pass "
        "retain_graph=True to the first",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_have_the_text_of_the_walk_and_leave_what_it_leaves(name: str) -> None:
    forward, text = ERRORS[name]

    def failing() -> tuple[str, list[float]]:
        x = ot.from_numpy(values(3)).requires_grad_()
        with pytest.raises(ot.GradientError) as error:
            forward(x).backward()
        return str(error.value), x.grad.tolist()

    before = counts()["tape runs"]
    found = by_program(failing) if forward is not run_twice else [failing() for _ in range(4)][-1]
    assert counts()["tape runs"] > before
    assert found == walked(failing)
    line = {"a saved tensor": 2, "a saved grad": 4, "twice": 1}[name]
    place = f"{__file__}:{forward.__code__.co_firstlineno + line}"
    assert found[0] == text.format(place)


def test_what_only_the_walk_can_do_is_walked() -> None:
    def step(**options: Any) -> None:
        x = ot.from_numpy(values(3)).requires_grad_()
        ot.autograd.gradients((x * x.exp()).sum(), [x], **options)

    build(step)
    before = counts()["tape runs"]
    step(create_graph=True)
    with ot.detect_anomaly():
        step()
    x = ot.from_numpy(values(3)).requires_grad_()
    x.backward(ot.ones(3))
    assert counts()["tape runs"] == before
    step()
    assert counts()["tape runs"] == before + 1


def test_a_seed_of_another_dtype_is_walked() -> None:
    def step(dtype: Any) -> Any:
        x = ot.from_numpy(values(3)).requires_grad_()
        (x * 2).backward(ot.ones(3, dtype=dtype))
        return x.grad

    build(lambda: step(ot.float32))
    before = counts()["tape runs"]
    build(lambda: step(ot.float64))
    assert counts()["tape runs"] == before


def test_threads_make_and_run_programs_at_once() -> None:
    randoms = usable(range(20))
    failures: list[BaseException] = []
    start = threading.Barrier(3)

    def work(index: int) -> None:
        try:
            start.wait()
            for turn in range(12):
                for name in ("shared", "attention", "perceptron", "slices"):
                    step = STEPS[name]
                    expected = walked(step.gradients)
                    assert_same(step.gradients(), expected)
                random, expected = randoms[index * 2 + turn % 2]
                assert_same(random.gradients(), expected)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures


def test_two_threads_run_backward_on_one_retained_graph() -> None:
    x = ot.from_numpy(values(40, 50)).requires_grad_()
    loss = net(x, ot.from_numpy(values(50, 6)))
    expected = walked(lambda: ot.autograd.gradients(loss, [x], retain_graph=True)[0].numpy())
    found: list[Any] = []

    def work() -> None:
        for _ in range(50):
            found.append(ot.autograd.gradients(loss, [x], retain_graph=True)[0].numpy())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 100
    for f in found:
        same_bits([f], [expected])


def test_a_tape_that_two_threads_recorded() -> None:
    x = ot.from_numpy(values(4)).requires_grad_()

    def step() -> Any:
        parts: list[Any] = []
        thread = threading.Thread(target=lambda: parts.append(x.exp() * x))
        thread.start()
        thread.join()
        x.grad = None
        (parts[0] * x.sin()).sum().backward()
        return as_array(x.grad).copy()

    expected = walked(step)
    for _ in range(4):
        same_bits([step()], [expected])


PLANTED: dict[str, Callable[[Any], Any]] = {
    "an edge is dropped": lambda t: (
        "_deliver", lambda s, k, i, g: i == 1 or t._deliver(s, k, i, g)),
    "the wrong result": lambda t: (
        "_arrive", lambda s, at, g: t._arrive(s, (at[0], 0, at[2]), g)),
    "a sum in the other order": lambda t: (
        "_sum", staticmethod(lambda a, b: t._sum(a, b) if a is None else t._sum(b, a))),
    "a part of a sum is lost": lambda t: (
        "_sum", staticmethod(lambda a, b: b if a is None else a)),
    "nothing is summed over broadcast axes": lambda t: ("_fits", lambda *_: True),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_planted_errors_are_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", "0")
    target, planted = PLANTED[name](tape._Tape)
    monkeypatch.setattr(tape if target == "_fits" else tape._Tape, target, planted)
    caught = 0
    for step in STEPS.values():
        try:
            assert_same(by_program(step.gradients), walked(step.gradients))
        except (AssertionError, RuntimeError, ValueError, KeyError):
            caught += 1
    assert caught, name
