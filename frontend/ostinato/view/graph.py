"""The graph of a block of ops, laid out in rows: who reads what, from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from ..ir.dialects.program import CallOp, LaunchOp, ResultOp, UploadOp
from ..passes.memory.check import Span, span_of

Node = Operation | BlockArgument
Edges = dict[tuple[Node, Node], SSAValue]
"""From who makes a value to who reads it."""

ROUNDS = 6
"""Sweeps that move nodes over their neighbours; more change little."""


@dataclass(frozen=True)
class Graph:
    """The nodes of a block at rows and columns, and its edges; what nobody reads is there, an
    argument only if somebody reads it."""

    places: dict[Node, tuple[int, float]]
    edges: Edges


def graph_of(block: Block) -> Graph:
    """The graph of the ops that stand in `block`, with those inside of them folded."""
    edges = _memory_edges(block) if _is_planned(block) else _value_edges(block)
    graph: nx.DiGraph[Node] = nx.DiGraph()
    hidden = _places(block) if _is_planned(block) else set[Node]()
    graph.add_nodes_from(op for op in block.ops if op not in hidden)
    graph.add_edges_from(edges)
    return Graph(_columns(graph, _rows(graph)), edges)


def _value_edges(block: Block) -> Edges:
    edges: Edges = {}
    for op in block.ops:
        for value in _read_by(op):
            maker = value if isinstance(value, BlockArgument) else value.owner
            inside = value.block is block if isinstance(value, BlockArgument) else (
                isinstance(maker, Operation) and maker.parent is block
            )  # fmt: skip
            if inside and isinstance(maker, Operation | BlockArgument):
                edges.setdefault((maker, op), value)
    return edges


def _read_by(op: Operation) -> Iterator[SSAValue]:
    for inner in op.walk():
        yield from inner.operands


def _is_planned(block: Block) -> bool:
    return any(isinstance(op, LaunchOp | CallOp | UploadOp) and op.into for op in block.ops)


def _places(block: Block) -> set[Node]:
    """Ops that only name memory."""
    return {
        op
        for op in block.ops
        if op.name.startswith("program.")
        and not isinstance(op, LaunchOp | CallOp | UploadOp | ResultOp)
    }


def _memory_edges(block: Block) -> Edges:
    """Edges of a planned program: from who wrote bytes last to who reads them."""
    edges: Edges = {}
    written: dict[Span, Operation] = {}
    for op in block.ops:
        read, into = _operands(op)
        for value in read:
            span = span_of(value)
            for other, writer in written.items():
                if other.meets(span):
                    edges.setdefault((writer, op), value)
        if isinstance(op, ReturnOp):
            edges |= {(v.owner, op): v for v in op.operands if isinstance(v.owner, Operation)}
        for value in into:
            span = span_of(value)
            written = {s: w for s, w in written.items() if not _covers(span, s)} | {span: op}
    return edges


def _operands(op: Operation) -> tuple[list[SSAValue], list[SSAValue]]:
    """The memory that an op reads and writes."""
    if isinstance(op, LaunchOp | CallOp | UploadOp):
        return [a for a in op.arguments if _is_memory(a)], list(op.into)
    return [a for a in op.operands if isinstance(op, ResultOp)], []


def _is_memory(value: SSAValue) -> bool:
    return str(value.type).startswith("memref")


def _covers(outer: Span, inner: Span) -> bool:
    same = outer.memory == inner.memory
    return same and outer.first <= inner.first and inner.last <= outer.last


def _rows(graph: nx.DiGraph[Node]) -> dict[Node, int]:
    """Each node below all that it reads; what reads nothing just above its first reader."""
    order = list(nx.topological_sort(graph))
    rows: dict[Node, int] = {}
    for node in order:
        rows[node] = 1 + max((rows[p] for p in graph.predecessors(node)), default=0)
    for node in order:
        readers = [rows[r] for r in graph.successors(node)]
        if readers and not graph.in_degree(node):
            rows[node] = min(readers) - 1
    return rows


def _columns(graph: nx.DiGraph[Node], rows: dict[Node, int]) -> dict[Node, tuple[int, float]]:
    """Nodes of a row beside each other, near to what they read and to who reads them."""
    lanes: dict[int, list[Node]] = {}
    for node, row in rows.items():
        lanes.setdefault(row, []).append(node)
    at = {node: float(i) for lane in lanes.values() for i, node in enumerate(lane)}
    for turn in range(ROUNDS):
        downwards = turn % 2 == 0
        for row in sorted(lanes, reverse=not downwards):
            near = graph.predecessors if downwards else graph.successors
            _spread(lanes[row], at, {n: [at[m] for m in near(n)] for n in lanes[row]})
    return {node: (row, at[node]) for node, row in rows.items()}


def _spread(lane: list[Node], at: dict[Node, float], near: dict[Node, list[float]]) -> None:
    """Puts the nodes of a lane at the mean of their neighbours, in that order, one apart."""
    wanted = {n: sum(near[n]) / len(near[n]) if near[n] else at[n] for n in lane}
    lane.sort(key=wanted.__getitem__)
    edge = float("-inf")
    for node in lane:
        at[node] = edge = max(wanted[node], edge + 1)
    # Pushing apart goes to the right only, so the lane is moved back by what it was pushed.
    shift = sum(at[n] - wanted[n] for n in lane) / len(lane)
    for node in lane:
        at[node] -= shift
