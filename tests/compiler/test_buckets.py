"""Arguments that are padded to buckets: the same results as eager ops at each size, nothing of the
padding in them, and what cannot be padded refused with its line."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from bucket_cases import FEW, HEAD, REFUSED, RIGHT, SIZES, Case
from ostinato import nn, optim
from ostinato.compiler.padding.replays import Padding
from ostinato.passes.padding import mask, node, rules, rules_parts, track
from ostinato.passes.padding.neutral import zero
from ostinato.passes.padding.node import Tracked
from ostinato.runtime import _C


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def assert_equal(given: Any, expected: Any, size: int, tolerance: float = 2e-5) -> None:
    for i, (a, b) in enumerate(zip(flat(given), flat(expected), strict=True)):
        if not isinstance(b, ot.Tensor):
            assert a == b
            continue
        assert (a.shape, a.dtype) == (b.shape, b.dtype), (i, size)
        ours, wanted = a.detach().cpu().numpy(), b.detach().cpu().numpy()
        where = f"result {i}, size {size}"
        np.testing.assert_allclose(ours, wanted, tolerance, tolerance, err_msg=where)


def run(case: Case, sizes: tuple[int, ...] = SIZES, tolerance: float = 2e-5) -> Any:
    """The compiled function, after calls that are compared with eager ones."""
    compiled = ot.compile(case.fn, dims=case.dims)
    ot.manual_seed(0)  # a place that is wrong may be right by chance
    for n in sizes:
        given = case.given(n)
        assert_equal(compiled(*given), case.fn(*given), n, tolerance)
    return compiled


def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is padded holds the worst there is, and nobody counts on zeros."""

    def grown(self: Padding, given: Any, axes: Any) -> Any:
        plain = given_zeros(self, given, axes)
        if plain is given:
            return given
        worst = (
            float("nan")
            if given.dtype.is_floating_point
            else True
            if given.dtype is ot.bool
            else 2**62
        )
        filled = ot.full(plain.shape, worst, dtype=given.dtype)
        filled[tuple(slice(n) for n in given.shape)] = given
        return filled

    def arguments(self: Any) -> None:
        with_zeros(self)
        self.known = {value: Tracked(t.axes) for value, t in self.known.items()}

    given_zeros, with_zeros = Padding.grown, track._Tracking._arguments
    monkeypatch.setattr(Padding, "grown", grown)
    monkeypatch.setattr(track._Tracking, "_arguments", arguments)


@pytest.mark.parametrize("case", RIGHT, ids=lambda c: c.name)
def test_each_size_gives_what_eager_ops_give(case: Case) -> None:
    compiled = run(case)
    padded = [r for r in compiled.ledger if any(s.startswith("bucket ") for s in r.sizes)]
    assert len(padded) == 2, str(compiled.ledger)


