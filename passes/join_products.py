"""Thin products that are added up become one product of their operands end to end.

A weight that every step of a recurrence multiplies by gets its gradient as a sum of products, each
of a few rows: A1 B1 + A2 B2 + ... = [A1 A2 ...] [B1; B2; ...], which writes the sum once. The
elements are added up in another order than by the sum.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue

from ..ir.dialects.ot import TableOp
from ..ir.graph import GraphBuilder, GraphTensor, type_of
from ..ir.op import OPS, building
from .rewriter import blocks_of, erase_dead, replace, stand_before
from .trail import OFF, Trail

LEAST = 4
"""How many products are worth it."""


def join_products(module: ModuleOp, trail: Trail = OFF) -> None:
    """Joins the thin products of every sum that has at least LEAST of them."""
    for block in blocks_of(module):
        for root, terms in sums_of(block):
            if not trail.done and _join(block, root, terms):
                trail.note("join", root)
        erase_dead(block, trail)


def sums_of(block: Block) -> list[tuple[Operation, list[SSAValue]]]:
    """The ops that end sums, and what each sum adds up, in order."""
    ends = [op for op in block.ops if _is(op, "add") and not _is_part(op)]
    return [(op, _terms(op)) for op in ends]


def _is(op: object, name: str) -> bool:
    return isinstance(op, TableOp) and op.SCHEMA.name == name


def _is_part(add: Operation) -> bool:
    """Whether a sum is only there to be added to another."""
    result = add.results[0]
    return result.has_one_use() and all(
        _is(use.operation, "add") and use.operation.results[0].type == result.type
        for use in result.uses
    )


def _join(block: Block, root: Operation, terms: Sequence[SSAValue]) -> bool:
    """Rewrites the sum that `root` ends, if it is one to join."""
    thin = [t for t in terms if _is_thin(t)]
    if len(thin) < LEAST:
        return False
    products = [t.owner for t in thin if isinstance(t.owner, Operation)]
    builder = GraphBuilder(block)
    stand_before(builder, root, [*products, root])
    with building(builder):
        left, right = ([p.operands[i] for p in products] for i in (0, 1))
        total = OPS["matmul"](_end_to_end(builder, left, 1), _end_to_end(builder, right, 0))
        for term in terms:
            if term not in thin:
                total = total + builder.wrap(term)
    replace(root, [total.value])
    return True


def _terms(root: Operation) -> list[SSAValue]:
    """What the sum adds up, in order."""
    terms: list[SSAValue] = []
    waiting = list(reversed(root.operands))
    while waiting:
        value = waiting.pop()
        owner = value.owner
        if isinstance(owner, Operation) and _is(owner, "add") and _belongs(value, root):
            waiting += reversed(owner.operands)
        else:
            terms.append(value)
    return terms


def _belongs(value: SSAValue, root: Operation) -> bool:
    """Whether the sum needs `value`, of its own type, and nothing else does."""
    return value.type == root.results[0].type and value.has_one_use()


def _is_thin(value: SSAValue) -> bool:
    """A product of two matrices that is used once and larger than what it is made of."""
    op = value.owner
    if not (isinstance(op, Operation) and _is(op, "matmul") and value.has_one_use()):
        return False
    sizes = [type_of(v).shape for v in op.operands]
    if any(len(s) != 2 for s in sizes):
        return False
    known = [s for pair in sizes for s in pair if isinstance(s, int)]
    if len(known) < 4:
        return False
    m, k, _, n = known
    return 2 * k * (m + n) <= m * n


def _end_to_end(builder: GraphBuilder, parts: Sequence[SSAValue], dim: int) -> GraphTensor:
    """The matrices along `dim`; those that are all transposed are joined before that."""
    turned = [_before_transpose(p) for p in parts]
    if all(t is not None for t in turned):
        joined = OPS["cat"]([builder.wrap(t) for t in turned if t is not None], dim=1 - dim)
        return OPS["transpose"](joined, dim0=0, dim1=1)
    return OPS["cat"]([builder.wrap(p) for p in parts], dim=dim)


def _before_transpose(value: SSAValue) -> SSAValue | None:
    owner = value.owner
    return owner.operands[0] if isinstance(owner, Operation) and _is(owner, "transpose") else None
