"""`ot.fuse` and `ot.nofuse`: what is pinned is so in the kernels, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato.ir.text import parse_module, print_module
from ostinato.nn import functional as F

Fn = Callable[..., Any]
X, SQUARE = (64, 48), (64, 64)


def across_a_call(fuse: Fn) -> Fn:
    def fn(x: Any) -> Any:
        product = x @ x
        with fuse():
            return F.softmax(x, dim=-1) * product

    return fn


def recomputed(fuse: Fn) -> Fn:
    def fn(x: Any) -> Any:
        with fuse():
            y = x
            for _ in range(17):
                y = y.sin().exp()
            return y + y.flip(0) + y.flip(1)

    return fn


def many_readers(fuse: Fn) -> Fn:
    def fn(x: Any) -> Any:
        with fuse():
            y = x.sum()
            return y.sin(), y.cos(), y.exp(), y + 1, y * y, y.tanh(), y.neg()

    return fn


def side_by_side(fuse: Fn) -> Fn:
    def fn(x: Any) -> Any:
        with fuse():
            a = x[:32].exp()
            b = x[32:].sin()
        return a, b

    return fn


def with_a_composite(fuse: Fn) -> Fn:
    def fn(x: Any) -> Any:
        with fuse():
            y = F.layer_norm(x, (x.shape[-1],))
            return F.gelu(y) * 2

    return fn


FUSED: dict[str, tuple[Fn, tuple[int, ...]]] = {
    "across a call": (across_a_call, SQUARE),
    "recomputed": (recomputed, (512, 512)),
    "many readers": (many_readers, X),
    "side by side": (side_by_side, X),
    "a composite": (with_a_composite, X),
}
NOT_BY_THEMSELVES = ("across a call", "recomputed", "many readers", "side by side")


class Plain:
    """Pins nothing."""

    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...


def kernels_of(compiled: Any) -> int:
    (variant,) = compiled.explain().variants
    return sum(k.launches for k in variant.programs[0].kernels if k.kind == "kernel")


def arrays(result: Any) -> list[Any]:
    return [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize("name", FUSED)
def test_what_is_to_be_one_kernel_is_one(name: str) -> None:
    make, shape = FUSED[name]
    x = ot.from_numpy(np.random.default_rng(0).standard_normal(shape).astype("float32"))
    compiled, plain = ot.compile(make(ot.fuse)), ot.compile(make(Plain))
    for got, wanted in zip(arrays(compiled(x)), arrays(make(ot.fuse)(x)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-6)
    plain(x)
    assert kernels_of(compiled) == 1
    assert (kernels_of(plain) > 1) == (name in NOT_BY_THEMSELVES)


def a_call(x: Any) -> Any:
    with ot.fuse():
        return (x @ x).exp()


def around_a_call(x: Any) -> Any:
    with ot.fuse():
        y = x.sum(dim=1, keepdim=True)
        with ot.nofuse():
            m = y @ y.T
        return y + m


def unfinished(x: Any) -> Any:
    with ot.fuse():
        return x - x.sum(dim=0, keepdim=True)


def other_loops(x: Any) -> Any:
    with ot.fuse():
        return F.softmax(F.softmax(x, dim=-1).reshape(32, 128), dim=-1)


def other_elements(x: Any) -> Any:
    with ot.fuse():
        y = x.cumsum(0) if False else F.softmax(x, dim=-1)
        return y.amax(dim=-1) + y.amax(dim=0)


REFUSED: list[tuple[Fn, str, int, str, int, str]] = [
    (a_call, "matmul", 2, "exp", 2, "call: one of them is a call of a native kernel"),
    (around_a_call, "sum", 2, "add", 5,
     "cycle: something between them would have to run inside of the kernel"),
    (unfinished, "sum", 2, "sub", 2,
     "unfinished: the reduction is complete only after all iterations"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fn", "first", "at", "second", "then", "why"), REFUSED, ids=[r[0].__name__ for r in REFUSED]
)
def test_what_cannot_be_one_kernel_is_refused(
    fn: Fn, first: str, at: int, second: str, then: int, why: str
) -> None:
    start: int = fn.__code__.co_firstlineno  # type: ignore[attr-defined]
    with pytest.raises(ot.CompileError) as error:
        ot.compile(fn)(ot.randn(*SQUARE))
    assert str(error.value) == (
        f"fuse: {first} at {__file__}:{start + at} and {second} at {__file__}:{start + then} "
        f"cannot be in one kernel ({why}); take one of them out of `with ot.fuse()`"
    )


@pytest.mark.parametrize("fn", [other_loops, other_elements])
def test_loops_that_differ_are_refused(fn: Fn) -> None:
    with pytest.raises(ot.CompileError, match="cannot be in one kernel"):
        ot.compile(fn)(ot.randn(*SQUARE))


def fenced(x: Any) -> Any:
    y = x + 1
    with ot.nofuse():
        y = F.gelu(y) * y
    return y.exp()


def test_what_is_fenced_off_is_a_kernel_apart() -> None:
    x = ot.randn(*X)
    compiled = ot.compile(fenced)
    np.testing.assert_allclose(compiled(x).numpy(), fenced(x).numpy(), rtol=1e-5)
    assert kernels_of(compiled) == 3
    (variant,) = compiled.explain().variants
    assert {u.reason for u in variant.programs[0].unfused} == {"pinned"}


def test_gradients_of_pinned_ops_are_those_of_eager_code() -> None:
    def loss(x: Any) -> Any:
        with ot.fuse():
            y = x.sin() * 2
            y = y * y.flip(0)
        with ot.nofuse():
            return (y.exp() * x).sum()

    a, b = (ot.from_numpy(np.linspace(-1, 1, 48, dtype="float64").reshape(6, 8)) for _ in range(2))
    for x, fn in ((a, loss), (b, ot.compile(loss))):
        x.requires_grad = True
        fn(x).backward()
    assert a.grad is not None
    assert b.grad is not None
    np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), rtol=1e-12)


def test_a_block_that_is_entered_or_not_is_two_variants() -> None:
    def fn(x: Any, apart: bool) -> Any:
        with ot.nofuse() if apart else ot.no_grad():
            y = x.exp()
        return y + 1

    compiled = ot.compile(fn)
    x = ot.randn(*X)
    for apart in (True, False, True):
        np.testing.assert_allclose(compiled(x, apart).numpy(), np.exp(x.numpy()) + 1, rtol=1e-6)
    found = [sum(k.launches for k in v.programs[0].kernels) for v in compiled.explain().variants]
    assert found == [2, 1]


def test_a_followed_function_keeps_its_pins_apart() -> None:
    def fn(x: Any, apart: Any) -> Any:
        with ot.nofuse() if apart.sum().item() > 0 else ot.fuse():
            y = x.exp()
        return y + 1

    compiled = ot.compile(fn)
    x = ot.randn(*X)
    for sign in (1.0, -1.0, 1.0):
        np.testing.assert_allclose(
            compiled(x, ot.full((2,), sign)).numpy(), np.exp(x.numpy()) + 1, rtol=1e-6
        )
    (followed,) = compiled.explain().followed
    launches = [sum(k.launches for k in r.programs[0].kernels) for r in followed.regions]
    assert launches == [1, 2, 1]


def test_blocks_of_a_loop_are_kernels_of_their_own() -> None:
    def fn(x: Any) -> Any:
        for _ in range(3):
            with ot.nofuse():
                x = x.sin()
        return x

    compiled = ot.compile(fn)
    x = ot.randn(*X)
    np.testing.assert_allclose(compiled(x).numpy(), fn(x).numpy(), rtol=1e-6)
    assert kernels_of(compiled) == 3


def test_pins_are_in_the_text_and_read_back() -> None:
    compiled = ot.compile(fenced)
    compiled(ot.randn(*X))
    for stage in ("captured", "simplified"):
        text = compiled.ir(stage)
        assert "ot.pin = -1 : i64" in text
        assert print_module(parse_module(text, "text")) == text
    for stage in ("fused", "kernels"):
        pinned = [line for line in compiled.ir(stage).splitlines() if "ot.pin" in line]
        assert len(pinned) == 1, "the fusion, then its launch, so that no batch takes it in"
    assert "ot.pin" not in compiled.ir("planned")


def test_an_error_inside_leaves_nothing_pinned() -> None:
    def fn(x: Any) -> Any:
        try:
            with ot.nofuse():
                raise ValueError
        except ValueError:
            return x.exp() + 1

    compiled = ot.compile(fn)
    compiled(ot.randn(*X))
    assert kernels_of(compiled) == 1


def test_in_eager_code_a_block_does_nothing() -> None:
    with ot.fuse(), ot.nofuse():
        assert (ot.ones(2) @ ot.ones(2)).exp().item() == pytest.approx(np.exp(2.0))
