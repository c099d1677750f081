"""Regions that tests of fusion, lowering and the memory plan share, and how they are compared."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from xdsl.ir import Operation

from graph_cases import Graph, graph
from ostinato.ir import ops as ops
from ostinato.ir.dialects.ot import FusionOp
from ostinato.ir.errors import ShapeError
from ostinato.ir.graph import close_main, main_of
from ostinato.ir.locations import line_location
from ostinato.ir.op import OPS
from ostinato.passes.memory.check import check_plan
from ostinato.passes.pipeline import Options, run_passes
from ostinato.passes.target import CPU, Target

# Small regions take every way that large ones take on a machine with small limits.
SMALL = replace(
    CPU, chunk_rows=2, pieces=4, wide_columns=256, chunk_elements=8, column_block=4, lanes=4,
    launch_cost=0.0, operand_cost=0.0,
)  # fmt: skip
# Here nothing is worth computing twice, and little scratch fits.
FRUGAL = replace(
    SMALL, scratch_bytes=64, byte_cost=0.0, load_cost=0.0, default_op_cost=2.0,
    op_costs={kind: 100 * cost for kind, cost in CPU.op_costs.items()},
)  # fmt: skip
TARGETS = {"cpu": CPU, "small": SMALL, "frugal": FRUGAL}

BEFORE_FUSION = ("autodiff", "decompose", "simplify")
LOC = line_location("step.py", 3)


def prepared(g: Graph, target: Target = CPU) -> Graph:
    """`g` at stage `simplified`."""
    run_passes(g.module, BEFORE_FUSION, Options(target), verify=True)
    return g


def close(found: Sequence[Any], expected: Sequence[Any], tolerance: float = 3e-4) -> None:
    """Asserts equal shapes and dtypes, and elements that differ no more than sums in another order
    and functions of another rounding do."""
    assert len(found) == len(expected)
    for y, x in zip(found, expected, strict=True):
        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        if x.dtype.kind != "f":
            np.testing.assert_array_equal(y, x)
            continue
        least = tolerance if x.dtype.itemsize > 2 else 1e-2
        finite = np.abs(x[np.isfinite(x)].astype("float64"))
        scale = max(float(finite.max(initial=0.0)), 0.3)
        wide = [a.astype("float64") for a in (y, x)]
        np.testing.assert_allclose(*wide, rtol=least, atol=least * scale)


def through_all_stages(g: Graph, target: Target = CPU) -> Graph:
    """Runs the passes from `simplified` on, each verified; at each stage the region's meaning stays
    what it was. (That its text parses back is seen to by `watched_tests`.)"""
    expected = g.run()
    for name in ("fuse", "lower", "plan_memory"):
        before = g.module.clone() if name == "plan_memory" else g.module
        run_passes(g.module, [name], Options(target), verify=True)
        close(g.run(), expected)
        if name == "plan_memory":
            check_plan(before, g.module)
    return g


def steps(g: Graph) -> list[str]:
    """The launches (by kernel) and calls (by op) of a lowered region, in order."""
    return [_step(op) for op in main_of(g.module).body.block.ops if _step(op)]


def _step(op: Operation) -> str:
    if op.name == "program.launch":
        return "launch"
    return op.properties["callee"].data if op.name == "program.call" else ""  # pyright: ignore


def fusions(g: Graph) -> list[FusionOp]:
    """The fusions of a region at stage `fused`."""
    return [op for op in main_of(g.module).body.block.ops if isinstance(op, FusionOp)]


def floats(*shape: int, seed: int = 0) -> Any:
    """Standard normal float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def integers(*shape: int, below: int, seed: int = 0) -> Any:
    """int64 from 0 to below - 1."""
    return np.random.default_rng(seed).integers(0, below, shape)


def op(name: str, *operands: Any, **attrs: Any) -> Any:
    """The op of the table called `name`."""
    return OPS[name](*operands, **attrs)


