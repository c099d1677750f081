"""Changes in place that torch refuses are refused, and messages say what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import ostinato as ot
from inplace_cases import leaves


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
        ot.GradientError, match=r"mul at .*test_inplace_refused\.py:\d+ saved was cha"
    ):
        y.sum().backward()


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


@pytest.mark.parametrize("way", ["eager", "compiled"])
def test_a_change_of_an_expanded_tensor_is_refused(way: str) -> None:
    def change(b: Any) -> None:
        (b * 2).expand(3, 6).mul_(2.0)

    with pytest.raises(ValueError) as caught:
        (ot.compile(change) if way == "compiled" else change)(leaves()[0][1])
    assert str(caught.value) == (
        "mul_: the tensor is expanded, so elements share memory; clone() it first"
    )
