"""Tensors that share memory in compiled functions: each program runs for several calls, compiled
and by torch, on the same bases; results, bases, aliasing and gradients agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot

Call = Callable[[Any, Any], Sequence[Any]]
"""The arguments of one call, of the library and the bases."""


def bases(lib: Any) -> list[Any]:
    """Two float64 tensors of shape (4, 6) and one of 24 elements."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((4, 6), (4, 6), (24,))]
    return [(torch.tensor if lib is torch else ot.tensor)(a) for a in arrays]


def check(fn: Callable[..., Any], calls: str) -> Any:
    """Run these `CALLS` of `fn(lib, ...)` both ways and compare all that can be seen; the compiled
    function."""
    compiled = ot.compile(lambda *args: fn(ot, *args))
    ours, theirs = bases(ot), bases(torch)
    for call in map(CALLS.__getitem__, calls.split()):
        got = results(compiled(*call(ot, ours)))
        want = results(fn(torch, *call(torch, theirs)))
        assert len(got) == len(want)
        agree([*got, *ours], [*want, *theirs])
        for change in (lambda t: t.add_(1), lambda t: t.mul_(3)):
            for g, w in zip(got, want, strict=True):
                if not w.requires_grad:
                    change(g)
                    change(w)
            agree([*got, *ours], [*want, *theirs])
    return compiled


def results(made: Any) -> list[Any]:
    return [*made] if isinstance(made, tuple) else [] if made is None else [made]


def agree(ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)


def add_to_first(lib: Any, x: Any, y: Any) -> Any:
    x.add_(y * 1)
    return x * y


def add_to_second(lib: Any, x: Any, y: Any) -> Any:
    y.mul_(2)
    return x + y


def read_both(lib: Any, x: Any, y: Any) -> Any:
    return x * 2 + y


def transposed_result(lib: Any, x: Any) -> Any:
    return x.t(), x * 2


def row_of_a_result(lib: Any, x: Any) -> Any:
    h = x * 2
    return h, h[1], h.t()


def row_alone(lib: Any, x: Any) -> Any:
    return (x * 2)[1]


def two_rows(lib: Any, x: Any) -> Any:
    h = x * 2
    return h[1], h[0]


def changed_and_shown(lib: Any, x: Any) -> Any:
    row = x[0]
    x.mul_(2)
    return row, x.reshape(-1)


def view_before_change(lib: Any, x: Any) -> Any:
    row, column, window = x[1], x[:, 2], x[1:3, 1:4]
    x.mul_(2)
    return row + column.sum(), window * 2


def view_changed(lib: Any, x: Any) -> Any:
    x[1].mul_(2)
    x[:, 1:3].add_(1)
    return x * 1


def reshaped_change(lib: Any, x: Any) -> Any:
    flat = x.reshape(-1)
    x.add_(1)
    return flat * 2


def split_change(lib: Any, x: Any) -> Any:
    parts = x.reshape(x.shape[0], 2, -1)
    x.add_(1)
    return parts * 2


def contiguous_change(lib: Any, x: Any) -> Any:
    y = x.contiguous()
    x.add_(1)
    return y * 2


def twice(lib: Any, x: Any) -> Any:
    y = x + 1
    return y, y


def detached(lib: Any, x: Any) -> Any:
    return x.detach()


CALLS: dict[str, Call] = {
    "whole": lambda lib, b: [b[0]],
    "other": lambda lib, b: [b[1]],
    "square": lambda lib, b: [b[0][:, :4]],
    "turned": lambda lib, b: [b[1][:, :4].t()],
    "strided": lambda lib, b: [b[2].reshape(4, 6)[:, ::2][:, :3]],
    "narrow": lambda lib, b: [b[0][:, :3]],
    "narrow_copy": lambda lib, b: [b[1][:, :3] * 1],
    "apart": lambda lib, b: [b[0], b[1]],
    "same": lambda lib, b: [b[0], b[0]],
    "aliased": lambda lib, b: [b[0], b[0].detach()],
    "inside": lambda lib, b: [b[2], b[2][:1]],
    "inside_later": lambda lib, b: [b[2], b[2][5:6]],
    "outside": lambda lib, b: [b[2], b[0][0, :1]],
}