def written(build: Callable[..., Any], writes: Sequence[tuple[int, int]], *inputs: Any) -> Graph:
    """A region whose results are written back: (result, argument) pairs."""
    g = graph(build, *inputs)
    end = main_of(g.module).body.block.last_op
    assert end is not None
    results = list(end.operands)
    end.detach()
    end.drop_all_references()

    @dataclass
    class Value:
        value: Any

    close_main(g.module, [Value(r) for r in results], writes, LOC)  # pyright: ignore
    return g


class Grower:
    """Grows a region by random ops on tensors whose shapes go together as rows and columns do."""

    def __init__(self, seed: int) -> None:
        self.chooser = random.Random(seed)
        numbers = np.random.default_rng(seed)
        sizes = [(2, 6, 8), (4, 4, 16), (3, 5, 7), (8, 2, 32), (1, 16, 12)]
        self.sizes = self.chooser.choice(sizes)
        a, b, c = self.sizes
        shapes = [(a, b, c), (a, b, c), (a * b, c), (c,), (a, b, 1), (b, c), (), (a, c, b)]
        self.inputs: list[Any] = [numbers.standard_normal(s).astype("float32") for s in shapes]
        self.inputs.append(numbers.integers(0, c, (a, b)))
        self.values: list[Any] = []

    def grow(self, *arguments: Any) -> list[Any]:
        """The values that nothing uses after some more values, and some of the others."""
        *self.values, index = arguments
        given = len(self.values)
        for _ in range(self.chooser.randint(4, 22)):
            made = self._step(index)
            if made is not None and 0 < np.prod(made.shape) <= 4096:
                self.values.append(made)
        made = self.values[given:]
        kept = [v for v in made if v.value.first_use is None or self.chooser.random() < 0.15]
        return kept or [self.values[-1] * 1.0]

    def _pick(self) -> Any:
        recent = self.values[-4:] if self.chooser.random() < 0.6 else self.values
        return self.chooser.choice(recent)

    def _step(self, index: Any) -> Any:
        kinds = [self._binary] * 5 + [self._unary] * 3 + [self._reduced] * 4 + [
            self._permuted, self._reshaped, self._reshaped, self._sliced, self._doubled,
            self._flipped, self._padded, self._softmax]  # fmt: skip
        x = self._pick()
        try:
            if self.chooser.random() < 0.04 and x.shape == self.sizes:
                return op("gather", x, dim=-1, index=op("unsqueeze", index, dim=-1))
            return self.chooser.choice(kinds)(x)
        except ShapeError:
            return None

    def _binary(self, x: Any) -> Any:
        return op(self.chooser.choice(["add", "mul", "sub", "maximum"]), x, self._pick())

    def _unary(self, x: Any) -> Any:
        return op(self.chooser.choice(["tanh", "sigmoid", "neg", "square", "relu"]), x)

    def _reduced(self, x: Any) -> Any:
        if not x.ndim:
            return None
        dims = tuple(self.chooser.sample(range(x.ndim), self.chooser.randint(1, x.ndim)))
        name = self.chooser.choice(["sum", "amax", "sum", "mean", "amin"])
        return op(name, x, dim=dims, keepdim=self.chooser.random() < 0.6)

    def _permuted(self, x: Any) -> Any:
        return op("permute", x, dims=tuple(self.chooser.sample(range(x.ndim), x.ndim)))

    def _reshaped(self, x: Any) -> Any:
        a, b, c = self.sizes
        whole = [(a, b, c), (a * b, c), (a, b * c), (a * b * c,), (b, a, c), (c, a * b)]
        return op("reshape", x, shape=self.chooser.choice(whole))

    def _sliced(self, x: Any) -> Any:
        if not x.ndim or max(x.shape) < 2:
            return None
        dim = self.chooser.choice([d for d in range(x.ndim) if x.shape[d] > 1])
        start = self.chooser.randrange(x.shape[dim] - 1)
        stop = self.chooser.randint(start + 1, x.shape[dim])
        return op("slice", x, dim=dim, start=start, stop=stop, step=self.chooser.choice([1, 1, 2]))

    def _doubled(self, x: Any) -> Any:
        return op("cat", [x, op("neg", x)], dim=self.chooser.randrange(x.ndim)) if x.ndim else None

    def _flipped(self, x: Any) -> Any:
        return op("flip", x, dims=(self.chooser.randrange(x.ndim),)) if x.ndim else None

    def _padded(self, x: Any) -> Any:
        amounts = self.chooser.randint(0, 2), self.chooser.randint(0, 2)
        return op("pad", x, pad=amounts, value=0.5) if x.ndim else None

    def _softmax(self, x: Any) -> Any:
        return op("softmax", x, dim=-1) if x.ndim else None