@pytest.mark.parametrize("case", RIGHT, ids=lambda c: c.name)
def test_no_padding_comes_into_results(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding is NaN here, or the largest integer, where it is zeros otherwise."""
    poison(monkeypatch)
    run(case, SIZES[:4])


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c.name)
def test_what_cannot_be_padded_is_refused_with_its_line(case: Case) -> None:
    with pytest.raises(ot.CaptureError) as raised:
        ot.compile(case.fn, dims=case.dims)(*case.given(30))
    line = inspect.getsourcelines(case.fn)[1] + 1
    at = f"{inspect.getsourcefile(case.fn)}:{line}"
    assert str(raised.value) == HEAD.format(name=case.name) + case.why.format(line=at)


def without_masks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(node.Node, "mask", lambda *args: None)


def zeros_for_all(patch: pytest.MonkeyPatch) -> None:
    for name in ("amax", "amin", "argmax", "argmin", "prod", "all"):
        patch.setitem(rules._NEUTRAL, name, zero)


def sizes_of_the_bucket(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Padding, "numbers", property(lambda p: [_C.number(n.at(p.plan.padded))
                                                          for n in p.plan.numbers]))  # fmt: skip


def equal_axes_padded_behind(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "is_run", lambda axis: True)


def products_unmasked(patch: pytest.MonkeyPatch) -> None:
    def rule(given: Any) -> Any:
        patch.setattr(node.Node, "mask", lambda *args: None)
        found = right(given)
        patch.setattr(node.Node, "mask", masked)
        return found

    right, masked = rules._RULES["matmul"], node.Node.mask
    patch.setitem(rules._RULES, "matmul", rule)


def places_unmasked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules_parts, "_mask_index", lambda *args: None)


def all_axes_in_front(patch: pytest.MonkeyPatch) -> None:
    def inside(axis: Any, sizes: Any, numbers: Any) -> Any:
        return right(tuple(sorted(axis, key=lambda f: isinstance(f, int))), sizes, numbers)

    right = mask._inside
    patch.setattr(mask, "_inside", inside)


PLANTED = {
    without_masks: "sums", zeros_for_all: "extremes", sizes_of_the_bucket: "scaled_by_the_size",
    equal_axes_padded_behind: "place_in_all", products_unmasked: "gradients_inside",
    places_unmasked: "learned_words", all_axes_in_front: "flattened_behind",
}  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED, ids=lambda p: p.__name__)
def test_a_wrong_rule_is_found_by_the_table(
    plant: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))  # wrong Programs are not kept for others
    poison(monkeypatch)
    plant(monkeypatch)
    case = next(c for c in (*RIGHT, *REFUSED) if c.name == PLANTED[plant])
    with pytest.raises((AssertionError, IndexError)):
        run(case, SIZES[:4])


# Training, and what lies around a region.


class Reader(nn.Module):
    """A small transformer; `spans` has its queries see all keys."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.tok, self.pos = nn.Embedding(50, 12), nn.Embedding(64, 12)
        self.norm, self.qkv = nn.LayerNorm(12), nn.Linear(12, 36)
        self.head = nn.Linear(12, 50)

    def forward(self, x: Any, y: Any) -> Any:
        h = self.tok(x) + self.pos.weight[: x.shape[1]]
        q, k, v = self.qkv(self.norm(h)).reshape(*x.shape, 3, 2, -1).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        h = h + a.transpose(1, 2).flatten(2)
        return F.cross_entropy(self.head(h).flatten(0, 1), y.flatten())


def trained(dims: Any, causal: bool) -> tuple[Any, list[float], list[Any]]:
    """The step, its losses and the parameters after steps of many sizes."""
    ot.manual_seed(0)
    model = Reader(causal)
    opt = optim.SGD(model.parameters(), lr=0.3, momentum=0.9)

    def step(batch: Any) -> Any:
        loss = model(batch["x"], batch["y"])
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss.detach()

    fn = ot.compile(step, dims=dims) if dims else step
    losses: list[Any] = []
    for rows_, n in ((4, 13), (4, 20), (3, 40), (4, 16), (2, 7), (4, 33), (4, 13)):
        losses.append(fn({"x": ot.randint(0, 50, (rows_, n)), "y": ot.randint(0, 50, (rows_, n))}))
    return fn, [loss.item() for loss in losses], list(model.parameters())


LENGTHS = ot.Bucket(16, 48)
BATCHES = ot.Bucket(4)
STEPS = {"the length": {1: LENGTHS}, "the batch": {0: BATCHES}, "both": {0: BATCHES, 1: LENGTHS}}


@pytest.mark.parametrize(("padded", "causal"), [
    ("the length", True), ("the length", False), ("the batch", False), ("both", True),
])  # fmt: skip
def test_a_training_step_learns_the_same(padded: str, causal: bool) -> None:
    dims = dict.fromkeys(("batch.x", "batch.y"), STEPS[padded])
    compiled, ours, parameters = trained(dims, causal)
    _, wanted, expected = trained(None, causal)
    np.testing.assert_allclose(ours, wanted, rtol=1e-4)
    for a, b in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-3, 1e-4)
    if padded == "both":
        assert len(compiled.ledger) == 2, str(compiled.ledger)


def test_gradients_go_through_padding_to_arguments_and_parameters() -> None:
    layer = nn.Linear(6, 6)

    def fn(x: Any) -> Any:
        y = F.gelu(layer(x)).exp()
        return y.flatten(0, 1), y.mean(1), F.softmax(y, 1)

    compiled = ot.compile(fn, dims={"x": {1: ot.Bucket(16, 40)}})
    for n in (5, 16, 33, 5):
        given, grads = ot.randn(3, n, 6), []
        for call in (compiled, fn):
            x = given.clone().requires_grad_()
            layer.zero_grad()
            one, two, three = ((r * r.detach().cos()).sum() for r in call(x))
            (one + two + three).backward()
            grads.append([x.grad, *(p.grad.clone() for p in layer.parameters())])
        assert_equal(grads[0], grads[1], n)
    assert len(compiled.ledger) == 2


