"""Gradient rules on symbols, and what the steps that they leave give on arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from op_cases import Case, flat
from ostinato.ir.dims import Dim
from ostinato.ir.interpret.arrays import ArrayTensor, apply, tensor
from ostinato.ir.op import building
from ostinato.ir.slots import Step
from ostinato.ir.symbolic import SymbolicCall, SymbolicTrace


def size_of(size: int | Dim, values: Mapping[Dim, int]) -> int:
    """A size, given those that its symbols stand for."""
    if isinstance(size, int):
        return size
    if size in values:
        return values[size]
    a, b = (size_of(s, values) for s in size.args)
    match size.kind:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "div":
            return a // b
        case "max":
            return max(a, b)
        case _:
            assert size.kind == "min"
            return min(a, b)


def gradients_by_symbols(
    case: Case, operands: Sequence[Any], results: Sequence[Any], cotangents: Sequence[Any]
) -> list[Any]:
    """The cotangent of each operand (lists spread out) as an array, None where none flows.

    The rule sees symbols for all sizes but 1, as it does when an eager gradient is derived.
    """
    arrays = [None if o is None else tensor(o) for o in flat(operands)]
    given = [
        None if c is None else ArrayTensor(np.asarray(c, r.array.dtype), r.dtype)
        for c, r in zip(cotangents, results, strict=True)
    ]
    trace = SymbolicTrace()
    call = SymbolicCall(
        trace, case.op.name, [_description(a) for a in arrays], [_description(r) for r in results],
        [case.attrs[p.name] for p in case.op.attrs],
    )  # fmt: skip
    sizes: dict[Dim, int] = {}
    values: dict[Any, Any] = {}
    for symbol, array in zip((*call.operands, *call.results), (*arrays, *results), strict=True):
        if symbol is not None:
            values[symbol] = array
            sizes.update(zip(symbol.shape, array.shape, strict=True))
    for p in case.op.attrs:
        sizes.update(_attribute_sizes(call.applied.attrs[p.name], case.attrs[p.name]))
    with building(trace):
        seeds = [
            None if g is None else trace.value(r) for g, r in zip(given, call.results, strict=True)
        ]
        values.update((s, g) for s, g in zip(seeds, given, strict=True) if s is not None)
        wanted = [a is not None and a.dtype.is_floating_point for a in arrays]
        outputs = call.gradients(seeds, wanted)
    values.update((v, tensor(x)) for v, x in trace.numbers.items())
    for step in trace.steps:
        _run(step, values, sizes)
    return [None if v is None else values[v].array for v in outputs]


def _description(of: Any) -> Any:
    if of is None:
        return None
    ones = sum(1 << i for i, size in enumerate(of.shape) if size == 1)
    return of.dtype, of.ndim, ones, of.wrapped


def _attribute_sizes(symbols: Any, given: Any) -> Mapping[Any, int]:
    if isinstance(symbols, Dim):
        return {symbols: given}
    if isinstance(symbols, tuple) and symbols and isinstance(symbols[0], Dim):
        return dict(zip(symbols, given, strict=True))
    return {}


def _run(step: Step, values: dict[Any, Any], sizes: Mapping[Dim, int]) -> None:
    assert step.op is not None, "a trace of one call holds calls only"
    rest = iter([None if v is None else values[v] for v in step.operands])
    spare = len(step.operands) - len(step.op.operands) + 1
    operands = [
        tuple(next(rest) for _ in range(spare)) if p.kind == "tensors" else next(rest)
        for p in step.op.operands
    ]
    attrs = {name: _known(value, sizes) for name, value in step.attrs.items()}
    results: Sequence[ArrayTensor] = apply(step.op, operands, attrs)
    values.update(zip(step.results, results, strict=True))


def _known(value: Any, sizes: Mapping[Dim, int]) -> Any:
    if isinstance(value, Dim):
        return size_of(value, sizes)
    if isinstance(value, tuple):
        return tuple(_known(v, sizes) for v in value)  # pyright: ignore[reportUnknownVariableType]
    return value