def random_region(seed: int) -> Graph:
    """A region of some 15 ops."""
    grower = Grower(seed)
    return graph(grower.grow, *grower.inputs)


def transformer_step(layers: int = 2) -> Graph:
    """A whole training step of a small transformer: forward, loss, backward, AdamW.

    Arguments: tokens, targets, learning rate, then parameter, two means and step of each parameter.
    """
    dim, heads, words, batch, length = 16, 2, 20, 2, 32
    shapes: dict[str, tuple[int, ...]] = {"tok": (words, dim), "pos": (length, dim)}
    for i in range(layers):
        shapes |= {
            f"n1w{i}": (dim,), f"n1b{i}": (dim,), f"qkv{i}": (3 * dim, dim), f"qkvb{i}": (3 * dim,),
            f"proj{i}": (dim, dim), f"projb{i}": (dim,), f"n2w{i}": (dim,), f"n2b{i}": (dim,),
            f"fc{i}": (4 * dim, dim), f"fcb{i}": (4 * dim,), f"out{i}": (dim, 4 * dim),
            f"outb{i}": (dim,),
        }  # fmt: skip
    shapes["head"] = (words, dim)
    inputs: list[Any] = [integers(batch, length, below=words), integers(batch, length, below=words)]
    inputs.append(1e-3)
    for i, s in enumerate(shapes.values()):
        state = [floats(*s, seed=3 * i) * 0.1, floats(*s, seed=3 * i + 1) * 0.01]
        inputs += [*state, floats(*s, seed=3 * i + 2) ** 2 * 1e-3, np.array(3.0)]

    def build(x: Any, y: Any, lr: Any, *state: Any) -> list[Any]:
        w = {name: state[4 * i] for i, name in enumerate(shapes)}
        loss = _loss(w, x, y, layers, (batch, length, heads, dim))
        one = op("full", (), 1.0)
        gradients = loss.builder.gradient([loss], [one], list(w.values()))
        results = [loss]
        for i, g in enumerate(gradients):
            p, m, v, step = state[4 * i : 4 * i + 4]
            step = step + 1.0
            results += [*op("adamw_step", p, g, m, v, step, lr, 0.9, 0.95, 1e-8, 0.1), step]
        return results

    writes = [(1 + i, 3 + i) for i in range(4 * len(shapes))]
    return written(build, writes, *inputs)


def _loss(w: dict[str, Any], x: Any, y: Any, layers: int, sizes: tuple[int, int, int, int]) -> Any:
    batch, length, heads, dim = sizes
    h = op("index_select", w["tok"], dim=0, index=x) + w["pos"]
    for i in range(layers):
        z = op("layer_norm", h, (dim,), w[f"n1w{i}"], w[f"n1b{i}"])
        z = op("linear", z, w[f"qkv{i}"], w[f"qkvb{i}"])
        z = op("view", z, shape=(batch, length, 3, heads, dim // heads))
        z = op("permute", z, dims=(2, 0, 3, 1, 4))
        q, k, v = (op("select", z, dim=0, index=j) for j in range(3))
        a = op("scaled_dot_product_attention", q, k, v, is_causal=True)
        a = op("reshape", op("transpose", a, dim0=1, dim1=2), shape=(batch, length, dim))
        h = h + op("linear", a, w[f"proj{i}"], w[f"projb{i}"])
        z = op("layer_norm", h, (dim,), w[f"n2w{i}"], w[f"n2b{i}"])
        z = op("gelu", op("linear", z, w[f"fc{i}"], w[f"fcb{i}"]), approximate="tanh")
        h = h + op("linear", z, w[f"out{i}"], w[f"outb{i}"])
    z = op("flatten", op("linear", h, w["head"]), 0, 1)
    return op("cross_entropy", z, op("flatten", y, 0, 1))
