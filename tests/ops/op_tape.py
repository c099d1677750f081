"""A tape over arrays, and gradients taken on it by the rules of the op table."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.ir.interpret.arrays import ArrayTensor, apply, tensor
from ostinato.ir.op import Builder, Op, building
from ostinato.ir.vjp import Applied, pull_back


class TapeTensor(ArrayTensor):
    """An array whose ops are noted."""

    def __init__(self, tape: "Tape", of: ArrayTensor) -> None:
        super().__init__(of.array, of.dtype, of.wrapped)
        self.tape = tape

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The result, noted."""
        return self.tape.apply_op(op, operands, attrs)


class Tape(Builder):
    """What was applied, in order."""

    def __init__(self) -> None:
        self.nodes: list[Applied] = []

    def value(self, of: Any) -> Any:
        """A value of this tape; None stays."""
        if of is None or isinstance(of, TapeTensor):
            return of
        if isinstance(of, (list, tuple)):
            return tuple(self.value(v) for v in of)  # pyright: ignore[reportUnknownVariableType]
        return TapeTensor(self, tensor(of))

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The result, or the tuple of results, of `op`."""
        lifted = tuple(self.value(o) for o in operands)
        results = tuple(self.value(r) for r in apply(op, lifted, attrs))
        self.nodes.append(Applied(op, lifted, attrs, results))
        return results[0] if len(results) == 1 else results


def gradients(
    op: Op,
    operands: Sequence[Any],
    attrs: dict[str, Any],
    cotangents: Sequence[Any],
    through_body: bool = False,
) -> list[Any]:
    """The cotangent of each value among `operands` (lists spread out) as an array, None where none
    flows: by the rule of `op`, or by those of the ops in its body. A None among the cotangents of
    the results is not passed on."""
    tape = Tape()
    values = [tape.value(o) for o in operands]
    named = {p.name: v for p, v in zip(op.operands, values, strict=True)}
    with building(tape):
        made = (op.body if through_body else op)(**named, **attrs)
        results: list[Any] = list(made) if isinstance(made, tuple) else [made]  # pyright: ignore[reportUnknownArgumentType]
        seeds = {
            r: tape.value(ArrayTensor(np.asarray(c, r.array.dtype), r.dtype))
            for r, c in zip(results, cotangents, strict=True)
            if c is not None and r.dtype.is_floating_point
        }
        wanted = [v for o in values for v in (o if isinstance(o, tuple) else (o,))]  # pyright: ignore[reportUnknownVariableType]
        leaves = [v for v in wanted if isinstance(v, TapeTensor) and v.dtype.is_floating_point]
        found = pull_back(list(tape.nodes), seeds, leaves)
    return [found[v].array if v in found else None for v in wanted]  # pyright: ignore[reportUnknownArgumentType]
