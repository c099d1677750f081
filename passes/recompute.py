"""What backward keeps of a forward Program and what it computes again: a minimum cut.

A forward value is either computed in the forward Program alone and kept, or computed again from
others that are. Keeping costs writing it, unless it is written anyway, and reading it; computing
again costs its scalar ops. The cheapest choice is a minimum cut between the region's inputs and
what the gradients read (as in Chen et al. 2016 and the min-cut partitioner of functorch), with
costs in nanoseconds of the target. What no kernel computes (a matrix product) is never computed
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from .fusion.extraction import Extraction
from .fusion.nodes import Node
from .fusion.types import bytes_of
from .target import Target

_PICO = 1000
_ENTRY, _EXIT = "entry", "exit"


@dataclass(frozen=True)
class Joint:
    """A graph at stage `simplified` with its gradients: its first `inputs` arguments and `results`
    results are those of the forward Program, the others are cotangents and gradients. The arguments
    `changed` have other elements once the forward Program ran."""

    func: FuncOp
    inputs: int
    results: int
    changed: frozenset[int] = frozenset()


def kept_values(joint: Joint, target: Target) -> list[SSAValue]:
    """The values that backward is given, inputs first, then in the order of their computation."""
    return _Problem(joint, target).solve()


@dataclass
class _Sides:
    """Values by where they may be computed: only after a cotangent came, or before."""

    late: set[SSAValue]
    needed: set[SSAValue]  # by the forward results
    stored: set[SSAValue]  # lie in memory after the forward Program, whatever backward wants


class _Problem:
    def __init__(self, joint: Joint, target: Target) -> None:
        block = joint.func.body.block
        end = block.last_op
        assert isinstance(end, ReturnOp)
        self.target = target
        self.region = Extraction(block, target)
        self.inputs = list(block.args[: joint.inputs])
        self.changed = {block.args[i] for i in joint.changed}
        self.gradients = self._bases(end.operands[joint.results :])
        returned = self._bases(end.operands[: joint.results])
        self.sides = self._sides(block.args[joint.inputs :], returned)

    def _bases(self, values: Iterable[SSAValue]) -> list[SSAValue]:
        """What views show: the values that nodes compute."""
        known = self.region.of
        return [v if v in known else self.region.views.source(v)[0] for v in values]

    def _sides(self, cotangents: Sequence[SSAValue], returned: Sequence[SSAValue]) -> _Sides:
        late: set[SSAValue] = set(cotangents)
        stored: set[SSAValue] = set(returned)
        for node in self.region.nodes:
            if any(a.value in late for a in node.args):
                late.update(node.op.results)
            elif node.is_opaque:
                stored.update(node.op.results)
        needed = set(returned)
        for node in reversed(self.region.nodes):
            if any(r in needed for r in node.op.results):
                needed.update(a.value for a in node.args)
        return _Sides(late, needed, stored & needed)

    def solve(self) -> list[SSAValue]:
        """The cut, by way of networkx: each value is an edge whose capacity is what keeping costs,
        and the way around it, from the entry, what computing it again does."""
        import networkx

        nx: Any = networkx
        graph = nx.DiGraph()
        graph.add_nodes_from((_ENTRY, _EXIT))
        for value in self.inputs:
            graph.add_edge(_ENTRY, (value, 0))
            graph.add_edge((value, 0), (value, 1), capacity=self._keeping(value))
        early: list[SSAValue] = list(self.inputs)
        read = [v for v in self.gradients if v not in self.sides.late]
        for node in self.region.nodes:
            if node.result in self.sides.late:
                read += [a.value for a in node.args if a.value not in self.sides.late]
                continue
            for result in node.op.results:
                early.append(result)
                graph.add_edge((result, 0), (result, 1), capacity=self._keeping(result))
                self._add_computing(graph, node, result)
                graph.add_edges_from(((a.value, 1), (result, 0)) for a in node.args)
        graph.add_edges_from(((value, 1), _EXIT) for value in read)
        flow = nx.algorithms.flow.boykov_kolmogorov
        _, (before, after) = nx.minimum_cut(graph, _ENTRY, _EXIT, flow_func=flow)
        return [v for v in early if (v, 0) in before and (v, 1) in after]

    def _add_computing(self, graph: Any, node: Node, result: SSAValue) -> None:
        """The cost of computing `result` in backward; none where forward has no use for it."""
        if result not in self.sides.needed:
            return
        if node.is_opaque:
            graph.add_edge(_ENTRY, (result, 0))
        else:
            graph.add_edge(_ENTRY, (result, 0), capacity=self._computing(node))

    def _keeping(self, value: SSAValue) -> int:
        passes = 2
        if value in self.sides.stored or value in self.inputs:
            passes = 1
        if value in self.changed:
            passes = 3  # a copy is made before the region changes it
        bytes_ = self.target.typical(bytes_of(value))
        cost = bytes_ * passes * self.target.byte_cost + self.target.operand_cost
        return round(cost * _PICO)

    def _computing(self, node: Node) -> int:
        each = node.cost
        if node.is_reduction:
            each += self.target.load_cost + self.target.default_op_cost
        return round(self.target.typical(node.count) * each * _PICO) + 1
