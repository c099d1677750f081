"""Derives the Program of a whole tape: every gradient rule on one trace, simplified together.

What it computes is, bit for bit, what backward computes node by node: the same ops on the same
values, sums of cotangents in the same order. Only what nobody needs is left out, what is computed
twice is computed once, and sums are written where their first operand is not read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .dtypes import DType
from .op import OPS, Type, building
from .slots import Step, to_program
from .symbolic import Description, SymbolicCall, SymbolicTrace

Edge = tuple[int, int, int]
"""Where the cotangent of an operand goes: (node or LEAF or NONE, its result, the input or NONE)."""

LEAF, NONE = -1, -2


@dataclass(frozen=True)
class TapeNode:
    """A recorded call, as `runtime/native/autograd/structure.hpp` has it.

    `kernels` are those of a pointwise op, for each operand: a mask of the arguments (cotangent,
    result, operands) that its printed gradient uses, and whether that passes the cotangent on; None
    where there is no gradient. Other ops have none, and are differentiated by their rules. A node
    without a name is no op: a function of its own gives cotangents of its edges, and `reach` has
    those that the cotangent of each result leads to.
    """

    name: str | None
    operands: Sequence[Description]
    results: Sequence[Description]
    attrs: Sequence[Any]
    edges: Sequence[Edge]
    kernels: Sequence[tuple[int, bool] | None] | None
    variant: int
    compute: DType
    reach: Sequence[Sequence[int]] | None = None


def derive_tape(
    nodes: Sequence[tuple[Any, ...]], root: int, inputs: Sequence[Edge]
) -> dict[str, Any]:
    """The Program of backward from result `root` of the first of `nodes`, which lead to later ones.

    Its input is the cotangent of that result. It serves as many calls as there are nodes. Outputs
    are the cotangents of `inputs`; without any, those of leaves are delivered to their grads.
    """
    return _Tape([TapeNode(*n) for n in nodes], inputs).program(root)


@dataclass(frozen=True)
class _Selected:
    """A sum of tensors that are zeros but for one of `parts` at one of `indices` along `dim`."""

    dim: int
    parts: tuple[Any, ...]
    indices: tuple[Any, ...]


class _Tape:
    def __init__(self, nodes: Sequence[TapeNode], inputs: Sequence[Edge]) -> None:
        self.trace = SymbolicTrace()
        self.nodes = nodes
        self.calls = [
            SymbolicCall(self.trace, n.name, n.operands, n.results, n.attrs, k)
            for k, n in enumerate(nodes)
        ]
        self.cotangents: dict[tuple[int, int], Any] = {}
        self.found: list[Any] = [None] * len(inputs)
        self.inputs = inputs
        self.selected: dict[Any, _Selected] = {}

    def program(self, root: int) -> dict[str, Any]:
        result = self.calls[0].results[root]
        seed = self.trace.value(Type(result.shape, result.dtype))
        with building(self.trace):
            self._arrive((0, root, NONE), seed)
            for k in range(len(self.nodes)):
                self._visit(k)
        return to_program(
            self.trace.steps, [seed], self.trace.numbers, self.found, serves=len(self.nodes)
        )

    def _visit(self, k: int) -> None:
        self.trace.call = k
        node, call = self.nodes[k], self.calls[k]
        given = [self.cotangents.get((k, r)) for r in range(len(call.results))]
        if any(g is not None for g in given):
            self._enter(k)
            if node.name is None:
                made = self._by_function(k, given)
            elif node.kernels is None:
                made = call.gradients(given, [to != NONE for to, _, _ in node.edges])
            else:
                made = [self._by_kernel(k, i, given[0]) for i in range(len(call.operands))]
            for i, g in enumerate(made):
                if g is not None:
                    self._deliver(k, i, g)
        self.trace.steps.append(Step("leave", (), call=k))

    def _by_function(self, k: int, given: Sequence[Any]) -> list[Any]:
        node = self.nodes[k]
        made = [self.trace.value(Type(v.shape, v.dtype)) for v in self.calls[k].operands]
        self.trace.steps.append(Step("function", tuple(given), tuple(made), call=k))
        assert node.reach is not None, "a function says where cotangents lead"
        leads = zip(given, node.reach, strict=True)
        reached = {i for g, edges in leads if g is not None for i in edges}
        return [
            g if edge[0] != NONE and i in reached else None
            for i, (g, edge) in enumerate(zip(made, node.edges, strict=True))
        ]

    def _enter(self, k: int) -> None:
        """The node is checked; what it saved comes into the trace, in its own slots after those
        of the cotangents."""
        call = self.calls[k]
        saved = [*call.results, *call.operands]
        slots = [len(call.results) + i for i, v in enumerate(saved) if v is not None]
        values = tuple(v for v in saved if v is not None)
        self.trace.steps.append(Step("enter", tuple(slots), values, call=k))

    def _by_kernel(self, k: int, i: int, g: Any) -> Any:
        node, call = self.nodes[k], self.calls[k]
        assert node.kernels is not None
        kernel = node.kernels[i]
        if kernel is None or node.edges[i][0] == NONE:
            return None
        uses, passes = kernel
        value = call.operands[i]
        if passes and _fits(call.results[0], value):
            return g
        arguments = [g, *call.results, *call.operands]
        operands = tuple(v for at, v in enumerate(arguments) if uses >> at & 1)
        more = {"variant": node.variant, "compute": node.compute.name, "dtype": value.dtype.name}
        made = self.trace.value(Type(value.shape, value.dtype))
        self.trace.steps.append(
            Step(
                "gradient", operands, (made,), call.op, call=k, operand=i, is_view=passes, more=more
            )
        )
        return made

    def _deliver(self, k: int, i: int, g: Any) -> None:
        to, index, given = self.nodes[k].edges[i]
        if to >= 0:
            self._arrive((to, index, NONE), g)
        elif to == LEAF and given >= 0:
            self._find(given, g)
        elif to == LEAF and not self.inputs:
            self.trace.steps.append(Step("deliver", (g,), call=k, operand=i))

    def _arrive(self, at: Edge, g: Any) -> None:
        for i, place in enumerate(self.inputs):
            if place[:2] == at[:2]:
                self._find(i, g)
        self.cotangents[at[:2]] = self._added(self.cotangents.get(at[:2]), g)

    def _find(self, i: int, g: Any) -> None:
        self.found[i] = self._added(self.found[i], g)

    def _added(self, a: Any, b: Any) -> Any:
        """The sum; of tensors that are zeros but for a part each, the parts are put together."""
        if (known := self._as_selected(b)) is not None:
            self.selected[b] = known
        before = self.selected.get(a)
        if known is None or before is None or known.dim != before.dim:
            return self._sum(a, b)
        parts = _Selected(known.dim, before.parts + known.parts, before.indices + known.indices)
        made = self.trace.value(Type(b.shape, b.dtype))
        more = {"dim": parts.dim, "size": b.shape, "index": parts.indices}
        op, call = OPS["select"], self.trace.call
        self.trace.steps.append(
            Step("sum_selected", parts.parts, (made,), op, call=call, more=more)
        )
        self.selected[made] = parts
        return made

    def _as_selected(self, value: Any) -> _Selected | None:
        """The one part of what the gradient rule of `select` has just made."""
        if value in self.selected:
            return self.selected[value]
        base, step = ([None, None, *self.trace.steps])[-2:]
        if base is None or step is None or step.results != (value,):
            return None
        ops = base.op is OPS["full"] and step.op is OPS["select_scatter"]
        if not ops or step.operands[0] is not base.results[0]:
            return None
        if self.trace.numbers.get(base.operands[0]) != 0:
            return None
        return _Selected(step.attrs["dim"], step.operands[1:], (step.attrs["index"],))

    @staticmethod
    def _sum(a: Any, b: Any) -> Any:
        return b if a is None else OPS["add"](a, b)


def _fits(result: Any, operand: Any) -> bool:
    """The cotangent of the result has the shape and dtype of the operand."""
    ones = [[s == 1 for s in v.shape] for v in (result, operand)]
    return ones[0] == ones[1] and result.dtype is operand.dtype
