"""One sweep over a graph: folding, algebra, views of views, common subexpressions, dead code.

Ops are visited in order, and every rewrite looks only at what computes its operands, which is
simple already; what a rewrite makes is visited next. So one sweep reaches the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue

from ..ir.dialects.ot import ConstantOp, GradientOp, TableOp
from ..ir.graph import GraphBuilder, GraphTensor, type_of
from ..ir.op import OPS, Type, building
from . import views
from .algebra import Application, Pair, Variable, is_symmetric, pairs_for
from .fold import fold_pointwise, fold_view, number_of
from .rewriter import blocks_of, erase_dead, replace, stand_before, take_lines
from .trail import OFF, Trail


def simplify(module: ModuleOp, fast_math: bool = False, trail: Trail = OFF) -> None:
    """Makes the graph smaller, bit for bit the same; with `fast_math` also by rewrites that are
    true of real numbers only."""
    for block in blocks_of(module):
        erase_dead(block, trail)
        _Sweep(block, fast_math, trail).run()
        erase_dead(block, trail)


class _Builder(GraphBuilder):
    """Takes constants from the sweep's table, so that equal ones stay one."""

    def __init__(self, block: Block, known: dict[Any, Operation]) -> None:
        super().__init__(block)
        self.known = known

    def constant(self, value: bool | int | float) -> GraphTensor:
        made = ConstantOp.of(value)
        found = self.known.get(_key(made))
        if found is not None:
            return self.wrap(found.results[0])
        new = super().constant(value)
        assert isinstance(new.value.owner, ConstantOp), "a constant is made by ot.constant"
        self.known[_key(new.value.owner)] = new.value.owner
        return new


class _Sweep:
    """The state of one sweep: what was seen before, by what it computes."""

    def __init__(self, block: Block, fast_math: bool, trail: Trail) -> None:
        self.block, self.fast_math, self.trail = block, fast_math, trail
        self.known: dict[Any, Operation] = {}
        self.builder = _Builder(block, self.known)
        self.has_gradients = any(isinstance(op, GradientOp) for op in block.ops)

    def run(self) -> None:
        """Visits every op of the block, and what rewrites put there."""
        with building(self.builder):
            op = self.block.first_op
            while op is not None and not self.trail.done:
                op = self.visit(op)

    def visit(self, op: Operation) -> Operation | None:
        """Rewrites `op` or notes it, and gives the op to go on with."""
        if not isinstance(op, (TableOp, ConstantOp)):
            return op.next_op
        before = op.prev_op
        found = self.rewritten(op) if isinstance(op, TableOp) else None
        if found is not None:
            name, value = found
            replace(op, [value.value])
            self.trail.note(name, op)
            return self.block.first_op if before is None else before.next_op
        following = op.next_op
        same = self.known.setdefault(_key(op), op)
        if same is not op:
            take_lines(same, op)
            replace(op, same.results)
            self.trail.note("same", op)
        return following

    def rewritten(self, op: TableOp) -> tuple[str, GraphTensor] | None:
        """The name of a rewrite, and what the (only) result of `op` becomes by it, if anything."""
        if len(op.results) != 1:
            return None
        name = op.SCHEMA.name
        stand_before(self.builder, op)
        if name in _FOR_GRADIENTS and not self.has_gradients:
            rewrite = _FOR_GRADIENTS[name]
            value = rewrite(op, self.builder)
            return None if value is None else (rewrite.__name__, value)
        for rewrite in _code_rewrites().get(name, ()):
            stand_before(self.builder, op, _with_sources(op))
            if (value := rewrite(op, self.builder)) is not None:
                return rewrite.__name__, value
        for fold in (fold_pointwise, fold_view):
            if (value := fold(op, self.builder)) is not None:
                return fold.__name__, value
        for pair in pairs_for(name, self.fast_math):
            if (value := _by_pair(pair, op, self.builder)) is not None:
                return pair.name, value
        return None


_FOR_GRADIENTS = {"detach": views.unchanged, "changed": views.changed_value}
"""What is left of ops that tell gradients where to go, once these are expanded."""


@cache
def _code_rewrites() -> dict[str, list[views.Rewrite]]:
    return views.rewrites()


def _with_sources(op: TableOp) -> list[Operation]:
    owners = (v.owner for v in op.operands)
    return [op, *(o for o in owners if isinstance(o, TableOp))]


def _key(op: Operation) -> Any:
    """Equal for ops that compute the same."""
    operands: Sequence[SSAValue] = op.operands
    if isinstance(op, TableOp) and len(operands) == 2 and is_symmetric(op.SCHEMA):
        operands = sorted(operands, key=id)
    return op.name, tuple(operands), tuple(op.properties.items())


def _by_pair(pair: Pair, op: TableOp, builder: GraphBuilder) -> GraphTensor | None:
    before, after = pair.sides
    bound: dict[int, SSAValue] = {}
    matched: list[Operation] = []
    if not _matches(before, op.results[0], bound, matched) or not _applies(pair, bound, op):
        return None
    values = {i: builder.wrap(v) for i, v in bound.items()}
    if _type_after(after, values) != type_of(op.results[0]):
        return None
    stand_before(builder, op, matched)
    return _built(after, values)


def _matches(
    pattern: Any, value: SSAValue, bound: dict[int, SSAValue], matched: list[Operation]
) -> bool:
    """Whether `value` is what `pattern` describes, with variables as `bound` has them."""
    if isinstance(pattern, Variable):
        return bound.setdefault(pattern.index, value) is value
    if not isinstance(pattern, Application):
        return _is_number(value, pattern)
    owner = value.owner
    if not isinstance(owner, TableOp) or owner.SCHEMA is not pattern.op:
        return False
    matched.append(owner)
    pairs = zip(pattern.operands, owner.operands, strict=True)
    return all(_matches(p, v, bound, matched) for p, v in pairs)


def _is_number(value: SSAValue, wanted: bool | int | float) -> bool:
    found = number_of(value)
    if found is None or isinstance(found, bool) != isinstance(wanted, bool):
        return False
    return found == wanted and math.copysign(1, found) == math.copysign(1, wanted)


def _applies(pair: Pair, bound: dict[int, SSAValue], op: TableOp) -> bool:
    """Whether the variables have the dtype of the result, for which the rule was shown."""
    dtype = type_of(op.results[0]).dtype
    for index, value in bound.items():
        of = type_of(value)
        expected = "bool" if index < pair.conditions else dtype.name
        if of.wrapped or of.dtype.name != expected:
            return False
    return pair.holds(dtype)


def _type_after(after: Any, values: dict[int, GraphTensor]) -> Type:
    if isinstance(after, Variable):
        value = values[after.index]
        return Type(value.shape, value.dtype, value.wrapped)
    assert isinstance(after, Application), "a right side is an op or a variable"
    return after.op.infer([_type_after(o, values) for o in after.operands], after.attrs)[0]


def _built(after: Any, values: dict[int, GraphTensor]) -> GraphTensor:
    if isinstance(after, Variable):
        return values[after.index]
    return OPS[after.op.name](*(_built(o, values) for o in after.operands), **after.attrs)