TABLE: dict[str, tuple[Callable[..., Any], str]] = {
    "distinct, then one tensor twice": (add_to_first, "apart same apart same"),
    "one tensor twice, then distinct": (add_to_first, "same apart same"),
    "the second is changed": (add_to_second, "apart same aliased apart"),
    "an alias, then distinct": (add_to_first, "aliased apart same"),
    "a part of the first": (add_to_first, "inside outside inside_later inside"),
    "outside, then a part": (add_to_first, "outside inside outside"),
    "a part is changed": (add_to_second, "outside inside inside_later"),
    "reads only": (read_both, "apart same aliased inside outside"),
    "a view of an input is returned": (transposed_result, "whole other square turned"),
    "views of a result": (row_of_a_result, "whole other"),
    "a view of a result alone": (row_alone, "whole other"),
    "views of a result that stays inside": (two_rows, "whole other"),
    "views of a changed input": (changed_and_shown, "whole other whole"),
    "a view, then a change": (view_before_change, "square turned strided narrow"),
    "a view with gaps, then a change": (view_before_change, "turned square turned"),
    "views changed": (view_changed, "turned square strided whole"),
    "a reshape is a view or a copy": (reshaped_change, "whole square narrow turned"),
    "a reshape is a copy, then a view": (reshaped_change, "narrow narrow_copy narrow"),
    "a reshape of gaps is a view": (split_change, "square whole turned"),
    "contiguous is the same or a copy": (contiguous_change, "whole turned square"),
    "a result twice": (twice, "whole other"),
    "a detached argument": (detached, "whole other"),
}


@pytest.mark.parametrize("name", TABLE)
def test_sharing_is_as_in_torch(name: str) -> None:
    check(*TABLE[name])


