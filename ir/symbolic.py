"""Derives Programs for eager use: bodies of composites and gradients, for any sizes.

A call is traced over tensors whose sizes are symbols, except axes of size 1, so that what
broadcasts is known. The result is plain data, which the runtime turns into a Program; no IR library
is loaded for it, since eager code must never wait for a compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from .dims import Dim
from .dtypes import DType, bool_, float64, int64
from .op import OPS, Builder, Op, Type, Value, building
from .vjp import Applied, pull_back, record_body

Description = tuple[DType, int, int, bool] | None
"""(dtype, rank, mask of the axes of size 1, is a number), None for an absent operand."""

_NUMBER_DTYPES = {bool: bool_, int: int64, float: float64}
_STEPS = ("constant", "operand", "result", "attr", "add", "sub", "mul", "div", "max", "min")


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
        self.nodes: list[Applied] = []
        self.numbers: dict[SymbolicTensor, bool | int | float] = {}

    def value(self, of: Type) -> SymbolicTensor:
        """A new value that no node computes."""
        return SymbolicTensor(self, of)

    def number(self, value: bool | int | float) -> SymbolicTensor:
        """A Python number as an operand."""
        made = self.value(Type((), _NUMBER_DTYPES[type(value)], wrapped=True))
        self.numbers[made] = value
        return made

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        lifted = tuple(self._lift(o) for o in operands)
        results = tuple(self.value(t) for t in op.infer(lifted, attrs))
        self.nodes.append(Applied(op, lifted, attrs, results))
        return results[0] if len(results) == 1 else results

    def _lift(self, operand: Any) -> Any:
        if operand is None or isinstance(operand, SymbolicTensor):
            return operand
        if isinstance(operand, (list, tuple)):
            return tuple(self._lift(o) for o in operand)  # pyright: ignore[reportUnknownVariableType]
        return self.number(operand)


def derive(
    what: str,
    name: str,
    operands: Sequence[Description],
    results: Sequence[Description],
    attrs: Sequence[Any],
    wanted: int,
) -> dict[str, Any]:
    """The Program of a call, as data for the runtime.

    `what` is `forward` (slots: the operands; outputs: the results) or `gradient` (slots: the
    cotangents, the results, the operands; outputs: for each operand whose bit is set in `wanted`
    its cotangent, else -1).
    """
    op = OPS[name]
    trace = SymbolicTrace()
    given = [_value(trace, d, "operand", i) for i, d in enumerate(operands)]
    made = [_value(trace, d, "result", i) for i, d in enumerate(results)]
    named = {
        p.name: _symbolic_attr(p.kind, i, v)
        for i, (p, v) in enumerate(zip(op.attrs, attrs, strict=True))
    }
    grouped = _grouped(op, given)
    with building(trace):
        if what == "forward":
            _, outputs = record_body(op, grouped, named)
            return _program(trace, op, given, outputs)
        seeds = [_value(trace, d, "result", i) for i, d in enumerate(results)]
        inputs = [v for i, v in enumerate(given) if wanted >> i & 1]
        node = Applied(op, tuple(grouped), named, tuple(made))
        floats = [r.dtype.is_floating_point for r in made]
        cotangents = {r: s for r, s, f in zip(made, seeds, floats, strict=True) if f}
        found = pull_back([node], cotangents, inputs)
    outputs = [found.get(v) if wanted >> i & 1 else None for i, v in enumerate(given)]
    return _program(trace, op, [*seeds, *made, *given], outputs)


def _value(trace: SymbolicTrace, of: Description, symbol: str, index: int) -> Any:
    if of is None:
        return None
    dtype, ndim, ones, wrapped = of
    shape = tuple(1 if ones >> i & 1 else Dim(symbol, (index, i)) for i in range(ndim))
    return trace.value(Type(shape, dtype, wrapped))


def _symbolic_attr(kind: str, index: int, value: Any) -> Any:
    if value is None:
        return None
    if kind == "size":
        return Dim("attr", (index, -1))
    if kind == "sizes":
        return tuple(Dim("attr", (index, e)) for e in range(len(value)))
    return value


def _grouped(op: Op, flat: Sequence[Any]) -> list[Any]:
    """Operands as the schema has them: what a list operand takes is put together again."""
    params = op.operands
    spare = len(flat) - len(params) + 1
    out: list[Any] = []
    rest = list(flat)
    for p in params:
        if p.kind == "tensors":
            out.append(tuple(rest[:spare]))
            del rest[:spare]
        else:
            out.append(rest.pop(0))
    return out


def _flat(operands: Sequence[Any]) -> list[Any]:
    out: list[Any] = []
    for o in operands:
        out += o if isinstance(o, (list, tuple)) else [o]
    return out


def _program(
    trace: SymbolicTrace, op: Op, inputs: Sequence[Any], outputs: Sequence[Any]
) -> dict[str, Any]:
    """Numbers the slots, drops what no output needs, and frees each slot after its last use."""
    nodes = _needed(trace.nodes, outputs)
    slots: dict[Any, int] = {v: i for i, v in enumerate(inputs) if v is not None}
    used = {v for n in nodes for v in _flat(n.operands) if v is not None} | set(outputs)
    fresh = count(len(inputs))
    slots.update((v, next(fresh)) for v in trace.numbers if v in used)
    slots.update((r, next(fresh)) for n in nodes for r in n.results)
    last = {v: i for i, n in enumerate(nodes) for v in _flat(n.operands) if v is not None}
    kept = {v for v in outputs if v is not None}
    instructions = [_instruction(n, i, slots, last, kept) for i, n in enumerate(nodes)]
    reads = sum(1 << i for i, v in enumerate(inputs) if v is not None and v in used)
    return {
        "slots": next(fresh),
        "numbers": [(slots[v], x) for v, x in trace.numbers.items() if v in slots],
        "instructions": instructions,
        "outputs": [-1 if v is None else slots[v] for v in outputs],
        "reads": reads,
    }


def _needed(nodes: Sequence[Applied], outputs: Sequence[Any]) -> list[Applied]:
    wanted = {v for v in outputs if v is not None}
    kept: list[Applied] = []
    for n in reversed(nodes):
        if any(r in wanted for r in n.results):
            kept.append(n)
            wanted.update(v for v in _flat(n.operands) if v is not None)
    return kept[::-1]


def _instruction(
    node: Applied, at: int, slots: dict[Any, int], last: dict[Any, int], kept: set[Any]
) -> tuple[Any, ...]:
    operands = _flat(node.operands)
    present = [v for v in operands if v is not None]
    frees = {slots[v] for v in present if last[v] == at and v not in kept}
    frees |= {slots[r] for r in node.results if r not in last and r not in kept}
    return (
        node.op.name,
        [-1 if v is None else slots[v] for v in operands],
        [slots[r] for r in node.results],
        [_attr_template(p.kind, node.attrs[p.name]) for p in node.op.attrs],
        sorted(frees),
    )


def _attr_template(kind: str, value: Any) -> tuple[str, Any]:
    if isinstance(value, Dim):
        return ("size", _size_code(value))
    if isinstance(value, tuple) and any(isinstance(v, Dim) for v in value):  # pyright: ignore[reportUnknownVariableType]
        return ("sizes", [_size_code(v) for v in value])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if kind == "float" and isinstance(value, int):
        return ("constant", float(value))
    return ("constant", value)  # pyright: ignore[reportUnknownVariableType]


def _size_code(size: int | Dim) -> list[tuple[int, int, int]]:
    """A size as postfix steps (kind, a, b)."""
    if isinstance(size, int):
        return [(0, size, 0)]
    kind = _STEPS.index(size.kind)
    if size.kind in ("operand", "result", "attr"):
        a, b = size.args
        assert isinstance(a, int) and isinstance(b, int)
        return [(kind, a, b)]
    return [step for part in size.args for step in _size_code(part)] + [(kind, 0, 0)]
