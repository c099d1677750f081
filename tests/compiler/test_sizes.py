"""Calls that differ in sizes: one variant for all of them, the same results as eager, and what
stays fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import nn, optim
from size_cases import ANY, DIM, FIXED, SIZES, Case, place_tables


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


def assert_close(given: Any, expected: Any) -> None:
    for a, b in zip(flat(given), flat(expected), strict=True):
        ours, wanted = a.detach().numpy(), b.detach().numpy()
        np.testing.assert_allclose(ours, wanted, rtol=2e-5, atol=2e-5)


def run(case: Case, sizes: tuple[int, ...]) -> Any:
    """The compiled function, after calls that are compared with eager ones."""
    place_tables()
    compiled = ot.compile(case.fn)
    for n in sizes:
        given = case.given(n)
        before = [g.clone() for g in given]
        assert_close(compiled(*given), case.fn(*before))
        assert_close(given, tuple(before))
    return compiled


@pytest.mark.parametrize("case", ANY, ids=lambda c: c.name)
def test_one_variant_serves_all_sizes(case: Case) -> None:
    compiled = run(case, tuple(SIZES))
    first, second = compiled.ledger
    assert not first.sizes and second.sizes[0].startswith("size N in [11, "), str(compiled.ledger)
    assert first.hits + second.hits == len(SIZES)
    assert len(compiled.variants) == len(set(SIZES))


@pytest.mark.parametrize("case", FIXED, ids=lambda c: c.name)
def test_what_depends_on_a_size_otherwise_stays_fixed(case: Case) -> None:
    compiled = run(case, (30, 64, 13, 16, 31, 17))
    assert len(compiled.ledger) > 2
    assert any("sizes are fixed" in s for r in compiled.ledger for s in r.sizes)


def test_the_ledger_names_the_line_that_fixes_a_size() -> None:
    compiled = ot.compile(lambda x: x * x.shape[0] ** 0.5)
    for n in (30, 64):
        compiled(ot.ones(n))
    (why,) = compiled.ledger[1].sizes
    assert why.startswith("sizes are fixed: ") and "test_sizes.py:" in why


def test_sizes_of_0_and_1_are_others() -> None:
    compiled = run(Case(lambda x: x.sum(0) * 2, lambda n: (ot.randn(n, 4),)), (1, 0, 30, 1, 64, 99))
    assert [bool(r.sizes) for r in compiled.ledger] == [False, False, False, True]


def test_two_sizes_vary_at_once_and_apart() -> None:
    compiled = ot.compile(lambda x, y: F.softmax(x @ y, -1).sum(0))
    for n, m in ((30, 70), (64, 20), (13, 90), (77, 77), (50, 31)):
        x, y = ot.randn(n, DIM), ot.randn(DIM, m)
        assert_close(compiled(x, y), F.softmax(x @ y, -1).sum(0))
    assert len(compiled.ledger) == 2
    assert [s[:7] for s in compiled.ledger[1].sizes] == ["size N ", "size M "]


def test_another_size_that_varies_makes_another_variant() -> None:
    compiled = ot.compile(lambda x: (x * 3).sum(0))
    for shape in ((30, 20), (64, 20), (13, 20), (13, 40), (64, 33), (21, 50)):
        x = ot.randn(*shape)
        assert_close(compiled(x), (x * 3).sum(0))
    assert len(compiled.ledger) == 3


def test_one_tensor_given_twice_is_one() -> None:
    case = Case(lambda x, y: x * 2 + y, lambda n: (ot.randn(n),) * 2)
    assert len(run(case, (30, 64, 13, 50)).ledger) == 2


def test_gradients_of_arguments_and_parameters() -> None:
    layer = nn.Linear(DIM, DIM)
    compiled = ot.compile(lambda x: F.gelu(layer(x)).square().mean(1))
    for n in SIZES:
        grads: list[list[Any]] = []
        given = ot.randn(3, n, DIM)
        for fn in (compiled, compiled.fn):
            x = given.clone().requires_grad_()
            layer.zero_grad()
            fn(x).sum().backward()
            grads.append([x.grad, *(p.grad.clone() for p in layer.parameters())])
        for ours, wanted in zip(*grads, strict=True):
            np.testing.assert_allclose(ours.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)
    assert len(compiled.ledger) == 2


class Reader(nn.Module):
    """A small transformer with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(50, DIM), nn.Embedding(160, DIM)
        self.norm, self.qkv = nn.LayerNorm(DIM), nn.Linear(DIM, 3 * DIM)
        self.head = nn.Linear(DIM, 50)

    def forward(self, x: Any, y: Any) -> Any:
        h = self.tok(x) + self.pos.weight[: x.shape[1]]
        q, k, v = self.qkv(self.norm(h)).reshape(*x.shape, 3, 2, -1).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + F.dropout(a.transpose(1, 2).flatten(2), 0.1, self.training)
        return F.cross_entropy(self.head(h).flatten(0, 1), y.flatten())


