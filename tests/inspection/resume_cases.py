"""Programs whose dumps are edited, and edits of every step with what NumPy predicts of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import optim

Array = Any
X = np.random.default_rng(5).standard_normal((4, 5)).astype(np.float32)


def scaled(x: Any) -> Any:
    """A reduction and ops around it: one fusion."""
    y = x * 2.0
    return F.softmax(y, dim=-1) + 1.0


def chain(x: Any) -> Any:
    """A fusion that can be two."""
    y = (x * 2.0).exp()
    return y + 1.0


def trained(x: Any, w: Any) -> Any:
    """A region with gradients that are taken outside."""
    return ((x @ w) * 1.5).tanh().sum()


def with_break(x: Any) -> Any:
    """Two regions with a break between them."""
    y = x * 2.0
    if y.sum().item() > 1e6:
        return y
    return y * 3.0 + 1.0


def stepping() -> tuple[Callable[[Any, Any], Any], Any]:
    """A whole training step, and the weight that it changes."""
    w = ot.tensor(np.ones((5, 3), np.float32) / 4, requires_grad=True)
    opt = optim.SGD([w], lr=0.25)

    def step(x: Any, y: Any) -> Any:
        loss = ((x @ w * 1.5 - y) ** 2).mean()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss.detach()

    return step, w


def softmax(y: Array) -> Array:
    """Of the last axis."""
    e = np.exp(y - y.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def replaced_op(text: str) -> str:
    """The sum at the end is a difference."""
    made = text.replace("ot.add", "ot.sub").replace("arith.addf", "arith.subf")
    assert made != text
    return made


def constant(text: str, old: str = "2.000000e+00", new: str = "3.000000e+00") -> str:
    """A number is another one, wherever it is."""
    assert old in text
    return text.replace(old, new)


EDITS: dict[str, tuple[Callable[[str], str], Callable[[Array], Array]]] = {
    "constant": (constant, lambda x: softmax(x * 3) + 1),
    "op": (replaced_op, lambda x: softmax(x * 2) - 1),
}


# A fusion of `chain` split by hand. Ops need no source line: they take that of the op before them.

_KERNELS = """builtin.module {
  kernel.func @first(%x: !kernel.buffer<f32>, %o: !kernel.buffer<f32>) parallel %i to 20 vector {
    %0 = arith.constant 2.0 : f32
    %1 = kernel.load %x[affine_map<(d0) -> (d0)>(%i)] : !kernel.buffer<f32>
    %2 = arith.mulf %1, %0 : f32
    %3 = math.exp %2 : f32
    kernel.store %3, %o[affine_map<(d0) -> (d0)>(%i)] : !kernel.buffer<f32>
    kernel.return
  }
  kernel.func @second(%x: !kernel.buffer<f32>, %o: !kernel.buffer<f32>) parallel %i to 20 vector {
    %0 = arith.constant 1.0 : f32
    %1 = kernel.load %x[affine_map<(d0) -> (d0)>(%i)] : !kernel.buffer<f32>
    %2 = arith.addf %1, %0 : f32
    kernel.store %2, %o[affine_map<(d0) -> (d0)>(%i)] : !kernel.buffer<f32>
    kernel.return
  }
"""
_BODIES = {
    "fused": """    %0 = ot.fusion %x : (TENSOR) -> TENSOR attributes {kind = "pointwise"} {
    ^bb0(%1: TENSOR):
      %2 = ot.constant 2.0 : f64
      %3 = ot.mul %1, %2 : (TENSOR, !ot.number<f64>) -> TENSOR
      %4 = ot.exp %3 : (TENSOR) -> TENSOR
      ot.yield %4 : TENSOR
    }
    %5 = ot.fusion %0 : (TENSOR) -> TENSOR attributes {kind = "pointwise"} {
    ^bb1(%6: TENSOR):
      %7 = ot.constant 1.0 : f64
      %8 = ot.add %6, %7 : (TENSOR, !ot.number<f64>) -> TENSOR
      ot.yield %8 : TENSOR
    }
    func.return %5 : TENSOR
""",
    "kernels": """    %0 = program.launch @first(%x) : (TENSOR) -> TENSOR
    %1 = program.launch @second(%0) : (TENSOR) -> TENSOR
    func.return %1 : TENSOR
""",
    "planned": """    %0 = program.input %x : TENSOR -> MEMORY
    %1 = program.arena 0 : MEMORY
    program.launch @first(%0) into (%1) : (MEMORY, MEMORY) -> ()
    %2 = program.output 0 : MEMORY
    program.launch @second(%1) into (%2) : (MEMORY, MEMORY) -> ()
    %3 = program.result %2 : MEMORY -> TENSOR
    func.return %3 : TENSOR
""",
}


def split_by_hand(text: str, stage: str) -> str:
    """A dump of `chain` at that stage, whose one kernel is two."""
    (main,) = re.findall(r"  func\.func @main.*\n", text)
    main = main.replace("arena_bytes = 0", "arena_bytes = 128")
    (end,) = re.findall(r"\n(  \} loc\(.*\)\n\} loc\(.*\)\n)$", text)
    body = _BODIES[stage].replace("TENSOR", "tensor<4x5xf32>").replace("MEMORY", "memref<4x5xf32>")
    return ("builtin.module {\n" if stage == "fused" else _KERNELS) + main + body + end
