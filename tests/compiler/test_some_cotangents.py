"""Backward over some of the results of a compiled function: the gradients that torch has, None for
what no cotangent leads to, by a Program that is made when it is first needed."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
from both_libraries import close, pairs, weighted
from ostinato.ir.errors import CompileError

Fn = Callable[..., Any]


def apart(lib: Any, x: Any, w: Any, v: Any) -> Any:
    """The gradient of the first result is infinite at 0; v leads to the last one alone."""
    return x.log(), x * w, (v * 2).exp()


def chained(lib: Any, x: Any, w: Any, v: Any) -> Any:
    h = (x * w).tanh()
    return h, h.sum() * v, (h * v).square().mean()


def one_of_many(lib: Any, x: Any, w: Any, v: Any) -> Any:
    return [part * v[:1] for part in lib.split(x * w, 2)] + [x.cumsum(0) / w]


FUNCTIONS: dict[str, Fn] = {"apart": apart, "chained": chained, "one of many": one_of_many}


def grads(lib: Any, fn: Fn, leaves: Sequence[Any], used: Sequence[int]) -> list[Any]:
    """The gradients of `leaves` after backward over the results `used`."""
    for leaf in leaves:
        leaf.grad = None
    made = fn(*leaves)
    loss: Any = sum((weighted(lib, made[i]) for i in used), start=lib.tensor(0.0))
    loss.backward()
    return [leaf.grad for leaf in leaves]


def same(got: Sequence[Any], want: Sequence[Any]) -> None:
    for a, b in zip(got, want, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            close(a, b)


def leaves_at_zero(seed: int = 0) -> tuple[list[Any], list[torch.Tensor]]:
    ours, theirs = pairs((5,), (5,), (5,), seed=seed)
    with torch.no_grad(), ot.no_grad():
        ours[0][1] = 0
        theirs[0][1] = 0
        ours[0].abs_()
        theirs[0].abs_()
    return ours, theirs


USED = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_torchs(name: str) -> None:
    """Each set often enough that backward runs by the Program of a tape in the end."""
    fn = FUNCTIONS[name]
    compiled = ot.compile(lambda x, w, v: fn(ot, x, w, v))
    ours, theirs = leaves_at_zero()
    for used in USED * 5:
        got = grads(ot, compiled, ours, used)
        same(got, grads(torch, lambda *a: fn(torch, *a), theirs, used))
    assert len(compiled.variants) == 1
    (variant,) = compiled.variants
    titles = [part.title for part in variant.built.parts]
    whole = tuple(range(len(compiled(*ours))))
    assert len(titles) == len({*titles}) == 2 + len({*USED} - {whole})


def test_of_what_is_followed_too() -> None:
    def fn(lib: Any, x: Any, w: Any, v: Any) -> Any:
        h = x * w
        away = h.detach().abs().amax()
        if float(away) < -1:
            return h
        return ((h * v).sum(), h.log())

    compiled = ot.compile(lambda x, w, v: fn(ot, x, w, v))
    ours, theirs = leaves_at_zero()
    for used in [(0,), (1,), (0, 1)] * 3:
        got = grads(ot, compiled, ours, used)
        same(got, grads(torch, lambda *a: fn(torch, *a), theirs, used))


def test_of_any_sizes() -> None:
    """The Programs of a family are made once for all of its sizes."""
    compiled = ot.compile(lambda x, w, v: chained(ot, x, w, v))
    for size in (20, 37, 64, 51):
        ours, theirs = pairs((size,), (size,), (size,), seed=size)
        for used in [(1,), (0, 2)]:
            got = grads(ot, compiled, ours, used)
            same(got, grads(torch, lambda *a: chained(torch, *a), theirs, used))
    families = {id(v.built.family): v.built.family for v in compiled.variants}
    (family,) = (f for f in families.values() if f is not None)
    assert [*family.programs.narrowed] == [(1,), (0, 2)]
    assert "N" in compiled.ir("backward of result 1: fused")


def test_of_padded_sizes() -> None:
    bucket = {0: ot.Bucket(8)}
    compiled = ot.compile(
        lambda x, w, v: chained(ot, x, w, v), dims={"x": bucket, "w": bucket, "v": bucket}
    )
    for size in (5, 7):
        ours, theirs = pairs((size,), (size,), (size,), seed=size)
        for used in [(1,), (0, 2), (0, 1, 2)]:
            got = grads(ot, compiled, ours, used)
            same(got, grads(torch, lambda *a: chained(torch, *a), theirs, used))


def test_a_graph_that_is_retained_may_be_asked_for_others_later() -> None:
    compiled = ot.compile(lambda x, w, v: apart(ot, x, w, v))
    ours, theirs = leaves_at_zero()
    got, want = compiled(*ours), apart(torch, *theirs)
    for i in (1, 2, 1):
        weighted(ot, got[i]).backward(retain_graph=True)
        weighted(torch, want[i]).backward(retain_graph=True)
        same([t.grad for t in ours], [t.grad for t in theirs])


def test_threads_that_need_the_same_at_once() -> None:
    compiled = ot.compile(lambda x, w, v: apart(ot, x, w, v))
    ours, theirs = leaves_at_zero()
    compiled(*ours)
    start, found = threading.Barrier(4), {}

    def work(number: int) -> None:
        leaves, _ = leaves_at_zero()
        start.wait()
        found[number] = grads(ot, compiled, leaves, [number % 2 + 1])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for number, got in found.items():
        want = grads(torch, lambda *a: apart(torch, *a), theirs, [number % 2 + 1])
        same(got, want)
    assert len(found) == 4


def backward_of_second() -> tuple[Any, list[Any]]:
    compiled = ot.compile(lambda x, w, v: apart(ot, x, w, v))
    ours, _ = leaves_at_zero()
    return compiled, [None if g is None else g.numpy() for g in grads(ot, compiled, ours, [1])]


def test_each_has_an_entry_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    first, want = backward_of_second()
    assert len([*tmp_path.iterdir()]) == 2
    second, got = backward_of_second()
    np.testing.assert_equal(got, want)
    made, loaded = ([*c.variants[0].built.parts[2].seconds] for c in (first, second))
    assert "narrow" in made and loaded == ["load"]


def test_one_that_does_not_fit_the_forward_program_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    compiled = ot.compile(lambda x, w, v: apart(ot, x, w, v))
    ours, _ = leaves_at_zero()
    made = compiled(*ours)
    compiled.variants[0].built.parts[1].spec["halves"] = "another"
    with pytest.raises(CompileError, match=r"backward of result 1 does not fit.*remove"):
        made[1].sum().backward()


def test_they_can_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    compiled, _ = backward_of_second()
    (region,) = compiled.explain().variants
    assert [p.part for p in region.programs] == ["forward", "backward", "backward of result 1"]
    assert "backward of result 1" in {k.part for k in compiled.kernels()}
    text = compiled.ir("backward of result 1: fused")
    assert "gradient1" in text and "gradient0" not in text
    assert compiled.ledger[0].seconds["narrow"] > 0


def test_they_are_dumped_and_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_DUMP", str(tmp_path))
    _, before = backward_of_second()
    folders = {f.parent: json.loads(f.read_text()) for f in tmp_path.glob("*/steps.json")}
    (narrowed,) = [f for f, steps in folders.items() if steps[0]["made_by"] == "narrow"]
    file = narrowed / "0-backward-narrowed.mlir"
    text = file.read_text()
    assert text.count("ot.mul") == 2
    file.write_text(text.replace("ot.mul", "ot.add", 1))
    monkeypatch.delenv("OSTINATO_DUMP")
    monkeypatch.setenv("OSTINATO_REPLACE", str(tmp_path))
    compiled, after = backward_of_second()
    assert not all(np.array_equal(a, b) for a, b in zip(after[:2], before[:2], strict=True))
    assert compiled.variants[0].built.edited == (f"{narrowed.name}/{file.name}",)


def test_an_edit_of_a_step_that_they_do_not_go_through_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_DUMP", str(tmp_path))
    _, before = backward_of_second()
    every = tmp_path.glob("*/*-backward-fused.mlir")
    (file,) = (f for f in every if (f.parent / "0-captured.mlir").exists())
    file.write_text(file.read_text() + "\n// looked at\n")
    monkeypatch.delenv("OSTINATO_DUMP")
    monkeypatch.setenv("OSTINATO_REPLACE", str(tmp_path))
    with pytest.warns(UserWarning, match="is not in backward of result 1"):
        _, after = backward_of_second()
    np.testing.assert_equal(after, before)


def test_nothing_is_held_by_them() -> None:
    """A model that holds what was compiled of it is collected."""

    class Model:
        def __init__(self) -> None:
            self.w = ot.ones(3, requires_grad=True)
            self.forward = ot.compile(lambda x: (x * self.w, self.w.exp()))

    model = Model()
    model.forward(ot.ones(3))[0].sum().backward()
    seen = weakref.ref(model)
    del model
    gc.collect()
    assert seen() is None
