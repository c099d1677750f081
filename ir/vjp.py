"""Reverse-mode differentiation of a list of op applications, for any kind of value.

The gradient rules of the op table are written once; this walks a list of nodes backward and applies
them. What a rule builds depends on the class of the values: IR ops (`ir/graph.py`), nodes of a
symbolic trace (`ir/symbolic.py`) or arrays. Values are hashable and compare by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import GradientError
from .op import OPS, Builder, Op, Value, building, current_builder, is_list


class Node(Protocol):
    """An applied op: one entry of `operands` for each operand of the op (a list for a list
    operand, None for an absent one), every attribute by name, one value for each result."""

    @property
    def op(self) -> Op: ...
    @property
    def operands(self) -> Sequence[Any]: ...
    @property
    def attrs(self) -> Mapping[str, Any]: ...
    @property
    def results(self) -> Sequence[Any]: ...


@dataclass(frozen=True, eq=False)
class Applied:
    """The plain form of `Node`."""

    op: Op
    operands: tuple[Any, ...]
    attrs: dict[str, Any]
    results: tuple[Any, ...]


def pull_back(
    nodes: Sequence[Node],
    cotangents: Mapping[Any, Any],
    wanted: Iterable[Any],
    entering: Callable[[Any], object] = lambda node: None,
) -> dict[Any, Any]:
    """The cotangents of `wanted`, given those of some values that `nodes` (in order) compute.

    A wanted value may be an input or an intermediate result; one that no cotangent reaches is not
    in the answer. Each cotangent has its value's shape and dtype. Rules run only between `wanted`
    and `cotangents`; of a rule's answers those that no one needs are left to dead-code removal.
    `entering` is called with each node before its rule runs.
    GradientError where the way leads through an op with a float result and neither rule nor body.
    """
    wanted = list(dict.fromkeys(wanted))
    way = WayBack(nodes, cotangents, wanted)
    for node in way.nodes():
        entering(node)
        way.through(node)
    return {v: way.total[v] for v in wanted if v in way.total}


class WayBack:
    """`pull_back` node by node: `total` holds the cotangents of what the walk has come to."""

    def __init__(
        self, nodes: Sequence[Node], cotangents: Mapping[Any, Any], wanted: Sequence[Any]
    ) -> None:
        self.total = dict(cotangents)
        self._nodes, self._active = nodes, _active(nodes, wanted)

    def nodes(self) -> Iterator[Any]:
        """The nodes to go `through`, last first; each is looked at when its turn comes."""
        for node in reversed(self._nodes):
            leads = any(v in self._active for v in flatten(node.operands))
            if leads and any(g is not None for g in self._given(node)):
                yield node

    def through(self, node: Node) -> None:
        """Adds the cotangents of the operands of `node` to `total`, by its rule."""
        total = self.total
        for value, g in _operand_cotangents(node, self._given(node), self._active):
            total[value] = OPS["add"](total[value], g) if value in total else g

    def _given(self, node: Node) -> list[Any]:
        return [self.total.get(r) if r in self._active else None for r in node.results]


def summed(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """The cotangents of values by value; a value that comes more than once has the sum."""
    total: dict[Any, Any] = {}
    for value, g in pairs:
        total[value] = OPS["add"](total[value], g) if value in total else g
    return total


def unbroadcast(g: Any, shape: Sequence[Any]) -> Any:
    """`g` summed over the axes along which a value of `shape` was broadcast to the shape of `g`.

    These are the extra leading axes and those that are the integer 1 in `shape` alone; symbolic
    sizes are equal by construction. Leading axes of size 1 that `g` lacks come back.
    """
    lead = g.ndim - len(shape)
    if lead < 0:
        missing = shape[:-lead]
        assert all(map(_is_one, missing)), f"a cotangent of shape {g.shape} for {tuple(shape)}"
        return OPS["reshape"](unbroadcast(g, shape[-lead:]), shape=tuple(shape))
    ones = [i for i, s in enumerate(shape, lead) if _is_one(s) and not _is_one(g.shape[i])]
    if not lead and not ones:
        return g
    axes = (*range(lead), *ones)
    if not lead:
        return OPS["sum"](g, dim=axes, keepdim=True)
    g = OPS["sum"](g, dim=axes, keepdim=False)
    return OPS["reshape"](g, shape=tuple(shape)) if ones else g


def _is_one(size: Any) -> bool:
    return isinstance(size, int) and size == 1


def flatten(operands: Iterable[Any]) -> list[Any]:
    """The values among `operands`: lists spread out, numbers and absent operands left out."""
    flat: list[Any] = []
    for o in operands:
        if is_list(o):
            flat += [v for v in o if isinstance(v, Value)]
        elif isinstance(o, Value):
            flat.append(o)
    return flat


def _active(nodes: Sequence[Node], wanted: Sequence[Any]) -> set[Any]:
    """The values that a change of `wanted` changes differentiably; `detach` ends every way."""
    active: set[Any] = set(wanted)
    for node in nodes:
        ends = node.op.name == "detach"
        if not ends and any(v in active for v in flatten(node.operands)):
            active.update(r for r in node.results if r.dtype.is_floating_point)
    return active


def _operand_cotangents(
    node: Node, given: Sequence[Any], active: set[Any]
) -> Iterable[tuple[Any, Any]]:
    """(value, cotangent) for each active operand of `node`; one value may come more than once."""
    op = node.op
    if op.vjp_rule is not None:
        answers = _by_rule(node, given)
    elif op.kind == "composite":
        yield from _through_body(node, given, active)
        return
    else:
        raise GradientError(
            f"{op.name}: has no gradient, and one was asked for through it; "
            "call it on a detached tensor or outside of the differentiated part"
        )
    for operand, answer in zip(node.operands, answers, strict=True):
        pairs = (
            zip(operand, answer or (), strict=False) if is_list(operand) else ((operand, answer),)
        )
        for value, g in pairs:
            if g is not None and isinstance(value, Value) and value in active:
                yield value, _fitted(op, g, value)


def _by_rule(node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """The rule's answers; of an op with several results, absent cotangents come to it as None."""
    assert node.op.vjp_rule is not None
    g, y = (given[0], node.results[0]) if len(given) == 1 else (tuple(given), tuple(node.results))
    answers = node.op.vjp_rule(g, y, *node.operands, **node.attrs)
    assert is_list(answers), f"the gradient rule of {node.op.name} gives no tuple"
    assert len(answers) == len(node.operands), (
        f"the gradient rule of {node.op.name} answers for {len(answers)} of "
        f"{len(node.operands)} operands"
    )
    return answers


