"""The ops of a block as nodes, each with what it reads and the expression that it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xdsl.ir import Block, Operation, SSAValue

from ...ir.dialects.ot import TableOp
from ...ir.dtypes import DType
from ...ir.scalar.expression import Scalar, argument, cast, postorder
from ..target import Target
from .calls import COMBINERS, calls_of
from .expressions import (
    OperandKey,
    compact,
    constant_of,
    cost_of,
    pointwise_expression,
    wide,
)
from .index import Linear, broadcast, compose, identity
from .layouts import layouts_of
from .nodes import Arg, Condition, Gathered, Guard, Node
from .types import Shape, count, dtype_of, shape_of, type_of
from .views import Views, is_view


class Extraction:
    """The nodes of one block, in order; views and literals are no nodes. `calls` are what
    `calls_of` gives, where that is known."""

    def __init__(self, block: Block, target: Target,
                 calls: Mapping[Operation, None] | None = None) -> None:  # fmt: skip
        self.calls = calls_of(block) if calls is None else calls
        self.views = Views(block, self.calls, layouts_of(block))
        self.nodes: list[Node] = []
        self.of: dict[SSAValue, Node] = {}
        self._costs, self._default = target.op_costs, target.default_op_cost
        self._known: dict[tuple[Scalar, ...], float] = {}
        for op in block.ops:
            if isinstance(op, TableOp):
                self._add(op)

    def _add(self, op: TableOp) -> None:
        if is_view(op):
            if op.results[0] not in self.views.copies:
                return
            self._enter(self._copy(op))
        elif op.SCHEMA.elementwise and op not in self.calls:
            from .bodies import nodes_of

            for node in nodes_of(self, op):
                self._enter(node)
        else:
            self._enter(self._node(op))

    def _enter(self, node: Node) -> None:
        self.nodes.append(node)
        for result in [node.result] if node.family else node.op.results:
            self.of[result] = node

    def _node(self, op: TableOp) -> Node:
        from .special import SPECIAL

        schema = op.SCHEMA
        if op in self.calls:
            return self.opaque(op)
        if schema.is_pointwise:
            return self._pointwise(op)
        if schema.name in COMBINERS:
            return self._reduction(op) or self.opaque(op)
        return SPECIAL[schema.name](self, op)

    def opaque(self, op: Operation) -> Node:
        """A node that stays a call."""
        args = tuple(self._given(v) for v in op.operands)
        shape = shape_of(op.results[0])
        return Node(len(self.nodes), op, "call", op.results[0], shape, count(shape), args)

    def _given(self, value: SSAValue) -> Arg:
        """An operand of a call: a tensor in memory, or strides over one."""
        if self.views.in_memory(value) is None:
            return self.materialised(value, identity(count(shape_of(value))))
        return self.read(*self.views.source(value))

    def pointwise(
        self, op: Operation, expression: Scalar, args: Sequence[Arg],
        indices: Sequence[Linear] = (), conditions: Sequence[Condition] = (),
    ) -> Node:  # fmt: skip
        """A node whose result element n is `expression`."""
        shape = shape_of(op.results[0])
        return Node(
            len(self.nodes), op, "pointwise", op.results[0], shape, count(shape), tuple(args),
            tuple(indices), tuple(conditions), expression, self._cost((expression,)),
        )  # fmt: skip

    def _cost(self, roots: tuple[Scalar, ...]) -> float:
        """Nanoseconds for one element of each of `roots`."""
        cost = self._known.get(roots)
        if cost is None:
            cost = cost_of(postorder(roots), self._costs, self._default)
            self._known[roots] = cost
        return cost

    def family(self, op: Operation, roots: tuple[Scalar, ...], args: Sequence[Arg]) -> list[Node]:
        """A node for each result of `op`: expressions over the same `args`."""
        made: list[Node] = []
        for i, (root, result) in enumerate(zip(roots, op.results, strict=True)):
            shape = shape_of(result)
            cost = self._cost(roots[: i + 1]) - sum(n.cost for n in made)
            node = Node(
                len(self.nodes) + i, op, "pointwise", result, shape, count(shape), tuple(args)
            )
            node.expression, node.cost = root, cost
            made.append(node)
        for node in made:
            node.family = made
        return made

    def read(self, value: SSAValue, link: Linear, guard: Guard = (),
             gathered: tuple[Gathered, ...] = ()) -> Arg:  # fmt: skip
        """Element `link` of `value`, which is no view or a copy."""
        return Arg(value, self.of.get(value), link, guard, gathered)

    def arg(self, value: SSAValue, link: Linear | None = None) -> Arg:
        """Element `link` (n for None) of `value`, followed through views."""
        base, index = self.views.source(value)
        whole = index if link is None else compose(index, link)
        if whole is None:
            assert link is not None
            return self.materialised(value, link)
        return self.read(base, whole)

    def materialised(self, value: SSAValue, link: Linear, guard: Guard = ()) -> Arg:
        """Element `link` of a view that becomes a copy."""
        if value not in self.of:
            assert isinstance(value.owner, TableOp)
            self._enter(self._copy(value.owner))
        return self.read(value, link, guard)

    def _copy(self, op: TableOp) -> Node:
        dtype = dtype_of(op.results[0])
        shown = self.read(*self.views.shown(op.results[0]))
        return self.pointwise(op, argument(0, wide(dtype)), [shown])

    def _pointwise(self, op: TableOp) -> Node:
        target = shape_of(op.results[0])
        operands = op.operands
        keys: list[OperandKey] = []
        constants = tuple(constant_of(v) for v in operands)
        for v in operands:
            t = type_of(v)
            keys.append((t.dtype, t.ndim == 0, t.wrapped))
        attrs = tuple(op.attribute_values().items()) if op.SCHEMA.attrs else ()
        whole = pointwise_expression(
            op.SCHEMA.name, tuple(keys), constants, attrs, dtype_of(op.results[0])
        )
        expression, kept = compact(whole, len(operands))
        args: list[Arg] = []
        for i in kept:
            source = shape_of(operands[i])
            link = None if source == target else broadcast(source, target)
            args.append(self.arg(operands[i], link))
        return self.pointwise(op, expression, args)

    def _reduction(self, op: TableOp) -> Node | None:
        """None where the reduced axes are not side by side."""
        shape = shape_of(op.operands[0])
        axes = reduced_run(shape, op.attribute_values()["dim"])
        if axes is None:
            return None
        total = count(shape)
        outer, reduced = count(shape[: axes[0]]), count(shape[axes[0] : axes[1]])
        source = dtype_of(op.operands[0])
        inside = dtype_of(op.results[0])
        x = argument(0, wide(source))
        expression = cast(x, wide(inside))
        if reduced == 1:
            return self.pointwise(op, expression, [self.arg(op.operands[0])])
        return Node(
            len(self.nodes), op, "reduce", op.results[0], shape, total,
            (self.arg(op.operands[0]),), expression=expression, combiner=_combiner(op, inside),
            outer=outer, reduced=reduced, inner=total // (outer * reduced),
        )  # fmt: skip


def _combiner(op: TableOp, dtype: DType) -> str:
    kind = COMBINERS[op.SCHEMA.name]
    if kind in ("max", "min"):
        if dtype.name == "bool":
            return "any" if kind == "max" else "all"
        if dtype.is_integer and not dtype.signed:
            return f"u{kind}"
    return kind


def reduced_run(shape: Shape, dim: Any) -> tuple[int, int] | None:
    """[first, last) of the axes that `dim` names, leaving out axes of size 1; None if they are
    not side by side. (0, 0) where nothing is folded."""
    if dim is None:
        return 0, len(shape)
    dims = (dim,) if isinstance(dim, int) else dim
    axes = sorted(d % max(len(shape), 1) for d in dims)
    axes = [a for a in axes if a < len(shape) and shape[a] != 1]
    if not axes:
        return 0, 0
    if any(shape[a] != 1 for a in range(axes[0], axes[-1]) if a not in axes):
        return None
    return axes[0], axes[-1] + 1