def train(compiled: bool) -> tuple[Any, list[float]]:
    """The step and its losses over many lengths; the same numbers each time."""
    ot.manual_seed(0)
    model = Reader()
    opt = optim.AdamW(model.parameters(), lr=1e-3)

    def step(x: Any, y: Any) -> Any:
        loss = model(x, y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss.detach()

    fn = ot.compile(step) if compiled else step
    losses: list[float] = []
    for n in SIZES:
        x, y = (ot.randint(0, 50, (4, n)) for _ in range(2))
        losses.append(fn(x, y).item())
    return fn, losses


def test_a_training_step_of_many_lengths() -> None:
    compiled, ours = train(True)
    _, wanted = train(False)
    np.testing.assert_allclose(ours, wanted, rtol=1e-4)
    assert len(compiled.ledger) == 2, str(compiled.ledger)
    assert {"fuse", "codegen"} <= compiled.ledger[1].seconds.keys()


def test_results_stay_after_calls_of_other_sizes() -> None:
    compiled = ot.compile(lambda x: (x @ x.transpose(0, 1)).exp().sum(1))
    kept = [(x, compiled(x)) for x in (ot.randn(n, DIM) * 0.1 for n in SIZES)]
    for x, result in kept:
        assert_close(result, compiled.fn(x))


def test_the_check_covers_any_size() -> None:
    compiled = ot.compile(lambda x: F.softmax(x, -1).sum(0), check=1)
    for n in SIZES:
        compiled(ot.randn(n, DIM))
    assert not compiled.mismatches and len(compiled.ledger) == 2


def test_stages_show_symbols_and_ranges() -> None:
    compiled = run(Case(lambda x: F.softmax(x, -1).sum(1), lambda n: (ot.randn(n, DIM),)), (30, 64))
    text = compiled.ir("simplified")
    assert text.startswith("// N in [11, ") and f"tensor<Nx{DIM}xf32>" in text
    assert "parallel %i to N" in compiled.ir("kernels")
    assert "variant 1 for N = 64: 1 calls" in str(compiled.explain())


def test_a_guard_that_fails_is_found_for_each_size() -> None:
    drop = nn.Dropout(0.5)
    compiled = ot.compile(lambda x: drop(x) * 2)
    for n in (30, 64, 13):
        compiled(ot.ones(n))
    drop.eval()
    for n in (30, 64, 13, 20):
        assert compiled(ot.ones(n)).tolist() == [2.0] * n


def test_recompiles_are_events_but_sizes_are_not() -> None:
    compiled = ot.compile(lambda x: x + 1, on_event={"recompile": "warn"})
    compiled(ot.ones(30))
    with pytest.warns(Warning, match="shape of argument 0 was"):
        compiled(ot.ones(64))
    compiled(ot.ones(20))
    with pytest.warns(Warning, match="dtype of argument 0 was"):
        compiled(ot.ones(20, dtype=ot.float64))


def test_trials_run_nothing() -> None:
    state = ot.zeros(3)

    def fn(x: Any) -> Any:
        if x.shape[0] in (30, 64):
            return x * 2
        raise ValueError("no such size")

    def step(x: Any) -> Any:
        state.add_(1)
        return fn(x)

    compiled = ot.compile(step)
    for n in (30, 64):
        compiled(ot.ones(n))
    assert state.tolist() == [2.0] * 3
    (why,) = compiled.ledger[1].sizes
    assert "no such size" in why
    with pytest.raises(ValueError, match="no such size"):
        compiled(ot.ones(31))


def test_sizes_that_are_too_many_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ostinato.compiler.compiled.MOST_SIZES", 3)
    compiled = ot.compile(lambda x: x * 3)
    for n in (20, 30, 40, 50, 60, 30, 20):
        assert compiled(ot.ones(n)).tolist() == [3.0] * n
    assert len(compiled.ledger) == 2 and len(compiled.variants) == 4
    assert sum(r.hits for r in compiled.ledger) == 7
