"""In-place changes of tensors and views on the tape: values, gradients and aliasing against torch,
eagerly, through a compiled forward, and in a region that runs backward itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot

Program = Callable[[Any, Any, Any, Any], Any]
SHAPES = ((4, 6), (6,), (6, 6))


def leaves(seed: int = 0) -> tuple[list[Any], list[torch.Tensor]]:
    """The same leaves x, b and w in both libraries."""
    arrays = [np.random.default_rng(seed + i).standard_normal(s) for i, s in enumerate(SHAPES)]
    ours = [ot.from_numpy(a.copy()).requires_grad_() for a in arrays]
    return ours, [torch.tensor(a, requires_grad=True) for a in arrays]


def total(lib: Any, made: Any) -> Any:
    """One number that weights every element of every result differently."""
    results = made if isinstance(made, tuple) else (made,)
    loss = lib.zeros((), dtype=lib.float64)
    for y in results:
        weights = lib.arange(math.prod(y.shape), dtype=lib.float64).cos().reshape(tuple(y.shape))
        loss = loss * 2 + (y * y * weights).sum()
    return loss


def a_row(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h[0].mul_(b)
    return h


def an_element(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h[1, 2] = w[0, 0] * b[1]
    h[0, -1] = 3.0
    return h


def slices(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h[1:, ::2] = b[:3]
    h[:, 1:3] = w[:4, :2] * 3
    return h


def everything(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h, g = x * 2, x * 3
    h[...] = x * b
    g[:] = h
    return h, g


def added_rows(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h[2] += b
    h[:, 0] *= x[:, 1]
    return h


def view_base_view(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    v = h[0]
    h.mul_(w[:4])
    v.add_(b)
    return h, v


def views_of_views(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    v = h.t()[1:4]
    u = v[0]
    u.mul_(b[:4])
    return h, v * 2, u.sin()


def siblings(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    v, u = h[:3], h[1:]
    v.mul_(b)
    u.add_(x[1:] * b)
    return v, u, h


def buffer(lib: Any, x: Any, b: Any, w: Any) -> Any:
    made = lib.zeros(4, 6, dtype=lib.float64)
    row = made[2]
    made[1] = b
    made[2].add_(w[0])
    return made, row


def buffer_whole(lib: Any, x: Any, b: Any, w: Any) -> Any:
    made = lib.ones(4, 6, dtype=lib.float64)
    row = made[1:3]
    made.mul_(x)
    return row * b


def reshaped(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h.reshape(-1)[3:9].mul_(b)
    h.view(6, 4)[2:, 1] = 1.5
    return h


def axes(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h.unsqueeze(0)[0, 1].mul_(b)
    h.transpose(0, 1).squeeze()[0] = b[:4]
    h.permute(1, 0)[2:].tanh_()
    return h


def detached_alias(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    d = h.detach()
    d.mul_(3)
    return h.exp(), d * b


def without_grad(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    v = h[1]
    with lib.no_grad():
        h[0].mul_(5)
        v.add_(1)
    return h * b, v.sin()


def old_values_needed(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h.mul_(w[:4])
    h.div_(x.exp())
    return h


def recurrence(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    for i in range(1, 4):
        h[i] = (h[i - 1].clone() * b).tanh()
    return h


def constants(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h, g = x * 2, w * 2
    h[0] = 3.0
    h.view(6, 4)[2:, 1] = b.detach()[:4]
    g.fill_(1.5)
    return h, g


def composites(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    h[1:3].clamp_(-1.0, 1.0)
    h[0].masked_fill_(b > 0, 2.0)
    h[:, :4].tril_()
    return h


def narrower(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = (x * 2).to(lib.float32)
    h[1] = b
    h[0].add_(b.to(lib.float32))
    return h.to(lib.float64)


def a_view_that_does_not_change(lib: Any, x: Any, b: Any, w: Any) -> Any:
    h = x * 2
    v = h[0]
    h[3].mul_(b)
    return v * b


PROGRAMS: dict[str, Program] = {
    f.__name__.replace("_", " "): f
    for f in (
        a_row, an_element, slices, everything, added_rows, view_base_view, views_of_views, siblings,
        buffer, buffer_whole, reshaped, axes, detached_alias, without_grad, old_values_needed,
        recurrence, constants,
        composites, narrower, a_view_that_does_not_change,
    )
}  # fmt: skip


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


# What tensors say of themselves afterwards.


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


# Refusals.


def leaf(x: Any, b: Any, w: Any) -> None:
    x.mul_(2.0)


def leaf_assigned(x: Any, b: Any, w: Any) -> None:
    x[:] = 2.0


def view_of_a_leaf(x: Any, b: Any, w: Any) -> None:
    x[0].mul_(b)


def leaf_set_item(x: Any, b: Any, w: Any) -> None:
    x[0, 1] = 2.0


def view_of_view_of_a_leaf(x: Any, b: Any, w: Any) -> None:
    x.t()[1:].add_(1.0)


def unrecorded_view(x: Any, b: Any, w: Any) -> None:
    h = x * 2
    with ot.no_grad():
        v = h[0]
    v.mul_(b)


def unrecorded_view_of_a_buffer(x: Any, b: Any, w: Any) -> None:
    made = ot.zeros(4, 6, dtype=ot.float64)
    with ot.no_grad():
        v = made[0]
    v.add_(b)


def unrecorded_view_of_a_changed_base(x: Any, b: Any, w: Any) -> None:
    h = x * 2
    with ot.no_grad():
        v = h[0]
    h.mul_(b)
    (v * b).sum()


def expanded(x: Any, b: Any, w: Any) -> None:
    (b * 2).expand(3, 6).mul_(2.0)


_LEAF = "cannot be changed in place; do it under no_grad()"
REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "a leaf": (leaf, f"mul_: a leaf that requires grad {_LEAF}"),
    "x[:] of a leaf": (leaf_assigned, f"copy_: a leaf that requires grad {_LEAF}"),
    "a view of a leaf": (view_of_a_leaf, f"mul_: a view of a leaf that requires grad {_LEAF}"),
    "x[i] of a leaf": (leaf_set_item, f"copy_: a view of a leaf that requires grad {_LEAF}"),
    "a view of a view of a leaf": (
        view_of_view_of_a_leaf,
        f"add_: a view of a leaf that requires grad {_LEAF}",
    ),
    "a view made under no_grad": (
        unrecorded_view,
        "mul_: a view that was made under no_grad() is changed where gradients are recorded, which "
        "leaves open whether the change has one; do both under no_grad(), or neither",
    ),
    "a view of a buffer made under no_grad": (
        unrecorded_view_of_a_buffer,
        "add_: a view that was made under no_grad() is changed where gradients are recorded, which "
        "leaves open whether the change has one; do both under no_grad(), or neither",
    ),
    "a view made under no_grad whose base changes": (
        unrecorded_view_of_a_changed_base,
        "in-place change: a view was made under no_grad(), and the tensor that it shows was "
        "changed since, which leaves open whether the view has a gradient; make the view where "
        "gradients are recorded, or detach() it",
    ),
}


@pytest.mark.parametrize("way", ["eager", "compiled"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_torch_refuses_is_refused(name: str, way: str) -> None:
    fn, message = REFUSED[name]
    ours, _ = leaves()
    with pytest.raises(ot.GradientError) as caught:
        (ot.compile(fn) if way == "compiled" else fn)(*ours)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", REFUSED)
def test_torch_refuses_it_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table above is torch's: the same programs fail there."""
    fn, _ = REFUSED[name]
    for used in ("no_grad", "zeros", "float64"):
        monkeypatch.setattr(ot, used, getattr(torch, used))
    with pytest.raises(RuntimeError):
        fn(*leaves()[1])