def _fitted(op: Op, g: Any, value: Any) -> Any:
    """`g` with the shape and dtype of `value`."""
    g = unbroadcast(g, value.shape)
    known = [(a, b) for a, b in zip(g.shape, value.shape, strict=True) if _both_known(a, b)]
    assert all(a == b for a, b in known), (
        f"the gradient rule of {op.name} gives shape {g.shape} for an operand of {value.shape}"
    )
    return g if g.dtype is value.dtype else OPS["to"](g, dtype=value.dtype)


def _both_known(a: Any, b: Any) -> bool:
    return isinstance(a, int) and isinstance(b, int)


def _through_body(node: Node, given: Sequence[Any], active: set[Any]) -> Iterable[tuple[Any, Any]]:
    """The cotangents of a composite's operands, from its body, which is built once more."""
    nodes, results = record_body(node.op, node.operands, node.attrs)
    seeds = summed((v, g) for v, g in zip(results, given, strict=True) if g is not None)
    inputs = [v for v in flatten(node.operands) if v in active]
    yield from pull_back(nodes, seeds, inputs).items()


def record_body(
    op: Op, operands: Sequence[Any], attrs: Mapping[str, Any]
) -> tuple[list[Applied], list[Any]]:
    """The body of the composite `op`, built on `operands`: what it applied, and its results."""
    nodes: list[Applied] = []
    named = {p.name: _recorded(o, nodes) for p, o in zip(op.operands, operands, strict=True)}
    with building(_RecordingBuilder(nodes, current_builder())):
        result = op.body(**named, **attrs)
    results = _plain(result)
    return nodes, list(results) if is_list(results) else [results]


class _Recording(Value):
    """A value that has ops applied by the value inside and notes each in a list."""

    def __init__(self, value: Any, nodes: list[Applied]) -> None:
        self.value, self.nodes = value, nodes
        self.shape, self.dtype = value.shape, value.dtype
        self.wrapped = getattr(value, "wrapped", False)

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        plain = [_plain(o) for o in operands]
        first = next(v for v in flatten(plain))
        result = first.apply_op(op, plain, attrs)
        results = tuple(result) if is_list(result) else (result,)
        self.nodes.append(Applied(op, tuple(plain), attrs, results))
        return _recorded(result, self.nodes)


class _RecordingBuilder(Builder):
    """Ops without operands in a body: applied by the builder outside, no gradient flows in."""

    def __init__(self, nodes: list[Applied], outside: Builder | None) -> None:
        self.nodes, self.outside = nodes, outside

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if self.outside is None:
            raise TypeError(f"{op.name}: an op without operands was called outside of `building`")
        return _recorded(self.outside.apply_op(op, operands, attrs), self.nodes)


def _recorded(value: Any, nodes: list[Applied]) -> Any:
    if is_list(value):
        return tuple(_recorded(v, nodes) for v in value)
    return _Recording(value, nodes) if isinstance(value, Value) else value


def _plain(value: Any) -> Any:
    if is_list(value):
        return [_plain(v) for v in value]
    return value.value if isinstance(value, _Recording) else value
