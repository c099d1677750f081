"""Derives Programs for eager use: bodies of composites and gradients, for any sizes.

A call is traced over tensors whose sizes are symbols, except axes of size 1, so that what
broadcasts is known. The result is plain data, which the runtime turns into a Program; no IR library
is loaded for it, since eager code must never wait for a compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .dims import Dim
from .dtypes import DType, bool_, float64, int64
from .op import OPS, Builder, Op, Type, Value, building, is_list
from .slots import Step, to_program
from .vjp import Applied, pull_back, record_body

Description = tuple[DType, int, int, bool] | None
"""(dtype, rank, mask of the axes of size 1, is a number), None for an absent operand."""

_NUMBER_DTYPES = {bool: bool_, int: int64, float: float64}


class SymbolicTensor(Value):
    """A value of a symbolic trace."""

    def __init__(self, trace: SymbolicTrace, of: Type) -> None:
        self.trace = trace
        self.shape, self.dtype, self.wrapped = of.shape, of.dtype, of.wrapped

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        return self.trace.apply_op(op, operands, attrs)


class SymbolicTrace(Builder):
    """A list of op applications over symbolic values; numbers become constants of the Program."""

    def __init__(self) -> None:
        self.call = 0  # that steps are for
        self.steps: list[Step] = []
        self.numbers: dict[SymbolicTensor, bool | int | float] = {}

    def value(self, of: Type) -> SymbolicTensor:
        """A new value that no step computes."""
        return SymbolicTensor(self, of)

    def number(self, value: bool | int | float) -> SymbolicTensor:
        """A Python number as an operand."""
        made = self.value(Type((), _NUMBER_DTYPES[type(value)], wrapped=True))
        self.numbers[made] = value
        return made

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        lifted = tuple(self._lift(o) for o in operands)
        results = tuple(self.value(t) for t in op.infer(lifted, attrs))
        self.steps.append(
            Step("call", tuple(spread(lifted)), results, op, attrs, self.call, is_view=op.view)
        )
        return results[0] if len(results) == 1 else results

    def _lift(self, operand: Any) -> Any:
        if operand is None or isinstance(operand, SymbolicTensor):
            return operand
        if is_list(operand):
            return tuple(self._lift(o) for o in operand)
        return self.number(operand)


def spread(operands: Sequence[Any]) -> list[Any]:
    """Operands with those of lists one by one; absent ones stay."""
    return [v for o in operands for v in (o if is_list(o) else (o,))]


def derive(
    what: str, name: str, operands: Sequence[Description], results: Sequence[Description],
    attrs: Sequence[Any], wanted: Sequence[bool], given: Sequence[bool],
) -> dict[str, Any]:  # fmt: skip
    """The Program of a call, as data for the runtime.

    `what` is `forward` (inputs: the operands; outputs: the results) or `gradient` (inputs: the
    cotangents, which are absent but for those `given`, the results, the operands; outputs: for each
    operand that is `wanted` its cotangent, else none).
    """
    trace = SymbolicTrace()
    call = SymbolicCall(trace, name, operands, results, attrs)
    with building(trace):
        if what == "forward":
            node = call.applied
            _, outputs = record_body(node.op, node.operands, node.attrs)
            return to_program(trace.steps, call.operands, trace.numbers, outputs)
        seeds = [
            trace.value(Type(r.shape, r.dtype)) if g else None
            for r, g in zip(call.results, given, strict=True)
        ]
        outputs = call.gradients(seeds, wanted)
    inputs = [*seeds, *call.results, *call.operands]
    return to_program(trace.steps, inputs, trace.numbers, outputs)


class SymbolicCall:
    """A call as its structural key has it: operands, results and attributes over symbols.

    `index` tells the symbols of one call from those of others in the same trace. Without a name it
    is the call of something that is no op.
    """

    def __init__(
        self, trace: SymbolicTrace, name: str | None, operands: Sequence[Description],
        results: Sequence[Description], attrs: Sequence[Any], index: int = 0,
    ) -> None:  # fmt: skip
        self.op = None if name is None else OPS[name]
        self.index = index
        self.operands = [self._value(trace, d, "operand", i) for i, d in enumerate(operands)]
        self.results = [self._value(trace, d, "result", i) for i, d in enumerate(results)]
        self._attrs = attrs

    @property
    def applied(self) -> Applied:
        """The op on these operands, by its schema."""
        assert self.op is not None
        attrs = {
            p.name: self._attr(p.kind, i, v)
            for i, (p, v) in enumerate(zip(self.op.attrs, self._attrs, strict=True))
        }
        grouped = tuple(self.op.grouped(self.operands))
        return Applied(self.op, grouped, attrs, tuple(self.results))

    def gradients(self, cotangents: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
        """The cotangent of each operand that is `wanted`, else None; by the gradient rules."""
        inputs = [v for v, w in zip(self.operands, wanted, strict=True) if w]
        node = self.applied
        pairs = zip(self.results, cotangents, strict=True)
        found = pull_back([node], {r: g for r, g in pairs if g is not None}, inputs)
        return [found.get(v) if w else None for v, w in zip(self.operands, wanted, strict=True)]

    def _value(self, trace: SymbolicTrace, of: Description, symbol: str, at: int) -> Any:
        if of is None:
            return None
        dtype, ndim, ones, wrapped = of
        shape = tuple(1 if ones >> i & 1 else self._dim(symbol, at, i) for i in range(ndim))
        return trace.value(Type(shape, dtype, wrapped))

    def _dim(self, symbol: str, at: int, element: int) -> Dim:
        return Dim(symbol, (at, element, self.index))

    def _attr(self, kind: str, at: int, value: Any) -> Any:
        if value is None:
            return None
        if kind == "size":
            return self._dim("attr", at, -1)
        if kind == "sizes":
            return tuple(self._dim("attr", at, e) for e in range(len(value)))
        return value
