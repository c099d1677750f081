"""A backward graph for some of its cotangents: what only the others lead to is not there.

A cotangent that did not come is none at all, as in eager backward; taken for zeros it would make
NaN of an infinity that it is multiplied with. Backward is linear in cotangents, so a value of which
none came is absent, whatever op makes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue

from ..ir.dialects.ot import TableOp
from ..ir.graph import GraphBuilder, main_of
from ..ir.op import OPS, building
from .rewriter import replace, stand_before
from .split import backward_of


def narrow(module: ModuleOp, kept: int, came: Sequence[int], wanted: Sequence[int]) -> ModuleOp:
    """The module for the cotangents numbered `came` alone, which gives the gradients numbered
    `wanted`. `@main` of `module`, at stage `simplified`, takes `kept` values and then cotangents;
    its ops are changed."""
    func = main_of(module)
    cotangents: list[SSAValue] = [*func.args[kept:]]
    given = [cotangents[i] for i in came]
    absent = _Absent(func.body.block, given, set(cotangents) - set(given))
    end = func.body.block.last_op
    assert end is not None, "a function returns"
    gradients = [absent.filled(end.operands[i], end) for i in wanted]
    return backward_of(func, [*func.args[:kept], *given], gradients)


class _Absent:
    """Which values come of cotangents that are there, and of absent ones alone; what takes both is
    given the former."""

    def __init__(self, block: Block, given: Sequence[SSAValue], absent: set[SSAValue]) -> None:
        self._builder = GraphBuilder(block)
        self._there, self._absent = {*given}, absent
        for op in list(block.ops):
            self._visit(op)

    def filled(self, value: SSAValue, user: Operation) -> SSAValue:
        """`value`, or zeros for `user` where it is absent."""
        if value not in self._absent:
            return value
        stand_before(self._builder, user)
        like = self._builder.wrap(value)
        with building(self._builder):
            return OPS["full"](like.shape, 0, dtype=like.dtype).value

    def _visit(self, op: Operation) -> None:
        is_there = not self._there.isdisjoint(op.operands)
        if self._absent.isdisjoint(op.operands):
            if is_there:
                self._there.update(op.results)
        elif not is_there:
            self._absent.update(op.results)
        elif (other := self._other_summand(op)) is not None:
            replace(op, [other])
        else:
            for i, value in enumerate(op.operands):
                op.operands[i] = self.filled(value, op)
            self._there.update(op.results)

    def _other_summand(self, op: Operation) -> SSAValue | None:
        """What a sum with an absent value is; None where `op` is no such sum."""
        if not isinstance(op, TableOp) or op.SCHEMA.name != "add":
            return None
        other = next(v for v in op.operands if v not in self._absent)
        return other if other.type == op.results[0].type else None
