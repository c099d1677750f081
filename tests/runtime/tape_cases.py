"""Eager steps whose backward tests run node by node and by the Program of the whole tape."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp

import ostinato as ot
import ostinato.nn.functional as F
from graph_cases import IR_OPS, random_graph, same_bits
from ostinato.ir.dialects.ot import ConstantOp, TableOp
from ostinato.ir.graph import main_of
from ostinato.runtime import _C

WALKED = 2
"""How often a tape is walked before it gets a Program."""


# The gradient of a random graph is worth a test; these refuse most operands that come at random,
# and `to_device` says where its operand lies.
_PARTICULAR = (
    "to_device full view as_strided gather scatter_add cross_entropy sgd_step sgd_momentum_step "
    "adam_step adamw_step index_select index_select_backward"
)
DIFFERENTIABLE = [
    op.name for op in IR_OPS
    if (op.vjp_rule is not None or op.kind == "composite")
    and op.name not in _PARTICULAR.split()
    and not any(p.kind == "rng" for p in op.operands)
]  # fmt: skip


@contextmanager
def walking() -> Generator[None]:
    """Backward goes node by node inside."""
    _C.set_tape_programs_enabled(False)
    try:
        yield
    finally:
        _C.set_tape_programs_enabled(True)


@dataclass(frozen=True)
class Step:
    """`forward` makes a loss from tensors like `arrays`, of which the floating ones are leaves."""

    forward: Callable[..., Any]
    arrays: Sequence[Any]

    def leaves(self) -> list[Any]:
        """Fresh tensors."""
        made = [ot.from_numpy(np.array(a)) for a in self.arrays]
        return [t.requires_grad_() if a.dtype.kind == "f" else t
                for t, a in zip(made, self.arrays, strict=True)]  # fmt: skip

    def gradients(self) -> list[Any]:
        """Of the loss for all leaves, None where they play no part."""
        leaves = self.leaves()
        self.forward(*leaves).backward()
        return [as_array(t.grad) for t in leaves]


def walked(step: Callable[[], Any]) -> Any:
    """What `step` gives when its backward goes node by node."""
    with walking():
        return step()


def counts() -> dict[str, int]:
    """What this process made and ran so far."""
    return _C.program_counts()


def made() -> int:
    """How many Programs of tapes this process made."""
    return counts()["tapes derived"] + counts()["tapes loaded"]


def build(step: Callable[[], Any]) -> None:
    """Runs `step` until its tape has a Program."""
    for _ in range(WALKED + 1):
        step()


def by_program(step: Callable[[], Any]) -> Any:
    """What `step` gives when its backward runs by a Program, after as many walks as that takes."""
    for _ in range(WALKED):
        step()
    before = _C.program_counts()["tape runs"]
    found = step()
    assert _C.program_counts()["tape runs"] == before + 1, "the tape was walked"
    return found


def as_array(t: Any) -> Any:
    """The elements, or None for no tensor."""
    return None if t is None else t.numpy()


def assert_same(found: Sequence[Any], expected: Sequence[Any]) -> None:
    """Asserts that the same gradients are there, bit for bit."""
    assert [f is None for f in found] == [e is None for e in expected]
    same_bits([f for f in found if f is not None], [e for e in expected if e is not None])


def random_step(seed: int) -> Step:
    """About a dozen random ops of the table, and a weighted sum of what they end in."""
    graph = random_graph(seed, size=18, among=DIFFERENTIABLE)

    def forward(*tensors: Any) -> Any:
        loss = ot.zeros(())
        for i, value in enumerate(eager(graph.module, tensors)):
            if value.requires_grad:
                loss = loss + (value * (0.3 + i)).sum()
        return loss

    return Step(forward, graph.inputs)


def usable(seeds: Iterable[int]) -> list[tuple[Step, list[Any]]]:
    """Random steps and what the walk gives; those are left out that record nothing, or that eager
    calls refuse (negative indices, and what numbers alone made beside tensors of a device)."""
    found: list[tuple[Step, list[Any]]] = []
    for step in map(random_step, seeds):
        try:
            found.append((step, walked(step.gradients)))
        except (ot.GradientError, IndexError, ot.ShapeError):
            continue
        except ValueError as error:
            if "operands lie on" not in str(error):
                raise
    return found


def eager(module: ModuleOp, tensors: Sequence[Any]) -> list[Any]:
    """The results of the module's `@main`, of ops on tensors that run at once."""
    block = main_of(module).body.block
    values: dict[Any, Any] = dict(zip(block.args, tensors, strict=True))

    def of(operand: Any) -> Any:
        if isinstance(operand, list):
            return [values[v] for v in operand]
        return None if operand is None else values[operand]

    for op in block.ops:
        if isinstance(op, ConstantOp):
            values[op.number] = op.python_value
        elif isinstance(op, TableOp):
            named = {
                p.name: of(o)
                for p, o in zip(op.SCHEMA.operands, op.grouped_operands(), strict=True)
            }
            made = _C.call(op.SCHEMA.name, **named, **op.attribute_values())
            values.update(zip(op.results, made if isinstance(made, tuple) else [made], strict=True))
    end = block.last_op
    assert end is not None
    return [values[v] for v in end.operands]


