"""OSTINATO_MEMORY_HISTORY=1: memory remembers the line that made it."""

from typing import Any

import pytest

import ostinato as ot
from fake_driver import Fake

MIB = 1 << 20


def lines(device: int = 0) -> list[str]:
    blocks = [b for s in ot.cuda.memory_snapshot(device) for b in s["blocks"]]
    return [b["line"] for b in blocks if b["state"] == "used"]


def made_here() -> ot.Tensor:
    return ot.zeros(3, device="cuda")


def moved_here(x: ot.Tensor) -> ot.Tensor:
    return x.to("cuda:1")


def line_in(function: Any) -> str:
    """The line below the head of `function`, which has no other."""
    return f"{__file__}:{function.__code__.co_firstlineno + 1}"


def test_lines_of_memory(fake: Fake) -> None:
    x = made_here()
    assert lines() == [line_in(made_here)]
    y = moved_here(x)
    assert lines(1) == [line_in(moved_here)]
    assert y.numel() == 3


def test_history_can_be_turned_off(fake: Fake) -> None:
    ot.cuda.record_memory_history(False)
    x = made_here()
    assert lines() == [None]
    ot.cuda.record_memory_history(True)
    y = made_here()
    assert lines() == [None, line_in(made_here)]
    assert x.numel() == y.numel()


def large() -> ot.Tensor:
    return ot.empty(40 * MIB, dtype=ot.uint8, device="cuda")


def smaller() -> ot.Tensor:
    return ot.empty(30 * MIB, dtype=ot.uint8, device="cuda")


def test_the_largest_holders_are_named(fake: Fake) -> None:
    held = [smaller(), *(large() for _ in range(5))]
    with pytest.raises(ot.OutOfMemoryError) as caught:
        ot.empty(100 * MIB, dtype=ot.uint8, device="cuda")
    assert (
        f"; the largest holders: {line_in(large)} 200.00 MiB in 5 tensors, "
        f"{line_in(smaller)} 30.00 MiB in 1 tensor; free tensors"
    ) in str(caught.value)
    assert len(held) == 6
