"""Layers and module trees against PyTorch's, with the same weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import nn

Made = Callable[[Any], Any]

# Each is written once, over the module `nn` of either library.
LAYERS: dict[str, tuple[Made, tuple[int, ...]]] = {
    "Linear": (lambda n: n.Linear(5, 3), (2, 4, 5)),
    "Linear without bias": (lambda n: n.Linear(5, 3, bias=False), (4, 5)),
    "LayerNorm": (lambda n: n.LayerNorm(6), (3, 6)),
    "LayerNorm over two axes": (lambda n: n.LayerNorm((4, 6), eps=1e-3), (3, 4, 6)),
    "LayerNorm, no weights": (lambda n: n.LayerNorm(6, elementwise_affine=False), (3, 6)),
    "LayerNorm without bias": (lambda n: n.LayerNorm(6, bias=False), (3, 6)),
    "RMSNorm": (lambda n: n.RMSNorm(6), (3, 6)),
    "RMSNorm with eps": (lambda n: n.RMSNorm(6, eps=1e-2, elementwise_affine=False), (3, 6)),
    "GELU": (lambda n: n.GELU(), (3, 7)),
    "GELU by tanh": (lambda n: n.GELU(approximate="tanh"), (3, 7)),
    "ReLU": (lambda n: n.ReLU(), (3, 7)),
    "LeakyReLU": (lambda n: n.LeakyReLU(0.2), (3, 7)),
    "SiLU": (lambda n: n.SiLU(), (3, 7)),
    "Tanh": (lambda n: n.Tanh(), (3, 7)),
    "Sigmoid": (lambda n: n.Sigmoid(), (3, 7)),
    "Softmax": (lambda n: n.Softmax(dim=0), (3, 7)),
    "Identity": (lambda n: n.Identity(54, unused=True), (3, 7)),
    "Flatten": (lambda n: n.Flatten(), (2, 3, 4)),
    "Flatten in part": (lambda n: n.Flatten(0, 1), (2, 3, 4)),
    "Dropout of nothing": (lambda n: n.Dropout(0.0), (3, 7)),
    "Dropout of all": (lambda n: n.Dropout(1.0), (3, 7)),
    "Dropout in evaluation": (lambda n: n.Dropout(0.7).eval(), (3, 7)),
    "Sequential": (lambda n: n.Sequential(n.Linear(5, 4), n.Tanh(), n.Linear(4, 2)), (3, 5)),
}


def numpy_of(t: Any) -> Any:
    return t.detach().numpy()


def copy_weights(ours: Any, theirs: Any) -> None:
    state = {name: ot.tensor(numpy_of(value)) for name, value in theirs.state_dict().items()}
    ours.load_state_dict(state)


def pair(make: Made) -> tuple[Any, Any]:
    """The same module in both libraries, with random weights that are no starting values."""
    torch.manual_seed(0)
    theirs, ours = make(torch.nn), make(nn)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.randn_like(p))
    copy_weights(ours, theirs)
    return ours, theirs


def leaves(shape: tuple[int, ...], seed: int = 1) -> tuple[Any, Any]:
    """The same random tensor in both libraries, asking for a gradient."""
    array = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return ot.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)


def check_gradients(ours: Any, theirs: Any, inputs: list[tuple[Any, Any]]) -> None:
    for (name, p), (other, q) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == other
        np.testing.assert_allclose(numpy_of(p.grad), numpy_of(q.grad), rtol=1e-4, atol=1e-5)
    for x, y in inputs:
        np.testing.assert_allclose(numpy_of(x.grad), numpy_of(y.grad), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients_are_pytorchs(name: str) -> None:
    make, shape = LAYERS[name]
    ours, theirs = pair(make)
    x, y = leaves(shape)
    a, b = ours(x), theirs(y)
    np.testing.assert_allclose(numpy_of(a), numpy_of(b), rtol=1e-5, atol=1e-6)
    weight = np.random.default_rng(2).standard_normal(tuple(a.shape)).astype(np.float32)
    a.backward(ot.tensor(weight))
    b.backward(torch.tensor(weight))
    check_gradients(ours, theirs, [(x, y)])


REPRS = sorted(set(LAYERS) - {name for name in LAYERS if name.startswith("Dropout")})


@pytest.mark.parametrize("name", REPRS)
def test_repr_is_pytorchs(name: str) -> None:
    make, _ = LAYERS[name]
    assert repr(make(nn)) == repr(make(torch.nn))


def test_embedding_adds_up_gradients_of_equal_rows() -> None:
    ours, theirs = pair(lambda n: n.Embedding(5, 3))
    rows = np.array([[0, 4, 4], [2, 4, 0]])
    a, b = ours(ot.tensor(rows)), theirs(torch.tensor(rows))
    np.testing.assert_array_equal(numpy_of(a), numpy_of(b))
    (a * a).sum().backward()
    (b * b).sum().backward()
    check_gradients(ours, theirs, [])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_loss(reduction: str, smoothing: float) -> None:
    x, y = leaves((4, 5))
    target = np.array([0, 4, 2, 4])
    options: dict[str, Any] = {
        "ignore_index": 2,
        "reduction": reduction,
        "label_smoothing": smoothing,
    }
    a = nn.CrossEntropyLoss(**options)(x, ot.tensor(target))
    b = torch.nn.CrossEntropyLoss(**options)(y, torch.tensor(target))
    np.testing.assert_allclose(numpy_of(a), numpy_of(b), rtol=1e-5)
    a.sum().backward()
    b.sum().backward()
    np.testing.assert_allclose(numpy_of(x.grad), numpy_of(y.grad), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_loss(reduction: Any) -> None:
    (x, y), (t, u) = leaves((4, 5)), leaves((4, 5), seed=2)
    a = nn.MSELoss(reduction)(x, t)
    b = torch.nn.MSELoss(reduction=reduction)(y, u)
    np.testing.assert_allclose(numpy_of(a), numpy_of(b), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropy_loss(reduction: Any) -> None:
    (x, y), target = leaves((4, 5)), np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    a = nn.BCEWithLogitsLoss(reduction)(x, ot.tensor(target))
    b = torch.nn.BCEWithLogitsLoss(reduction=reduction)(y, torch.tensor(target))
    np.testing.assert_allclose(numpy_of(a), numpy_of(b), rtol=1e-5)


CAUSAL = np.triu(np.ones((4, 4), bool), 1)
PADDING = np.array([[False, False, False, True], [False, True, False, False]])
ADDED = np.random.default_rng(3).standard_normal((2 * 2, 4, 4)).astype(np.float32)
ATTENTION: dict[str, dict[str, Any]] = {
    "plain": {},
    "fused": {"need_weights": False},
    "weights of each head": {"average_attn_weights": False},
    "mask": {"attn_mask": CAUSAL},
    "mask, fused": {"attn_mask": CAUSAL, "need_weights": False},
    "added to each head": {"attn_mask": ADDED},
    "padding": {"key_padding_mask": PADDING},
    "padding and mask, fused": {
        "key_padding_mask": PADDING,
        "attn_mask": np.where(CAUSAL, -np.inf, 0).astype(np.float32)[None].repeat(4, 0),
        "need_weights": False,
    },
}


def given(library: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {k: library.tensor(v) if hasattr(v, "shape") else v for k, v in options.items()}


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", ATTENTION)
def test_self_attention_is_pytorchs(name: str, batch_first: bool) -> None:
    ours, theirs = pair(lambda n: n.MultiheadAttention(6, 2, batch_first=batch_first))
    x, y = leaves((2, 4, 6) if batch_first else (4, 2, 6))
    a, w = ours(x, x, x, **given(ot, ATTENTION[name]))
    b, v = theirs(y, y, y, **given(torch, ATTENTION[name]))
    np.testing.assert_allclose(numpy_of(a), numpy_of(b), rtol=1e-4, atol=1e-5)
    assert (w is None) == (v is None)
    if w is not None:
        np.testing.assert_allclose(numpy_of(w), numpy_of(v), rtol=1e-4, atol=1e-6)
    (a * a).sum().backward()
    (b * b).sum().backward()
    scale = np.abs(numpy_of(y.grad)).max()
    np.testing.assert_allclose(numpy_of(x.grad), numpy_of(y.grad), rtol=0, atol=5e-6 * scale)


def test_attention_of_other_keys_and_values() -> None:
    ours, theirs = pair(lambda n: n.MultiheadAttention(6, 3, bias=False))
    inputs = [leaves((length, 2, 6), seed) for seed, length in enumerate((3, 5, 5))]
    a = ours(*(x for x, _ in inputs))[0]
    b = theirs(*(y for _, y in inputs))[0]
    np.testing.assert_allclose(numpy_of(a), numpy_of(b), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("need_weights", [False, True])
def test_causal_attention_needs_no_mask(need_weights: bool) -> None:
    ours, theirs = pair(lambda n: n.MultiheadAttention(6, 2))
    x, y = leaves((4, 2, 6))
    a = ours(x, x, x, need_weights=need_weights, is_causal=True)[0]
    b = theirs(y, y, y, attn_mask=torch.tensor(CAUSAL))[0]
    np.testing.assert_allclose(numpy_of(a), numpy_of(b), rtol=1e-4, atol=1e-5)


def test_dropout_scales_what_it_keeps() -> None:
    ot.manual_seed(0)
    y = numpy_of(nn.Dropout(0.25)(ot.ones(10000)))
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / 0.75, rtol=1e-6)
    assert abs(kept.mean() - 0.75) < 0.02


STARTS = {
    "Linear weight": (lambda n: n.Linear(64, 96).weight, 1 / math.sqrt(3 * 64)),
    "Linear bias": (lambda n: n.Linear(64, 4096).bias, 1 / math.sqrt(3 * 64)),
    "Embedding": (lambda n: n.Embedding(64, 96).weight, 1.0),
    "attention": (lambda n: n.MultiheadAttention(64, 2).in_proj_weight, math.sqrt(2 / 256)),
}


@pytest.mark.parametrize("name", STARTS)
def test_starting_values_spread_as_pytorchs(name: str) -> None:
    make, deviation = STARTS[name]
    ot.manual_seed(0)
    torch.manual_seed(0)
    for library in (nn, torch.nn):
        values = numpy_of(make(library))
        assert values.std() == pytest.approx(deviation, rel=0.05)
        assert abs(values.mean()) < 0.05 * deviation


INITS: dict[str, tuple[Any, float]] = {
    "uniform_": (lambda i, t: i.uniform_(t, -2, 4), math.sqrt(3)),
    "normal_": (lambda i, t: i.normal_(t, 1.0, 0.5), 0.5),
    "xavier_uniform_": (lambda i, t: i.xavier_uniform_(t, gain=2.0), 2 * math.sqrt(2 / 160)),
    "xavier_normal_": (lambda i, t: i.xavier_normal_(t), math.sqrt(2 / 160)),
    "kaiming_uniform_": (lambda i, t: i.kaiming_uniform_(t, a=1.0), math.sqrt(1 / 64)),
    "kaiming_normal_": (
        lambda i, t: i.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"),
        math.sqrt(2 / 96),
    ),
    "constant_": (lambda i, t: i.constant_(t, 3.5), 0.0),
    "zeros_": (lambda i, t: i.zeros_(t), 0.0),
    "ones_": (lambda i, t: i.ones_(t), 0.0),
}


@pytest.mark.parametrize("name", INITS)
def test_inits_spread_as_pytorchs(name: str) -> None:
    fill, deviation = INITS[name]
    ot.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = ot.empty(96, 64, requires_grad=True), torch.empty(96, 64)
    assert fill(nn.init, ours) is ours
    a, b = numpy_of(ours), numpy_of(fill(torch.nn.init, theirs))
    assert a.std() == pytest.approx(deviation, rel=0.05)
    assert b.std() == pytest.approx(deviation, rel=0.05)
    assert a.mean() == pytest.approx(b.mean(), abs=0.1 * deviation + 1e-9)
    assert ours.grad is None and ours.is_leaf


def test_eye() -> None:
    np.testing.assert_array_equal(numpy_of(nn.init.eye_(ot.empty(2, 3))), np.eye(2, 3))


def test_same_seed_same_weights() -> None:
    drawn: list[Any] = []
    for _ in range(2):
        ot.manual_seed(7)
        drawn.append(numpy_of(nn.Linear(4, 4).weight))
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("max_norm", [0.5, 1e3])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf])
def test_clip_grad_norm(max_norm: float, norm_type: float) -> None:
    pairs = [leaves((3, 4), seed) for seed in range(3)]
    for i, (x, y) in enumerate(pairs[:2]):
        (x * x * i).sum().backward()
        (y * y * i).sum().backward()
    ours = nn.utils.clip_grad_norm_([x for x, _ in pairs], max_norm, norm_type)
    theirs = torch.nn.utils.clip_grad_norm_([y for _, y in pairs], max_norm, norm_type)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for x, y in pairs[:2]:
        np.testing.assert_allclose(numpy_of(x.grad), numpy_of(y.grad), rtol=1e-5, atol=1e-8)
    assert pairs[2][0].grad is None


def test_clip_grad_value_and_single_tensors() -> None:
    x, y = leaves((3, 4))
    (x * x * 3).sum().backward()
    (y * y * 3).sum().backward()
    nn.utils.clip_grad_value_(x, 0.7)
    torch.nn.utils.clip_grad_value_(y, 0.7)
    np.testing.assert_allclose(numpy_of(x.grad), numpy_of(y.grad), rtol=1e-6)


class Limits:
    norm = 0.5
    value = 2.0


def test_limits_of_a_captured_clip_stay_live() -> None:
    limits = Limits()
    p = ot.ones(4, requires_grad=True)

    @ot.compile
    def step(x: Any) -> None:
        (p * x).sum().backward()
        nn.utils.clip_grad_norm_([p], limits.norm)
        nn.utils.clip_grad_value_([p], limits.value)

    for norm, value, expected in ((0.5, 2.0, 0.25), (100.0, 2.0, 1.0), (100.0, 0.125, 0.125)):
        limits.norm, limits.value, p.grad = norm, value, None
        step(ot.ones(4))
        np.testing.assert_allclose(p.grad.numpy(), expected, rtol=1e-5)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    assert len(step.variants) == 1


def test_clip_without_gradients_is_zero() -> None:
    assert nn.utils.clip_grad_norm_([ot.zeros(2)], 1.0).item() == 0


def test_functional_has_the_tables_namespace() -> None:
    from ostinato.ir.op import OPS

    names = {name for name, op in OPS.items() if op.namespace == "nn.functional"}
    assert names and names <= set(dir(F))
    assert all(hasattr(torch.nn.functional, name) for name in dir(F))
    with pytest.raises(AttributeError, match=r"^nn\.functional has no 'conv2d'; it has "):
        _ = F.conv2d  # pyright: ignore[reportAttributeAccessIssue]


ATTENTION_REFUSED = [
    # shapes of query, key, value and mask, and what is said
    ((2, 3, 4), (2, 5, 4), (2, 5, 2), (5, 3),
     "attn_mask (5, 3) does not broadcast to (2, 3, 5); give sizes equal or 1, counted from the "
     "last"),
    ((2, 3, 5), (2, 5, 4), (2, 5, 2), None,
     "query (2, 3, 5), key (2, 5, 4) and value (2, 5, 2) do not fit; give (..., L, E), "
     "(..., S, E) and (..., S, Ev)"),
    ((), (2, 5, 4), (2, 5, 2), None,
     "query (), key (2, 5, 4) and value (2, 5, 2) do not fit; give (..., L, E), (..., S, E) and "
     "(..., S, Ev)"),
    ((3, 3, 4), (2, 5, 4), (2, 5, 2), None,
     "shapes (3,) and (2,) and (2,) do not broadcast; sizes must be equal or 1, counted from the "
     "last"),
]  # fmt: skip


@pytest.mark.parametrize(("q", "k", "v", "mask", "text"), ATTENTION_REFUSED)
def test_attention_refuses_shapes_that_do_not_fit(
    q: Any, k: Any, v: Any, mask: Any, text: str
) -> None:
    given: list[Any] = [None if s is None else ot.zeros(s) for s in (q, k, v, mask)]
    with pytest.raises(ot.ShapeError) as refusal:
        F.scaled_dot_product_attention(*given)
    assert str(refusal.value) == f"scaled_dot_product_attention: {text}"
