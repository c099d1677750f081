"""In-place changes of tensors and views on the tape: values, gradients and aliasing against torch,
eagerly, through a compiled forward, and in a region that runs backward itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
from inplace_cases import PROGRAMS, Program, leaves, total


def eagerly(program: Program, given: list[Any]) -> Any:
    made = program(ot, *given)
    total(ot, made).backward()
    return made


def compiled_forward(program: Program, given: list[Any]) -> Any:
    made = ot.compile(lambda x, b, w: program(ot, x, b, w))(*given)
    total(ot, made).backward()
    return made


def compiled_whole(program: Program, given: list[Any]) -> Any:
    def step(x: Any, b: Any, w: Any) -> Any:
        made = program(ot, x, b, w)
        total(ot, made).backward()
        return made

    return ot.compile(step)(*given)


WAYS = {"eager": eagerly, "forward": compiled_forward, "whole": compiled_whole}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_changes_in_place_have_torchs_values_and_gradients(name: str, way: str) -> None:
    ours, theirs = leaves()
    got = WAYS[way](PROGRAMS[name], ours)
    want = PROGRAMS[name](torch, *theirs)
    total(torch, want).backward()
    rtol = 1e-6 if name == "narrower" else 1e-10
    pairs = zip(_tuple(got), _tuple(want), strict=True)
    for a, b in [*pairs, *((a.grad, b.grad) for a, b in zip(ours, theirs, strict=True))]:
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol)


def _tuple(made: Any) -> tuple[Any, ...]:
    return made if isinstance(made, tuple) else (made,)


def test_the_table_sees_a_change_that_does_not_reach_the_base(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control: changes of views by way of detached copies of them."""

    def change(t: Any, *args: Any) -> Any:
        t.detach().copy_(ot.ops.functions.mul(t, *args))
        return t

    monkeypatch.setattr(ot.Tensor, "mul_", change)
    with pytest.raises(AssertionError):
        test_changes_in_place_have_torchs_values_and_gradients("a row", "eager")


def flags(lib: Any, x: Any, b: Any, w: Any) -> list[tuple[bool, bool]]:
    h = x * 2
    v, u = h[0], h[1:]
    made = lib.ones(4, 6, dtype=lib.float64)
    row, other, alias = made[0], made[1:], made.detach()
    with lib.no_grad():
        hidden = made[2]
    before = [made, row, other, alias, hidden]
    said = [(t.requires_grad, t.is_leaf) for t in before]
    v.mul_(b)
    row.mul_(b)
    return said + [(t.requires_grad, t.is_leaf) for t in (h, v, u, made, row, other, alias)]


def test_flags_follow_changes_of_the_base() -> None:
    ours, theirs = leaves()
    want = flags(torch, *theirs)
    assert flags(ot, *ours) == want
    with ot.capture():
        said = flags(ot, *ours)
    assert said == want


def turned_base(lib: Any, x: Any, b: Any, w: Any) -> Any:
    made = lib.from_numpy(np.ones((6, 4)).T)
    made.mul_(w[0])
    row, window = made[0], made[1:3, 2:5]
    row.mul_(b)
    window.add_(x[1:3, 2:5])
    return made, row, window


def base_with_gaps(lib: Any, x: Any, b: Any, w: Any) -> Any:
    made = lib.from_numpy(np.ones((6, 6))[:, ::2])
    made.mul_(b[:3])
    column, row = made[:, 1], made[2]
    column.mul_(b)
    row.add_(x[0, :3])
    return made, column, row.sin()


@pytest.mark.parametrize("program", [turned_base, base_with_gaps])
def test_a_base_may_have_any_layout(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROGRAMS, "of any layout", program)
    test_changes_in_place_have_torchs_values_and_gradients("of any layout", "eager")


def test_views_share_memory_after_recorded_changes() -> None:
    (x, b, _), _ = leaves()
    h = x * 2
    row, pointer = h[0], h.data_ptr()
    row.mul_(b)
    h[1] = b
    assert h.data_ptr() == row.data_ptr() == pointer
    np.testing.assert_array_equal(h.detach().numpy()[0], row.detach().numpy())
