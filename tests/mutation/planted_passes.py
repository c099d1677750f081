"""Wrong rewrites in passes, each a change of a piece of text in the source of a function, and
programs that meet them."""

from __future__ import annotations
import __future__

import inspect
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import CodeType
from typing import Any

import numpy as np

import ostinato as ot
import ostinato.nn.functional as F
from mutants import Change
from ostinato.codegen import program
from ostinato.codegen.llvm import combine, scalar_ops
from ostinato.passes import (
    algebra,
    autodiff,
    batch,
    decompose,
    fold,
    fuse,
    join_products,
    simplify,
    split,
    views,
)
from ostinato.passes.fusion import prepare
from ostinato.passes.lowering import fused, rows
from ostinato.passes.memory import place


def floats(*shape: int, seed: int = 0) -> Any:
    """Standard normal float32."""
    numbers = np.random.default_rng(seed).standard_normal(shape)
    return ot.from_numpy(numbers.astype(np.float32))


def leaf(*shape: int, seed: int = 0) -> Any:
    """The same, as what gradients go to."""
    return floats(*shape, seed=seed).requires_grad_()


# Programs: each makes a function and its arguments.

Program = Callable[[], tuple[Callable[..., Any], tuple[Any, ...]]]


def backward_inside() -> Any:
    """Gradients of two parameters of one shape, taken in the region."""
    v, w = leaf(5, 5, seed=1), leaf(5, 5, seed=2)

    def step(x: Any) -> Any:
        v.grad = w.grad = None
        ((x @ v).tanh() @ w).square().mean().backward()

    return step, (floats(4, 5),)


def of_three(fn: Callable[[Any, Any, Any], Any]) -> Program:
    """A function of a matrix and two vectors."""
    return lambda: (fn, (floats(6, 6), floats(6, seed=1), floats(6, seed=2)))


def of_a_cube(fn: Callable[[Any], Any]) -> Program:
    """A function of a tensor with three axes of one size."""
    return lambda: (fn, (floats(4, 4, 4),))


def algebra_of(name: str) -> Any:
    """What builds the sides of an algebraic pair."""
    return next(pair.build for pair in algebra.PAIRS if pair.name == name)


def two_results() -> Any:
    """Results of one shape whose gradients a caller takes."""
    w = leaf(4, 5, seed=1)
    return lambda x: ((x * w).tanh(), x * w.exp()), (floats(4, 5),)


def changed_in_place() -> Any:
    """What the region writes is all that it does."""
    total = floats(6, 6, seed=3)

    def step(x: Any) -> None:
        total.mul_(0.5).sub_(x)

    return step, (floats(6, 6),)


def products() -> Any:
    """Intermediates that live together."""

    def chain(x: Any) -> Any:
        a, b = x @ x, x.t() @ x
        return (a - b) @ (a @ b) - b

    return chain, (floats(16, 16),)


def thin_products() -> Any:
    """Products of columns and rows, added up."""

    def summed(x: Any, y: Any) -> Any:
        total = x[:, :1] @ y[:1]
        for i in range(1, 6):
            total = total + x[:, i : i + 1] @ y[i : i + 1]
        return total

    return summed, (floats(6, 6), floats(6, 6, seed=1))


# Wrong rewrites.


@dataclass(frozen=True)
class Wrong:
    """In the function, `right` stands `wrong`."""

    pass_name: str
    function: Any
    right: str
    wrong: str
    program: Program

    @property
    def name(self) -> str:
        """Of the pass and of what is wrong in it."""
        return f"{self.pass_name}: {self.function.__qualname__}: {self.right} -> {self.wrong}"

    def planted(self) -> AbstractContextManager[object]:
        """The function is the wrong one."""
        right: CodeType = self.function.__code__
        lines = textwrap.dedent(inspect.getsource(self.function)).splitlines(keepends=True)
        source = "".join(line for line in lines if not line.startswith("@"))
        assert source.count(self.right) == 1, f"{self.name}: the text is not there once"
        flags = __future__.annotations.compiler_flag
        changed = source.replace(self.right, self.wrong)
        outer = compile(changed, right.co_filename, "exec", flags=flags, dont_inherit=True)
        (code,) = (c for c in outer.co_consts if isinstance(c, CodeType))
        return Change(self.function, "", self.name, code).planted()


