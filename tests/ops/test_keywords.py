"""Calls with PyTorch's names of arguments and its short forms mean what they mean there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
import ostinato.nn.functional as F

ARRAYS = {
    "f": np.linspace(-2, 3, 24, dtype="float32").reshape(2, 3, 4),
    "m": np.linspace(-1, 2, 12, dtype="float32").reshape(3, 4),
    "i": np.arange(-12, 12, dtype="int8").reshape(2, 3, 4),
    "u": np.arange(0, 240, 10, dtype="uint8").reshape(2, 3, 4),
    "b": np.arange(12).reshape(3, 4) % 3 == 0,
    "e": np.zeros((0, 2), "float32"),
}

CALLS: dict[str, Callable[..., Any]] = {
    "dtype of a sum": lambda m, t: m.sum(t["f"], dim=1, dtype=m.float64),
    "a sum in uint8": lambda m, t: t["u"].sum(0, dtype=m.uint8),
    "a sum of int8 in float": lambda m, t: t["i"].sum(dtype=m.float32),
    "dtype of a mean of integers": lambda m, t: t["i"].mean(dim=0, dtype=m.float32),
    "dtype of a product": lambda m, t: t["m"].prod(dim=-1, dtype=m.float64),
    "dtype of running sums": lambda m, t: m.cumsum(t["i"], 1, dtype=m.int16),
    "no dtype": lambda m, t: m.sum(t["f"], dtype=None),
    "dtype of softmax": lambda m, t: m.softmax(t["i"], -1, dtype=m.float32),
    "dtype of log_softmax": lambda m, t: t["f"].log_softmax(1, dtype=m.float64),
    "alpha of a tensor": lambda m, t: m.add(t["f"], t["m"], alpha=-0.5),
    "alpha of a number": lambda m, t: t["i"].add(3, alpha=2),
    "alpha of a float number": lambda m, t: t["f"].double().sub(0.1, alpha=0.3),
    "alpha in place": lambda m, t: t["f"].add_(t["m"], alpha=2),
    "unbiased": lambda m, t: m.var(t["f"], 1, unbiased=False, keepdim=True),
    "unbiased by place": lambda m, t: t["f"].std(0, True),
    "biased by place": lambda m, t: t["f"].var((0, 2), False),
    "input": lambda m, t: m.exp(input=t["f"]),
    "input and other": lambda m, t: m.sub(input=t["f"], other=t["m"]),
    "input of a function": lambda m, t: m.chunk(input=t["f"], chunks=2, dim=2),
    "where": lambda m, t: m.where(condition=t["b"], input=t["m"], other=0.0),
    "where of a tensor": lambda m, t: t["m"].where(t["b"], t["m"] * 2),
    "no axes of a sum": lambda m, t: t["f"].sum(()),
    "no axes of a maximum": lambda m, t: m.amax(t["f"], dim=(), keepdim=True),
    "no axes of a variance": lambda m, t: m.var(t["f"], dim=[], correction=0),
    "no axes of squeeze": lambda m, t: t["f"][:1].squeeze(()),
    "split of a method": lambda m, t: t["f"].split(2, 1),
    "split in one size": lambda m, t: t["f"].split(2, dim=-1),
    "split longer than there is": lambda m, t: t["f"].split(10),
    "split by name": lambda m, t: t["f"].split(split_size=1, dim=1),
    "split in sizes": lambda m, t: t["f"].split([1, 2], 1),
    "split of nothing": lambda m, t: t["e"].split(2),
    "chunks of nothing": lambda m, t: t["e"].chunk(3),
    "end of a range": lambda m, t: m.arange(end=3, dtype=m.int8),
    "plus": lambda m, t: +t["f"],
}  # fmt: skip

STATEMENTS = (
    "x //= 2", "x %= 3", "x **= 2", "x -= 1", "y &= ~y", "y |= True", "y ^= y.clone()", "z &= 5",
    "z |= 8", "z ^= 3", "z //= 3", "z %= 5",
)  # fmt: skip


def tensors(lib: Any) -> dict[str, Any]:
    return {name: lib.from_numpy(array.copy()) for name, array in ARRAYS.items()}


def expect_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            expect_same(a, b)
        return
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-6)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_means_what_it_means_in_pytorch(name: str) -> None:
    given = tensors(ot)
    expect_same(CALLS[name](ot, given), CALLS[name](torch, tensors(torch)))


@pytest.mark.parametrize("name", ["alpha of a tensor", "dtype of a sum", "dtype of softmax"])
def test_so_does_a_captured_one(name: str) -> None:
    compiled = ot.compile(lambda t: CALLS[name](ot, t))
    expect_same(compiled(tensors(ot)), CALLS[name](torch, tensors(torch)))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_an_augmented_assignment_changes_the_tensor(statement: str) -> None:
    seen: list[Any] = []
    for lib in (ot, torch):
        t = tensors(lib)
        spaces = {"x": t["f"], "y": t["b"], "z": t["u"]}
        before = copy.copy(spaces)
        exec(statement, spaces)
        assert all(spaces[name] is before[name] for name in before)
        seen.append(tuple(before.values()))
    expect_same(*seen)


def test_alpha_and_dtype_have_gradients() -> None:
    found: list[Any] = []
    for lib in (ot, torch):
        t = tensors(lib)
        x, y = t["f"].requires_grad_(), t["m"].requires_grad_()
        z: Any = lib.add(x, y, alpha=0.25).softmax(1, dtype=lib.float64)
        (z * z).sum().backward()
        found.append((x.grad, y.grad))
    expect_same(*found)


def test_a_live_alpha_is_compiled_once() -> None:
    scaled = ot.compile(lambda x, a: ot.add(x, 1.0, alpha=a))
    for a in (2.0, 3.0, 0.5):
        assert scaled(ot.ones(2), a).tolist() == [1.0 + a] * 2
    assert "variant 1" not in str(scaled.explain())


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a dtype that is none": (
        lambda: ot.ones(2).sum(dtype=3), TypeError,  # pyright: ignore
        "sum: dtype is a int; give a dtype such as ostinato.float32"),
    "dtype where PyTorch has none": (
        lambda: ot.ones(2).amax(dtype=ot.float32), TypeError,  # pyright: ignore
        "amax: there is no argument 'dtype'"),
    "both names of one argument": (
        lambda: ot.sum(ot.ones(2), input=ot.ones(2)), TypeError,  # pyright: ignore
        "sum: an argument was given twice"),
    "two index tensors": (
        lambda: ot.ones(3, 3)[ot.arange(2), ot.arange(2)], TypeError,
        "indexing: 2 index tensors came; give one, or use gather"),
    "t of three axes": (
        lambda: ot.ones(2, 3, 4).t(), ot.ShapeError,
        "t: shape (2, 3, 4) has 3 axes; give at most 2, or use transpose"),
    "one_hot of no classes": (
        lambda: F.one_hot(ot.arange(3)), TypeError,  # pyright: ignore[reportCallIssue]
        "one_hot: argument 'num_classes' is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name: str) -> None:
    call, kind, text = REFUSED[name]
    with pytest.raises(kind) as refusal:
        call()
    assert str(refusal.value) == text