def test_the_grad_of_an_argument_is_left_behind() -> None:
    def fn(x: Any) -> None:
        (x * x).mean().backward()

    compiled = ot.compile(fn, dims={"x": {0: ot.Bucket(8)}})
    for n in (3, 8, 5):
        x = ot.randn(n, requires_grad=True)
        for times in (1, 2):
            compiled(x)
            assert_equal(x.grad, x.detach() * 2 * times / n, n)


def test_two_axes_are_padded_apart() -> None:
    def fn(x: Any, y: Any) -> Any:
        return F.softmax(x @ y, 1).sum(0), (x @ y).amax(), x.shape[0] * y.sum()

    dims = {"x": {0: ot.Bucket(16, 32)}, "y": {-1: ot.Bucket(24)}}
    compiled = ot.compile(fn, dims=dims)
    for n, m in ((5, 7), (16, 24), (20, 9), (9, 9), (3, 11)):
        given = ot.randn(n, 6), ot.randn(6, m)
        assert_equal(compiled(*given), fn(*given), n)
    first, second = compiled.ledger
    assert first.sizes == ["bucket N in [1, 16] padded to 16: axis 0 of x",
                           "bucket M in [1, 24] padded to 24: axis 1 of y"]  # fmt: skip
    assert second.sizes[0] == "bucket N in [17, 32] padded to 32: axis 0 of x"
    assert (first.hits, second.hits) == (4, 1)


def test_what_closures_and_attributes_hold_is_read_as_it_is() -> None:
    holder = nn.Linear(4, 4)
    compiled = ot.compile(lambda x: holder(x).sum(0), dims={"x": {0: ot.Bucket(16)}})
    for n in (3, 9, 9):
        x = ot.randn(n, 4)
        assert_equal(compiled(x), holder(x).sum(0), n)
        holder.weight = nn.Parameter(ot.randn(4, 4))
    assert len({id(v.built.family) for v in compiled.variants}) == 1


def test_arguments_come_by_keyword_in_containers_or_twice() -> None:
    def fn(x: Any, *more: Any, scale: Any) -> Any:
        return (x + more[0] + more[1]).exp().sum(0) * scale["by"].sum()

    bucket = ot.Bucket(16)
    dims = {"x": {0: bucket}, "more.0": {0: bucket}, "more.1": {0: bucket}, "scale.by": {0: bucket}}
    compiled = ot.compile(fn, dims=dims)
    for n in (3, 16, 9):
        x, by = ot.randn(n, 2), {"by": ot.randn(n)}
        assert_equal(compiled(x, x, x * 2, scale=by), fn(x, x, x * 2, scale=by), n)
    assert len(compiled.ledger) == 1


def test_results_that_are_arguments_or_numbers_are_those_of_the_call() -> None:
    compiled = ot.compile(lambda x: (x, x[1:], x.shape[0], {"y": x + 1}), dims={"x": {0: FEW}})
    for n in (3, 20, 3):
        x = ot.randn(n)
        same, part, size, made = compiled(x)
        assert same is x and size == n and part.tolist() == x[1:].tolist()
        assert made["y"].tolist() == (x + 1).tolist()
        x[1] = 9.0
        assert part[0].item() == 9.0


def test_results_stay_as_they_are() -> None:
    compiled = ot.compile(lambda x: (x * 2, x.sum(0)), dims={"x": {0: FEW}})
    kept = [(x, compiled(x)) for x in (ot.randn(n, 3) for n in (3, 20, 3, 16, 7))]
    for x, results in kept:
        assert_equal(results, (x * 2, x.sum(0)), len(x))


# What is told.