def test_the_table_sees_a_variant_used_for_other_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a variant that is replayed whatever came."""
    from ostinato.compiler.variant import Variant

    monkeypatch.setattr(Variant, "fits", lambda self, leaves: True)
    for name in ("distinct, then one tensor twice", "one tensor twice, then distinct"):
        with pytest.raises(AssertionError):
            check(*TABLE[name])


def test_variants_are_made_for_sharing_alone() -> None:
    for name, count in (("reads only", 5), ("distinct, then one tensor twice", 2)):
        compiled = check(*TABLE[name])
        assert len(compiled.variants) <= count


OVERLAPS: dict[str, Call] = {
    "overlapping parts": lambda lib, b: [b[2][:4], b[2][2:6]],
    "parts side by side": lambda lib, b: [b[2][:4], b[2][4:8]],
}


@pytest.mark.parametrize("name", OVERLAPS)
def test_inputs_on_one_storage_of_which_one_changes_are_refused(name: str) -> None:
    fn = ot.compile(lambda x, y: add_to_first(ot, x, y), verify="trust")
    with pytest.raises(ot.CaptureError) as caught:
        fn(*OVERLAPS[name](ot, bases(ot)))
    line = f"{__file__}:{add_to_first.__code__.co_firstlineno + 1}"
    assert str(caught.value) == (
        "capture: two inputs are different views of one storage that the region changes in place; "
        f"clone() one of them (at {line})"
    )


@pytest.mark.parametrize("name", OVERLAPS)
def test_inputs_on_one_storage_are_followed(name: str) -> None:
    ours, theirs = bases(ot), bases(torch)
    fn = ot.compile(lambda x, y: add_to_first(ot, x, y))
    for _ in range(2):
        got = fn(*OVERLAPS[name](ot, ours))
        want = add_to_first(torch, *OVERLAPS[name](torch, theirs))
        agree([*results(got), *ours], [*results(want), *theirs])


def test_a_variant_for_distinct_inputs_takes_no_overlapping_ones() -> None:
    fn = ot.compile(lambda x, y: add_to_first(ot, x, y), verify="trust")
    b = bases(ot)
    fn(b[0][0, :4], b[1][0, :4])
    fn(*OVERLAPS["parts side by side"](ot, b))
    with pytest.raises(ot.CaptureError):
        fn(*OVERLAPS["overlapping parts"](ot, b))
    fn(b[0][0, :4], b[1][0, :4])
    assert len(fn.variants) == 1


def test_memory_that_two_storages_share_is_refused() -> None:
    array = np.zeros(4)
    x, y = ot.from_numpy(array), ot.from_numpy(array)
    with pytest.raises(ot.CaptureError) as caught:
        ot.compile(lambda x, y: add_to_first(ot, x, y), verify="trust")(x, y)
    assert str(caught.value) == (
        "<lambda>: a tensor that the function changes in place shares memory with another one that "
        "it uses; clone() one of them"
    )


# Gradients of arguments.


def leaf(*shape: int, seed: int = 0) -> Any:
    array = np.random.default_rng(seed).standard_normal(shape)
    return ot.from_numpy(array).requires_grad_()


def test_gradients_go_to_the_argument_of_the_call() -> None:
    step = ot.compile(lambda x, scale: (x * x * scale).sum().backward())
    made = [leaf(3, seed=i) for i in range(3)]
    for i, x in enumerate([*made, *made]):
        step(x, float(i))
    for i, x in enumerate(made):
        np.testing.assert_allclose(x.grad.numpy(), 2 * x.detach().numpy() * (2 * i + 3))
    grads = [x.grad for x in made]
    assert len({id(g) for g in grads}) == 3


def test_a_grad_that_is_taken_off_is_that_of_the_argument() -> None:
    def clear(x: Any) -> None:
        x.grad = None

    cleared = ot.compile(clear)
    made = [leaf(3, seed=i) for i in range(3)]
    for x in made:
        x.grad = ot.ones(3, dtype=ot.float64)
    for x in made[:2]:
        cleared(x)
    assert [x.grad is None for x in made] == [True, True, False]


def test_a_grad_is_read_from_the_leaf_that_has_it() -> None:
    w = leaf(3)
    doubled = ot.compile(lambda: w.grad * 2)
    for value in (1.0, 2.0, 3.0):
        w.grad = ot.full((3,), value, dtype=ot.float64)
        np.testing.assert_array_equal(doubled().numpy(), np.full(3, 2 * value))


def test_backward_to_what_was_recorded_outside_is_refused() -> None:
    w = leaf(3)
    step = ot.compile(lambda h: (h * h).sum().backward(), verify="trust")
    step(leaf(3, seed=1))
    with pytest.raises(ot.CaptureError) as caught:
        step(w * 2)
    assert str(caught.value) == (
        "capture: backward leads to an input that a recorded op outside of the region made; call "
        "backward outside, compute that input inside, or detach() it "
        f"(at {__file__}:{step.fn.__code__.co_firstlineno})"
    )
    assert w.grad is None


def test_backward_to_what_was_recorded_outside_is_followed() -> None:
    w = leaf(3)
    step = ot.compile(lambda h: (h * h).sum().backward())
    for _ in range(3):
        step(w * 2)
    np.testing.assert_allclose(w.grad.numpy(), 3 * 8 * w.detach().numpy())


def test_a_returned_view_has_a_gradient() -> None:
    def fn(x: Any) -> Any:
        return x.t()[1], x * 2

    x, y = leaf(3, 2), leaf(3, 2)
    for given, f in ((x, ot.compile(fn)), (y, fn)):
        for _ in range(2):
            view, doubled = f(given)
            (view.sum() * 3 + (doubled * doubled).sum()).backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy())
