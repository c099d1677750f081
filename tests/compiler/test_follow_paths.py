"""A followed function expects what it recorded before; what does not come again is told apart."""

from __future__ import annotations

from typing import Any

import pytest

import ostinato as ot
from test_follow import data, rounded, shown

OUTSIDE = (
    ot.ones(3), ot.ones(2, 1), ot.ones(3, requires_grad=True), ot.ones(3, dtype=ot.float64)
)  # fmt: skip


def numbers_in_turn(x: Any, i: int) -> Any:
    return (x * (2.0 if i % 3 == 0 else 3.0 if i % 3 == 1 else -3.0)).exp()


def shapes_in_turn(x: Any, i: int) -> Any:
    other = x if i % 3 == 0 else x[0] if i % 3 == 1 else ot.ones(2, 1)
    return (x + other) * other


def dtypes_in_turn(x: Any, i: int) -> Any:
    y = x if i % 2 == 0 else ot.arange(3)
    return (y * y + 1) / 2


def gradients_in_turn(x: Any, i: int) -> Any:
    w = ot.ones(3, requires_grad=i % 2 == 0)
    y = (x * w).exp() * w
    return y.detach(), y.requires_grad


def inputs_in_turn(x: Any, i: int) -> Any:
    y = (OUTSIDE[i % 4] * 2).exp()
    return y.detach(), y.requires_grad, y.dtype.name, x + y.detach()


def ops_in_turn(x: Any, i: int) -> Any:
    return (ot.exp, ot.sin, ot.cos)[i % 3](x) + 1


def pins_in_turn(x: Any, i: int) -> Any:
    with (ot.fuse, ot.nofuse)[i % 2]():
        y = x * 2 + 1
    return y.exp()


def grad_modes_in_turn(x: Any, i: int) -> Any:
    w = ot.ones(3, requires_grad=True)
    with ot.set_grad_enabled(i % 2 == 0):
        y = (x * w).exp() * w
    return y.detach(), y.requires_grad


def autocast_in_turn(x: Any, i: int) -> Any:
    with ot.autocast("cpu", dtype=ot.bfloat16, enabled=i % 2 == 1):
        y = x @ x.t()
        return y.float(), y.dtype.name


def attributes_in_turn(x: Any, i: int) -> Any:
    return x.sum(i % 2).exp(), ot.softmax(x, dim=i % 2) + 1


def operands_in_turn(x: Any, i: int) -> Any:
    y, z = x + 1, x * 2
    if i % 2:
        y, z = z, y
    return y - z, (z / (y * y + 1)).exp()


def lengths_in_turn(x: Any, i: int) -> Any:
    for _ in range(i % 4):
        x = (x * 0.5).sin()
    return x.cos(), x * i


def changes_in_turn(x: Any, i: int) -> Any:
    y = x * 2
    if i % 2:
        y[0].add_(1)
    return y.sin() + y, y.sum().item()


IN_TURN = [
    (numbers_in_turn, 3), (shapes_in_turn, 3), (dtypes_in_turn, 2), (gradients_in_turn, 2),
    (grad_modes_in_turn, 2), (autocast_in_turn, 2), (attributes_in_turn, 2), (operands_in_turn, 2),
    (lengths_in_turn, 4), (changes_in_turn, 2), (inputs_in_turn, 4), (ops_in_turn, 3),
    (pins_in_turn, 2),
]  # fmt: skip


@pytest.mark.parametrize(("fn", "regions"), IN_TURN, ids=lambda p: getattr(p, "__name__", None))
def test_the_same_lines_that_mean_something_else_are_told_apart(fn: Any, regions: int) -> None:
    """An op where one was expected is the expected one only if all that it depends on is."""
    compiled = ot.compile(fn, verify="follow")
    for i in (0, 0, 1, 0, 1, 2, 3, 1, 4, 0, 2, 5, 3):
        x = ot.from_numpy(data(i, 2, 3))
        assert str(rounded(shown(compiled(x, i)))) == str(rounded(shown(fn(x, i))))
    assert sum(len(e.followed.regions) for e in compiled.entries.values()) == regions


def test_more_ways_through_a_function_than_are_expected() -> None:
    def fn(x: Any, way: int) -> Any:
        for bit in range(4):
            x = x + 1 if way >> bit & 1 else x * 2
        return x

    compiled = ot.compile(fn, verify="follow")
    x = ot.from_numpy(data(0, 3))
    for way in (*range(16), *range(16)):
        assert compiled(x, way).tolist() == fn(x, way).tolist()
    assert sum(len(e.followed.regions) for e in compiled.entries.values()) == 16


def test_a_tensor_of_a_capture_that_failed_has_no_value() -> None:
    kept: dict[str, Any] = {}

    def fn(x: Any) -> None:
        kept["made"] = x * 2

    with pytest.raises(ot.CaptureError, match="a write into `kept`"):
        ot.compile(fn, verify="trust")(ot.ones(2))
    for use in (lambda t: t + 1, lambda t: t.add_(1), lambda t: t.tolist(), lambda t: t.numpy()):
        with pytest.raises(ot.CaptureError, match="this tensor has no value"):
            use(kept["made"])


def test_a_region_that_ends_in_backward_leaves_grad_mode_on() -> None:
    p, q = ot.ones(3, requires_grad=True), ot.ones(3, requires_grad=True)
    both = ot.zeros(6)
    p.grad, q.grad = both[:3], both[3:]  # views of one storage, which a region does not change
    fn = ot.compile(lambda x: (p * x * q).sum().backward(), verify="follow")
    for _ in range(2):
        fn(ot.ones(3))
        assert (p * 2).requires_grad
    assert both.tolist() == [2.0] * 6
