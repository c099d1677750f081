"""Fusion: what becomes one kernel and why other things do not, and its meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import UnitAttr

from fusion_cases import (
    CPU,
    SMALL,
    TARGETS,
    close,
    floats,
    fusions,
    integers,
    op,
    prepared,
    random_region,
    through_all_stages,
    transformer_step,
    written,
)
from graph_cases import IR_OPS, graph, sample_graph
from ostinato.ir.graph import SHARES, main_of
from ostinato.ir.op import Op
from ostinato.passes.fuse import fuse
from ostinato.passes.fusion.groups import Reason
from ostinato.passes.fusion.prepare import _pieces
from ostinato.passes.pipeline import run_passes
from ostinato.passes.target import CUDA

# What becomes one kernel.

X, W = floats(64, 48), floats(48, seed=1)
BIG = floats(256, 64)


def softmax(x: Any) -> Any:
    return op("softmax", x, dim=-1)


def norm(x: Any, w: Any) -> Any:
    return op("layer_norm", x, (48,), w, w)


def norm_backward(g: Any, x: Any, w: Any) -> Any:
    return op("layer_norm_backward", g, x, w, (48,), 1e-5)


def loss_and_gradient(x: Any, t: Any) -> Any:
    one = op("full", (), 1.0)
    gradient = op("cross_entropy_backward", one, x, t, -100, "mean", 0.0)
    return op("cross_entropy", x, t), gradient


def residual_norm(x: Any, y: Any, w: Any) -> Any:
    h = x + y
    return h, norm(h, w)


def rotated(x: Any) -> Any:
    left, right = (op("slice", x, dim=1, start=i, stop=i + 24) for i in (0, 24))
    return x * 2.0 + op("cat", [op("neg", right), left], dim=1)


def embedded_norm(t: Any, table: Any, w: Any) -> Any:
    return norm(op("index_select", table, dim=0, index=t), w)


def split_gradient(a: Any, b: Any, c: Any) -> Any:
    base = op("full", (3, 2, 4, 8), 0.0)
    parts = [op("select_scatter", base, x, dim=0, index=i) for i, x in enumerate((a, b, c))]
    whole = op("permute", parts[0] + parts[1] + parts[2], dims=(1, 2, 0, 3))
    return op("reshape", whole, shape=(2, 96))


def gated(x: Any, h: Any) -> Any:
    """One step of a sequence added to a state, of which the halves are read."""
    step = op("reshape", op("slice", x, dim=1, start=5, stop=6), shape=(8, 64))
    left, right = (op("slice", step + h, dim=1, start=i, stop=i + 32) for i in (0, 32))
    return op("sigmoid", left) * op("tanh", right)


def gates_gradient(g: Any, x: Any) -> Any:
    """Four gradients side by side, of which one is used for another, and a fifth apart."""
    parts = [op("tanh", g * x), g * x, op("exp", x), g - x]
    return op("cat", parts, dim=1), op("neg", g + x)


def stacked(x: Any, h: Any) -> Any:
    return op("cat", [x + h, x - h, x * h, op("neg", x)], dim=0)


def joined_and_read(x: Any) -> Any:
    y = op("exp", x)
    return op("cat", [y, y + 1.0, y * 2.0, x * 3.0], dim=1), y


def adamw(p: Any, g: Any, m: Any, v: Any, lr: Any) -> Any:
    return op("adamw_step", p, g, m, v, 3.0, lr, 0.9, 0.999, 1e-8, 0.01)


def dropped(x: Any, rng: Any) -> Any:
    return op("dropout", op("gelu", x), 0.25, rng=rng)


RNG = np.array([7, 11])

# (region, inputs, launches, calls)
PATTERNS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], int, int]] = {
    "pointwise chain": (lambda x, w: op("tanh", x * w) + x, (X, W), 1, 0),
    "several outputs": (lambda x: (op("exp", x), op("neg", x)), (X,), 1, 0),
    "softmax": (softmax, (X,), 1, 0),
    "layer norm": (norm, (X, W), 1, 0),
    "residual and layer norm": (residual_norm, (X, X * 2, W), 1, 0),
    "embedding and layer norm": (embedded_norm, (integers(9, below=64), X, W), 1, 0),
    # dx and partial sums in one, then a sum for weight and for bias.
    "layer norm backward": (norm_backward, (floats(256, 48), floats(256, 48, seed=2), W), 3, 0),
    "bias and gelu": (lambda x, b: op("gelu", x + b), (X, W), 1, 0),
    "mean of rows": (lambda x: op("mean", x, dim=(1,)), (X,), 1, 0),
    "mean of columns": (lambda x: op("mean", x, dim=(0,)), (X,), 1, 0),
    "variance": (lambda x: op("var", x, dim=(1,)), (X,), 1, 0),
    "long column sum": (lambda x: op("sum", x, dim=(0,)), (BIG,), 2, 0),
    "sum and its use": (lambda x: op("sqrt", op("sum", x * x)), (X,), 1, 0),
    "sums over axes apart": (lambda x: op("sum", x, dim=(0, 2)), (floats(4, 6, 8),), 2, 0),
    "transposed operand": (lambda x: op("transpose", x, dim0=0, dim1=1) * 2.0, (X,), 1, 0),
    "halves rotated": (rotated, (X,), 1, 0),
    "joined": (lambda x, w: op("cat", [x, op("exp", x)], dim=0) + w, (X, W), 1, 0),
    "padded": (lambda x: op("pad", op("exp", x), pad=(1, 2, 3, 0), value=2.0), (X,), 1, 0),
    "triangle of a softmax": (lambda x: op("tril", softmax(x)), (X,), 1, 0),
    # Target counts, then rows with loss and gradient, then the mean.
    "cross entropy": (loss_and_gradient, (X, integers(64, below=48)), 3, 0),
    "parts of a gradient": (split_gradient, (floats(2, 4, 8),) * 3, 1, 0),
    # Of the sequence, which is large, a kernel reads one step.
    "gates of a step": (gated, (floats(8, 99, 64), floats(8, 64, seed=1)), 1, 0),
    "gradients of gates": (gates_gradient, (X, X * 2), 1, 0),
    "joined in front": (stacked, (X, W), 1, 0),
    "joined, a part wanted": (joined_and_read, (X,), 1, 1),
    "joined, too narrow for vectors": (
        lambda x: op("cat", [op("exp", x), x + 1.0, x * 2.0, x * 3.0], dim=1), (BIG[:, :12],),
        1, 1),
    "joined, a part given": (
        lambda x: op("cat", [op("exp", x), x + 1.0, x * 2.0, x], dim=1), (X,), 1, 1),
    "joined, two sizes": (
        lambda x, y: op("cat", [op("exp", x), x + 1.0, x * 2.0, op("exp", y)], dim=0),
        (X, X[:32]), 2, 1),
    "optimizer step": (adamw, (X, X * 2, X * 3, X * X, 0.1), 1, 0),
    "dropout": (dropped, (X, RNG), 1, 0),
    "linear, gelu": (lambda x, w: op("gelu", op("linear", x, w)), (X, floats(5, 48)), 1, 1),
    "view between calls": (
        lambda x: op("matmul", x, op("transpose", x, dim0=0, dim1=1)), (X,), 0, 1),
    "pointwise between calls": (
        lambda x: op("matmul", op("relu", op("matmul", x, x)), x), (floats(16, 16),), 1, 2),
    "attention": (
        lambda q: op("scaled_dot_product_attention", q, q, q, is_causal=True),
        (floats(2, 2, 8, 4),), 0, 1),
    "unused": (lambda x: (op("exp", x), op("detach", x))[0], (X,), 1, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_take_few_kernels(name: str) -> None:
    build, inputs, launches, calls = PATTERNS[name]
    g = prepared(graph(build, *inputs))
    expected = g.run()
    fuse(g.module, CPU)
    close(g.run(), expected)
    kinds = Counter(op.name for op in main_of(g.module).body.block.ops)
    called = [n for n in kinds if n in ("ot.matmul", "ot.attention", "ot.cat")]
    assert kinds["ot.fusion"] == launches
    assert sum(kinds[n] for n in called) == calls


def test_training_step_takes_few_kernels() -> None:
    g = prepared(transformer_step(layers=2))
    fuse(g.module, CPU)
    kinds = Counter(op.name for op in main_of(g.module).body.block.ops)
    # Products: 4 a layer and the head, each with two gradients.
    assert kinds["ot.matmul"] == 3 * (4 * 2 + 1)
    parameters = 2 * 12 + 3
    one_for_each_parameter = 2 * parameters
    # Forward 6 a layer (two norms, bias, attention's result, gelu), backward 6 a layer.
    assert kinds["ot.fusion"] <= one_for_each_parameter + 12 * 2 + 6


def test_fused_attributes_name_the_loops() -> None:
    g = prepared(graph(norm_backward, floats(256, 48), floats(256, 48, seed=2), W))
    fuse(g.module, CPU)
    first, second, _ = fusions(g)
    found = {k: str(v) for k, v in first.attributes.items()}
    assert found == {"kind": '"rows"', "length": "48 : i64", "outer": "16 : i64"}
    assert str(second.attributes["kind"]) == '"columns"'


# Why not.

REASONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], set[Reason]]] = {
    "calls": (lambda x: op("exp", op("matmul", x, x)), (floats(8, 8),), {Reason.CALL}),
    "waits": (
        lambda x: (lambda y: (y, op("matmul", x, x) * y))(op("sum", x, dim=(1,), keepdim=True)),
        (floats(8, 8),), {Reason.CALL, Reason.DEPTH}),
    "other elements": (
        lambda x: (lambda y: y + op("flip", y, dims=(0,)))(op("sum", x, dim=(1,), keepdim=True)),
        (X,), {Reason.ACCESS}),
    "cheaper to read": (
        lambda x: (lambda y: y + op("flip", y, dims=(0,)))(softmax(x)), (X,), {Reason.STORED}),
    "unfinished": (lambda x: x - op("sum", x, dim=(0,), keepdim=True), (X,),
                   {Reason.UNFINISHED}),
    "other loops": (
        lambda x: op("sum", op("sum", x, dim=(1,)), dim=(0,)), (X,), {Reason.DOMAIN}),
    "something between": (
        lambda x: (lambda y: y + op("sum", y, dim=(0,), keepdim=True))(
            op("sum", x, dim=(1,), keepdim=True)),
        (X,), {Reason.DOMAIN, Reason.CYCLE, Reason.UNFINISHED}),
    "nothing": (lambda x: op("exp", x) + x, (X,), set()),
}  # fmt: skip


@pytest.mark.parametrize("name", REASONS)
def test_pairs_that_stay_apart_have_a_reason(name: str) -> None:
    build, inputs, expected = REASONS[name]
    g = prepared(graph(build, *inputs))
    pairs = fuse(g.module, CPU)
    assert {p.reason for p in pairs} == expected


@pytest.mark.parametrize(("rows", "apart"), [(257, True), (256, False), (61, False)])
def test_rows_do_not_wait_for_sums_of_few_columns(rows: int, apart: bool) -> None:
    """257 rows are no whole number of pieces that could be summed side by side."""
    g = prepared(graph(lambda x: op("sum", softmax(x), dim=(0,)), floats(rows, 128)), CUDA)
    fuse(g.module, CUDA)
    assert ("outer" not in fusions(g)[0].attributes) == apart


def test_a_size_to_come_is_cut_into_as_many_pieces_as_it_says() -> None:
    target = replace(CUDA, symbols=((97, 200),))
    found = {n: _pieces(target, n * 97, min(25 * n, 256)) for n in (1, 4, 8, 32)}
    assert found == {1: None, 4: 97, 8: 97, 32: 97}
    assert _pieces(CUDA, 2008, 251) == 251 and _pieces(CUDA, 97, 12) is None


# Order.


def test_updates_run_as_soon_as_they_can() -> None:
    """The parameter is updated once its last reader has run, before later gradients take memory."""

    def build(x: Any, w: Any, v: Any) -> Any:
        first, second = op("matmul", x, w), op("matmul", x, v)
        return w - first * 0.1, v - op("matmul", second, w) * 0.1

    g = prepared(written(build, [(0, 1), (1, 2)], floats(8, 8), floats(8, 8, seed=1),
                         floats(8, 8, seed=2)))  # fmt: skip
    fuse(g.module, CPU)
    names = [o.name.removeprefix("ot.") for o in main_of(g.module).body.block.ops][:-1]
    # The first fusion waits for the second reader of `w`, which is the third product.
    assert names == ["matmul", "matmul", "matmul", "fusion", "fusion"]


@pytest.mark.parametrize("shares", [False, True])
def test_results_that_are_views_or_go_to_two_places_are_copied(shares: bool) -> None:
    def build(x: Any) -> Any:
        y = op("exp", x)
        return y, y, op("transpose", y, dim0=0, dim1=1), x, op("transpose", x, dim0=0, dim1=1)

    g = prepared(graph(build, floats(4, 3)))
    expected = g.run()
    func = main_of(g.module)
    if shares:
        func.attributes[SHARES] = UnitAttr()
    fuse(g.module, CPU)
    close(g.run(), expected)
    end = func.body.block.last_op
    assert end is not None
    computed = [v for v in end.operands if v.owner is not func.body.block]
    assert len(set(computed)) == len(computed) == 5 - shares
    assert (end.operands[3] is func.args[0]) == shares


# Meaning.

SAMPLED = [o for o in IR_OPS if o.samples is not None]


@pytest.mark.parametrize("case", SAMPLED, ids=lambda o: o.name)
def test_every_op_means_the_same_at_every_stage(case: Op) -> None:
    assert case.samples is not None
    for operands, attrs in case.samples():
        g = sample_graph(case, operands, attrs)
        run_passes(g.module, ["decompose"])
        through_all_stages(g, SMALL)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(12))
def test_random_regions_mean_the_same_at_every_stage(seed: int, target: str) -> None:
    through_all_stages(prepared(random_region(seed)), TARGETS[target])


@pytest.mark.parametrize("target", TARGETS)
def test_training_step_means_the_same_at_every_stage(target: str) -> None:
    through_all_stages(prepared(transformer_step(layers=1)), TARGETS[target])