SWAPPED = """for op in main_of(module).body.block.ops:
        if isinstance(op, LaunchOp) and len(op.arguments) > 1:
            op.operands[0], op.operands[1] = op.operands[1], op.operands[0]
    if target.most_batched"""

WRONG = [
    Wrong("autodiff", autodiff._expand, "found[w] if w in", "-found[w] if w in", backward_inside),
    Wrong("autodiff", autodiff._expand, "for w in wanted]", "for w in wanted[::-1]]",
          backward_inside),
    Wrong("decompose", decompose._visit, "op.grouped_operands()",
          "(lambda x: [x[0], *x[:0:-1]])(op.grouped_operands())",
          of_three(lambda x, w, b: F.layer_norm(x, (6,), w, b))),
    Wrong("decompose", decompose._body_values, "op.attribute_values()",
          "{k: 0 if k == 'dim' else v for k, v in op.attribute_values().items()}",
          of_three(lambda x, w, b: ot.softmax(x * w, dim=1) + b)),
    Wrong("simplify", algebra_of("negated_summand"), "sub(x, y)", "sub(y, x)",
          of_three(lambda x, w, b: x * w + -(b * 2.0))),
    Wrong("simplify", fold.fold_pointwise, "result.array.item()", "result.array.item() + 1",
          of_three(lambda x, w, b: x * (ot.full((), 2.0) * ot.full((), 3.0)))),
    Wrong("simplify", simplify._key, "tuple(op.properties.items())", "len(op.properties)",
          of_three(lambda x, w, b: x.sum(0) - x.sum(1) * w)),
    Wrong("simplify", views.merge_permutes, "[before[axis] for axis in order]",
          "[order[axis] for axis in before]",
          of_a_cube(lambda x: x.permute(1, 2, 0).permute(0, 2, 1) + x)),
    Wrong("simplify", views.merge_slices, "start=first + start, stop=first + stop",
          "start=start, stop=stop", of_a_cube(lambda x: x[1:][:2] * 2.0)),
    Wrong("split", split.split, "kept + cotangents", "kept + cotangents[::-1]", two_results),
    Wrong("join_products", join_products._join, "for p in products]",
          "for p in products[:: 1 - 2 * i]]", thin_products),
    Wrong("fuse", fuse._Body.build, "for v in self.outputs]", "for v in self.outputs[::-1]]",
          of_three(lambda x, w, b: (x * w, (x * w).tanh()))),
    Wrong("fuse", fuse._Rebuilding._call, "for v in op.operands]", "for v in op.operands[::-1]]",
          products),
    Wrong("fuse", prepare._reduced, "return OPS[name](x", "return OPS['amax'](x",
          of_a_cube(lambda x: (x * x).sum((0, 2)))),
    Wrong("lower", fused.store_all, "zip(outputs, values", "zip(outputs, values[::-1]",
          of_three(lambda x, w, b: (x * w, (x * w).tanh()))),
    Wrong("lower", rows._Rows._folding, "[n.combiner for n in work.folds]",
          "['max' for n in work.folds]", of_three(lambda x, w, b: ot.softmax(x, dim=-1) * w)),
    Wrong("batch", batch.batch, "if target.most_batched", SWAPPED, changed_in_place),
    Wrong("plan_memory", place.place, "_best_gap(taken, size)", "0", products),
    Wrong("plan_memory", place._best_gap, "reached if best is None", "0 if best is None",
          products),
    Wrong("codegen", scalar_ops.lower, "op, operands)",
          "op, operands[::-1] if op.name == 'arith.subf' else operands)", changed_in_place),
    Wrong("codegen", combine.identity, '"max": -math.inf', '"max": 9.0',
          of_three(lambda x, w, b: x.amax(1) * w)),
    Wrong("codegen", combine.across_lanes, "for first in (0, half)", "for first in (0, 0)",
          of_three(lambda x, w, b: (x * w).sum(1))),
    Wrong("codegen", program._Serializing._launch, "(*op.arguments,", "(*op.arguments[::-1],",
          of_three(lambda x, w, b: w / b)),
]  # fmt: skip
"""At least one in every pass, in the split of forward and backward, and in code generation."""