def test_a_saved_tensor_changed_by_way_of_a_view_is_named() -> None:
    (x, *_), _ = leaves()
    h = x * 2
    y = h * h
    h[0].add_(1)
    with pytest.raises(
        ot.GradientError, match=r"mul at .*test_inplace_views\.py:\d+ saved was cha"
    ):
        y.sum().backward()


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


def test_a_detached_alias_takes_no_gradient_in_a_capture() -> None:
    ours, _ = leaves()

    def fn(x: Any, b: Any, w: Any) -> Any:
        alias = (x * 2).detach()
        alias.mul_(b)
        return alias

    with pytest.raises(ot.CaptureError) as caught:
        ot.compile(fn, verify="trust")(*ours)
    assert str(caught.value) == (
        "capture: a detached tensor, which shares memory with another one, is changed to what has "
        "a gradient; clone() it after detach() "
        f"(at {__file__}:{fn.__code__.co_firstlineno + 2})"
    )


def test_a_view_of_a_base_whose_elements_share_memory_is_refused() -> None:
    (_, b, _), _ = leaves()
    made = ot.ones(1, 6, dtype=ot.float64).expand(4, 6).detach()
    with pytest.raises(ot.GradientError) as caught:
        made[0].mul_(b)
    assert str(caught.value) == (
        "in-place change: a view of a tensor whose elements share memory, with shape (4, 6) and "
        "strides (0, 1), has no place on the tape; call contiguous() before taking the view"
    )


def test_views_share_memory_after_recorded_changes() -> None:
    (x, b, _), _ = leaves()
    h = x * 2
    row, pointer = h[0], h.data_ptr()
    row.mul_(b)
    h[1] = b
    assert h.data_ptr() == row.data_ptr() == pointer
    np.testing.assert_array_equal(h.detach().numpy()[0], row.detach().numpy())