def test_sizes_in_a_bucket_are_no_recompile() -> None:
    compiled = ot.compile(
        lambda x: x.sum(0), dims={"x": {0: ot.Bucket(16, 32)}}, on_event={"recompile": "raise"}
    )
    for n in (3, 9, 16):
        compiled(ot.ones(n, 2))
    why = "recompile: <lambda>: shape of argument 0 was (16, 2), is (17, 2)"
    with pytest.raises(ot.CaptureError, match=re.escape(why)):
        compiled(ot.ones(17, 2))


def test_sizes_beyond_the_largest_have_variants_of_their_own() -> None:
    compiled = ot.compile(lambda x: x.sum(0), dims={"x": {0: ot.Bucket(8)}})
    for n in (5, 9, 0):
        assert compiled(ot.ones(n, 2)).tolist() == [n, n]
    assert [r.sizes[0] for r in compiled.ledger] == [
        "bucket N in [1, 8] padded to 8: axis 0 of x",
        "sizes are fixed: axis 0 of x has 9, more than the largest of Bucket(8)",
        "sizes are fixed: axis 0 of x is empty",
    ]


def test_a_size_that_makes_other_ops_has_a_variant_of_its_own() -> None:
    def fn(x: Any) -> Any:
        return x * 3 if x.shape[0] == 5 else x * 2

    compiled = ot.compile(fn, dims={"x": {0: ot.Bucket(16)}})
    for n in (4, 5, 6):
        assert compiled(ot.ones(n)).tolist() == fn(ot.ones(n)).tolist()
    assert [r.sizes[0] for r in compiled.ledger] == [
        "bucket N in [1, 16] padded to 16: axis 0 of x",
        "sizes are fixed: this size makes other ops than those around it",
    ]


def test_the_check_covers_padding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    right = ot.compile(lambda x: x.exp().sum(0), dims={"x": {0: ot.Bucket(16)}}, check=1)
    for n in (3, 16, 9):
        right(ot.randn(n, 2))
    assert not right.mismatches
    without_masks(monkeypatch)
    wrong = ot.compile(lambda x: x.exp().sum(0), dims={"x": {0: ot.Bucket(16)}}, check="first")
    with pytest.warns(ot.CheckWarning, match="pass 'mask_padding' made it wrong"):
        assert wrong(ot.zeros(3, 2)).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("verify", ("trust", "follow", 0.5))
def test_every_way_to_run_is_right(verify: Any) -> None:
    compiled = ot.compile(lambda x: x.mean(0), dims={"x": {0: ot.Bucket(16)}}, verify=verify)
    for n in (3, 5, 3, 5, 3):
        x = ot.randn(n, 2)
        assert_equal(compiled(x), x.mean(0), n)


def test_stages_show_masks() -> None:
    compiled = run(Case(lambda x: x.exp().sum(0), lambda n: (ot.randn(n, 3),)), (5, 7))
    assert "ot.where" in compiled.ir("masked") and "ot.where" not in compiled.ir("decomposed")
    assert "variant 1 for N = 7 padded to 16: 1 calls" in str(compiled.explain())


WRONG = {
    "no sizes": (lambda: ot.Bucket(), "Bucket(): give one or more sizes, ints from 1 on"),
    "a size of 0": (lambda: ot.Bucket(0, 4), "Bucket(0, 4): give one or more sizes, ints from 1 "
                    "on"),
    "no bucket": (lambda: ot.compile(rows_of, dims=cast("Any", {"x": {0: 64}})),
                  "compile: dims['x'] is {0: 64}; give a Bucket for each axis, as in "
                  "{0: Bucket(64, 128)}"),
    "another name": (lambda: ot.compile(rows_of, dims={"z": {0: FEW}}),
                     "compile: dims names 'z', and rows_of takes x, more"),
    "no tensor": (lambda: ot.compile(rows_of, dims={"more": {0: FEW}})(ot.ones(2), [ot.ones(3)]),
                  "rows_of: dims names 'more', which this call gives no tensor for; it has x, "
                  "more.0"),
    "no axis": (lambda: ot.compile(rows_of, dims={"x": {1: FEW}})(ot.ones(2)),
                "rows_of: dims names axis 1 of x, which has shape (2,)"),
}  # fmt: skip


def rows_of(x: Any, more: Any = None) -> Any:
    return x * 2


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_dims_is_said(wrong: str) -> None:
    act, text = WRONG[wrong]
    with pytest.raises(ValueError) as raised:
        act()
    assert str(raised.value) == text
