"""Which tapes share a Program, and which Programs are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ostinato as ot
from graph_cases import same_bits
from ostinato.runtime import _C
from tape_cases import (
    WALKED,
    Step,
    as_array,
    assert_same,
    build,
    by_program,
    counts,
    made,
    net,
    values,
    walked,
)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No tape was seen before."""
    _C.clear_tape_programs()
    yield


def test_fifty_lengths_share_one_program() -> None:
    before, runs = made(), counts()["tape runs"]
    w = ot.from_numpy(values(4, 6)).requires_grad_()
    for length in range(2, 52):
        x = ot.from_numpy(values(length, 4, seed=length))
        w.grad = None
        net(x, w).backward()
        found = as_array(w.grad)
        w.grad = None
        walked(lambda x=x: net(x, w).backward())
        same_bits([found], [as_array(w.grad)])
    assert made() == before + 1
    assert counts()["tape runs"] == runs + 50 - WALKED


KEYS: dict[str, tuple[Callable[..., Any], bool]] = {
    # A change of the step, and whether the tape has another structure then.
    "sizes": (lambda x, w: net(ot.ones(5, 4), w), False),
    "a number": (lambda x, w: net(x, w) * 1, False),
    "a size of 1": (lambda x, w: net(x[:1], w), True),
    "a dtype": (lambda x, w: net(x.double(), w.double()), True),
    "an attribute": (lambda x, w: net(x, w).sum(), True),
    "one more gradient": (lambda x, w: net(x.requires_grad_(), w), True),
}


@pytest.mark.parametrize("name", KEYS)
def test_what_is_part_of_the_key(name: str) -> None:
    change, differs = KEYS[name]

    def run(forward: Callable[..., Any]) -> None:
        x, w = ot.from_numpy(values(3, 4)), ot.from_numpy(values(4, 6)).requires_grad_()
        forward(x, w).backward()

    build(lambda: run(lambda x, w: net(x, w) * 2 if name == "a number" else net(x, w)))
    before, runs = made(), counts()["tape runs"]
    run(change)
    assert counts()["tape runs"] == runs + (not differs)
    build(lambda: run(change))
    assert made() == before + differs


def doubled(x: Any) -> Any:
    y = x * 2
    return (y * y).sum()


def copied(x: Any) -> Any:
    return ((x * 2) * (x * 2)).sum()


def crossed(x: Any) -> Any:
    first, second = x * 2, x * 2
    return (second * first).sum()


def first_of_two(x: Any) -> Any:
    return _C.call("attention", x, x, x, None, False, 0.5)[0].sum()


def second_of_two(x: Any) -> Any:
    return _C.call("attention", x, x, x, None, False, 0.5)[1].sum()


def test_tapes_that_look_alike_from_every_node_are_told_apart() -> None:
    """One product used twice, two equal products, and the two in the other order."""
    for forward in (doubled, copied, crossed, first_of_two, second_of_two):
        step = Step(forward, [values(2, 3, 4)])
        before = made()
        assert_same(by_program(step.gradients), walked(step.gradients))
        assert made() == before + 1
    runs = counts()["tape runs"]
    for forward in (doubled, copied, crossed, first_of_two, second_of_two):
        Step(forward, [values(2, 3, 4)]).gradients()
    assert counts()["tape runs"] == runs + 5


def test_inputs_are_part_of_the_key() -> None:
    def step(choose: Callable[..., list[Any]]) -> list[Any]:
        x, y = (ot.from_numpy(values(3, seed=i)).requires_grad_() for i in range(2))
        z = x * y
        loss = (z.exp() * x).sum()
        return [f.numpy() for f in ot.autograd.gradients(loss, choose(x, y, z))]

    choices: list[Callable[..., list[Any]]] = [
        lambda x, y, z: [x], lambda x, y, z: [y], lambda x, y, z: [x, y],
        lambda x, y, z: [y, x], lambda x, y, z: [z], lambda x, y, z: [x, x],
    ]  # fmt: skip
    for choose in choices * 8:  # those with as many leaves are counted together
        same_bits(step(choose), walked(lambda c=choose: step(c)))
    assert counts()["tapes kept"] == len(choices) - 1, "the same input twice is walked"


def test_long_tapes_are_walked() -> None:
    def step(length: int) -> None:
        x = ot.tensor([1.0], requires_grad=True)
        y = x
        for _ in range(length):
            y = y + 1
        y.backward()
        assert x.grad.item() == 1

    before = made()
    build(lambda: step(3000))
    assert made() == before
    build(lambda: step(300))
    assert made() == before + 1


def test_few_programs_are_kept_and_the_last_ones_are() -> None:
    def step(length: int) -> None:
        x = ot.tensor([1.0], requires_grad=True)
        y = x
        for _ in range(length):
            y = y + 1
        y.backward()

    for length in range(1, 81):
        build(lambda n=length: step(n))
    assert counts()["tapes kept"] == 64
    before = made()
    step(80)
    build(lambda: step(1))
    assert made() == before + 1, "the first was given up, the last was kept"
    for length in range(1000, 1020):
        build(lambda n=length: step(n))
    assert counts()["tapes kept"] < 20