def values(*shape: int, seed: int = 0, dtype: str = "float32") -> Any:
    """Normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def _perceptron(x: Any, w: Any, b: Any, v: Any, target: Any) -> Any:
    h = F.gelu(F.linear(x, w, b), approximate="tanh")
    h = F.layer_norm(h, (h.shape[-1],), b)
    return F.cross_entropy(F.linear(h, v), target)


def _attention(x: Any, w: Any) -> Any:
    q, k, v = F.linear(x, w).view(2, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).exp().sum()


def _both_results(q: Any) -> Any:
    out, logsumexp = _C.call("attention", q, q, q, None, False, 0.5)
    return out.sum() * logsumexp.mean()


def _shared(x: Any, y: Any) -> Any:
    a = x * y
    b = a.exp() * 1e-3 + a * 3.7 - a.sin()
    return (b * x + b / 3 + x + a).sum()


def _broadcast(x: Any, row: Any, column: Any, one: Any) -> Any:
    return ((x + row) * column - one * x.mean(1, True)).square().mean()


def _casts(x: Any, y: Any) -> Any:
    half = x.to(ot.float16) * y.to(ot.float16)
    return (half.to(ot.float64) * y.to(ot.float64)).sum().to(ot.float32) + (half + x).sum()


def _in_place(x: Any, y: Any) -> Any:
    z = x * 1
    z.mul_(3).add_(y)
    z.div_(y.exp())
    return (z * y).sum()


def _slices(x: Any) -> Any:
    parts = x[:3] * x[2:5] + x[1:4, ::2].sum(1, True)
    return (parts.t() @ parts).sum() + x[:, 0].prod() + x[-1].amax()


def _selected(x: Any, y: Any) -> Any:
    rows = x[0] * y + x[-1] * 0.5 + x[2] / y - x[0]
    zeros = (x.select(1, 0) * -0.0).sum() + (x.select(1, 0) * -0.0).sum()
    pairs = (y.reshape(1, -1)[0] * -0.0).sum() + (y.reshape(1, -1)[0] * -0.0).sum()
    return rows.sum() + zeros + pairs + (x[1] * -0.0).sum()


def _chunks(x: Any) -> Any:
    a, b, c = x.chunk(3, 1)
    return (a * b + b * c.exp()).sum() + ot.cat([c, a], 0).square().sum()


def _unused(x: Any, y: Any) -> Any:
    (x * y).exp()
    return ot.where(x > 0, x * y, x).sum()


def _numbers(x: Any, y: Any) -> Any:
    return (2.5 * x**3 - 1 / (x.square() + 1.5)).sum() + (y + 2) * 3


STEPS = {
    fn.__name__[1:]: Step(fn, arrays)
    for fn, arrays in {
        _perceptron: [values(3, 4), values(5, 4), values(5), values(2, 5), np.array([0, 1, 0])],
        _attention: [values(2, 5, 8), values(24, 8)],
        _both_results: [values(1, 2, 5, 4)],
        _shared: [values(4, 3), values(3, seed=1)],
        _broadcast: [values(4, 3), values(3), values(4, 1), values()],
        _casts: [values(4, 3), values(3, seed=1)],
        _in_place: [values(4, 3), values(3, seed=1)],
        _slices: [values(6, 4)],
        _selected: [values(4, 3), values(3, seed=1)],
        _chunks: [values(2, 9)],
        _unused: [values(4), values(4, seed=1)],
        _numbers: [values(4, dtype="float64"), values()],
    }.items()
}


def net(x: Any, w: Any) -> Any:
    """A number from two matrices."""
    h = (x @ w).tanh()
    return ((h - h.mean(1, True)) * h[:, :2].exp().sum()).sum() * 0.5
