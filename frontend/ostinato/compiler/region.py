"""One captured region: from a C++ trace to IR, and from outputs of a Program to what users see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..ir.op import OPS, Op
from ..runtime import _C
from .live import LiveNumber, Session

Source = Callable[[Sequence[Any]], Any]
"""Finds an input of the region given the leaves of the call's arguments."""


@dataclass(frozen=True)
class Node:
    """An op of the trace; `name` is None for a gradient."""

    name: str | None
    operands: list[int]
    results: list[int]
    attrs: list[Any]
    line: tuple[str, int] | None
    no_grad: bool


@dataclass
class Region:
    """A finished trace. `results` are the value ids of `@main`'s results: what is returned, new
    gradients, then what is written back; `writes` pairs (result, input) positions."""

    nodes: list[Node]
    values: list[tuple[str, Any, tuple[int, ...], bool, Any]]
    inputs: list[int]
    results: list[int]
    writes: list[tuple[int, int]]
    sources: list[Source]
    names: list[str]
    returned: list[Any]  # ("value", position) | ("live", read) | ("same", object)
    grads: list[tuple[Any, int | None]]  # (leaf, position among the results or None)
    grad_guards: list[tuple[Any, bool]]  # (leaf, had a gradient)
    guards: list[tuple[Any, Any, Any]]


def finish(
    tracer: Any, session: Session, leaves: Sequence[Any], outputs: Sequence[Any],
    names: dict[int, str],
) -> Region:  # fmt: skip
    """The region that `tracer` recorded, given argument leaves and the leaves that it returned."""
    returned: list[Any] = []
    results: list[int] = []
    for o in outputs:
        if isinstance(o, _C.Tensor):
            returned.append(("value", len(results)))
            results.append(tracer.value_of(o))
        elif isinstance(o, LiveNumber):
            returned.append(("live", o.read))
        else:
            returned.append(("same", o))
    changes = tracer.grad_changes()
    grads: list[tuple[Any, int | None]] = []
    for leaf, _, value, kept in changes:
        if kept:
            continue
        grads.append((leaf, None if value < 0 else len(results)))
        if value >= 0:
            results.append(value)
    inputs = list(tracer.inputs())
    position = {v: i for i, v in enumerate(inputs)}
    writes: list[tuple[int, int]] = []
    for target, value in tracer.writes():
        writes.append((len(results), position[target]))
        results.append(value)
    values = list(tracer.values())
    guards = [(leaf, before is not None) for leaf, before, _, _ in changes]
    before = {id(b): leaf for leaf, b, _, _ in changes if b is not None}
    return Region(
        [Node(*n) for n in tracer.nodes()], values, inputs, results, writes,
        [_source(values[v][4], v, session, leaves, before) for v in inputs],
        [names.get(id(values[v][4]), f"input{i}") for i, v in enumerate(inputs)],
        returned, grads, guards, session.guards,
    )  # fmt: skip


def _source(
    tensor: Any, value: int, session: Session, leaves: Sequence[Any], before: dict[int, Any]
) -> Source:
    if value in session.inputs:
        read = session.inputs[value]
        return lambda given: _C.number(read(given))
    for i, leaf in enumerate(leaves):
        if leaf is tensor:
            return lambda given: given[i]
    if id(tensor) in before:
        leaf = before[id(tensor)]
        return lambda given: leaf.grad
    return lambda given: tensor


def to_module(region: Region) -> Any:
    """The region as an IR module at stage `captured`."""
    from xdsl.dialects.builtin import StringAttr

    from ..ir.graph import NAME, close_main, open_main
    from ..ir.locations import line_location
    from ..ir.op import Type, building

    def type_of(value: int) -> Type:
        _, dtype, shape, wrapped, _ = region.values[value]
        return Type(tuple(shape), dtype, wrapped)

    unknown = line_location("<input>", 1)
    first = next((n.line for n in region.nodes if n.line), None)
    start = line_location(*first) if first else unknown
    module, builder, arguments = open_main(
        [type_of(v) for v in region.inputs],
        [{NAME: StringAttr(n)} for n in region.names],
        [start] * len(region.inputs),
    )
    made: dict[int, Any] = dict(zip(region.inputs, arguments, strict=True))
    builder.location = start

    def operand(value: int) -> Any:
        if value < 0:
            return None
        if value not in made:
            kind, _, _, _, tensor = region.values[value]
            assert kind == "number", f"value {value} of the trace is used before it is made"
            made[value] = builder.constant(_C.item_now(tensor))
        return made[value]

    with building(builder):
        for node in region.nodes:
            if node.line is not None:
                builder.location = line_location(*node.line)
            given = [operand(v) for v in node.operands]
            results = _build(builder, node, given)
            made.update(zip(node.results, results, strict=True))
    close_main(module, [operand(v) for v in region.results], region.writes, start)
    return module


def _build(builder: Any, node: Node, given: list[Any]) -> Sequence[Any]:
    if node.name is None:
        return builder.gradient(given[0], given[1], given[2:])
    op = OPS[node.name]
    attrs = {p.name: v for p, v in zip(op.attrs, node.attrs, strict=True)}
    made = builder.apply_op(op, _grouped(op, given), attrs)
    results: list[Any] = [*made] if isinstance(made, tuple) else [made]
    if node.no_grad and op.vjp_rule is not None and not op.name.endswith("_step"):
        results = [OPS["detach"](r) if r.dtype.is_floating_point else r for r in results]
    return results


def _grouped(op: Op, flat: list[Any]) -> list[Any]:
    params = op.operands
    spare = len(flat) - len(params) + 1
    out: list[Any] = []
    rest = list(flat)
    for p in params:
        out.append([rest.pop(0) for _ in range(spare)] if p.kind == "tensors" else rest.pop(0))
    return out
