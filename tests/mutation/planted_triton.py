"""Wrong rewrites in the generator of Triton kernels, and programs that meet them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ostinato.codegen.triton.emit import reduce, scalar
from planted_passes import Program, Wrong, changed_in_place, floats


def of_rows(fn: Callable[[Any], Any]) -> Program:
    """A function of rows that are no power of two, so that lanes are left over."""
    return lambda: (fn, (floats(5, 12),))


WRONG = [
    Wrong("codegen", reduce.identity, '"max": -_INFINITY', '"max": 9.0',
          of_rows(lambda x: x.amax(1) * 2.0)),
    Wrong("codegen", reduce.across, 'folded("tl.sum", wide)', 'folded("tl.max", wide)',
          of_rows(lambda x: (x * x).sum(1))),
    Wrong("codegen", reduce.summand, "if bound is not None:", "if bound == 0:",
          of_rows(lambda x: (x * 0.0 + 1.0).sum(1))),
    Wrong("codegen", scalar.scalar, "list(operands)",
          "list(operands[:: -1 if op.name == 'arith.subf' else 1])", changed_in_place),
]  # fmt: skip
