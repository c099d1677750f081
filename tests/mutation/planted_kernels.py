"""Errors in kernels: of the table of kernels, against NumPy, and of lowered regions, against the
graphs that these were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, IntegerAttr, StringAttr, i64
from xdsl.ir import Operation
from xdsl.ir.affine import AffineMap

import test_lower
from fusion_cases import close, prepared
from graph_cases import graph
from kernel_cases import CASES
from kernel_table import Case
from mutants import Mutant, attribute
from ostinato.ir.dialects.kernel import ForOp, FuncOp, LoadOp, ReduceOp, StoreOp
from ostinato.ir.interpret.kernel import run_kernel
from ostinato.ir.scalar.arith import PRIMITIVE_KINDS
from ostinato.ir.scalar.expression import KINDS

Damage = Callable[[Any], None]
COUNT = 37
"""Elements of a row: two vectors and a rest."""


def mutants() -> Iterator[Mutant]:
    """Those of every kernel of the table, and of every kernel that a region of `LOOPS` becomes."""
    for case in CASES:
        for i, op, damage, change, damaged in _damages(case.build(COUNT)):
            planted = partial(attribute, _PLANTED, "damage", (0, i, damaged))
            change = f"{op.name} {i}: {change}"
            yield Mutant("kernel", case.name, damage, change, planted, [partial(_check, case)])
    for name, (build, inputs, _) in test_lower.LOOPS.items():
        for k, kernel in enumerate(test_lower.kernels(test_lower.lowered(build, *inputs))):
            for i, op, damage, change, damaged in _damages(kernel):
                planted = partial(attribute, _PLANTED, "damage", (k, i, damaged))
                change = f"{op.name} {i} of kernel {k}: {change}"
                check = partial(_check_region, name)
                yield Mutant("lowered kernel", name, damage, change, planted, [check])


class _Planted:
    """What is done to the kernels before they run."""

    damage: tuple[int, int, Damage] | None = None

    def apply(self, kernels: Sequence[FuncOp]) -> None:
        """Damages one op of one of `kernels`."""
        if self.damage is not None:
            k, i, damaged = self.damage
            damaged(list(kernels[k].walk())[i])


_PLANTED = _Planted()


def _check(case: Case) -> None:
    kernel, before = case.build(COUNT), case.sampled(COUNT)
    after = [b.copy() for b in before]
    _PLANTED.apply([kernel])
    run_kernel(kernel, after)
    case.check(COUNT, before, after)


def _check_region(name: str) -> None:
    build, inputs, _ = test_lower.LOOPS[name]
    expected = prepared(graph(build, *inputs)).run()
    g = test_lower.lowered(build, *inputs)
    _PLANTED.apply(test_lower.kernels(g))
    close(g.run(), expected)


def _damages(kernel: FuncOp) -> Iterator[tuple[int, Operation, str, str, Damage]]:
    """(number of an op, the op, damage, change, what makes it to the op) for every op."""
    for i, op in enumerate(kernel.walk()):
        if isinstance(op, (LoadOp, StoreOp)):
            yield i, op, "off by one", "the next element", _next_element
            if len(set(op.indices)) > 1:
                yield i, op, "wrong axis", "two indices exchanged", _exchanged_indices
        elif isinstance(op, (ForOp, ReduceOp)):
            yield i, op, "off by one", "an iteration less", _shortened
            for r in range(len(op.combiners) if isinstance(op, ReduceOp) else 0):
                yield i, op, "swap operands", f"another combiner {r}", partial(_recombined, r)
        elif isinstance(op, FuncOp):
            yield i, op, "off by one", "an iteration less", _shortened_extent
        elif _has_order(op):
            yield i, op, "swap operands", "two operands exchanged", _exchanged
            if op.results[0].type == op.operands[-1].type:
                yield i, op, "drop a term", "the last operand instead", _forwarded


def _has_order(op: Operation) -> bool:
    """True for scalar ops whose last two operands have one type and may not change places."""
    if not op.name.startswith(("arith.", "math.")) or len(op.operands) < 2:
        return False
    *_, x, y = op.operands
    if isinstance(op, (arith.CmpiOp, arith.CmpfOp)):
        symmetric = op.predicate.value.data in _EQUALITIES[type(op)]
    else:
        kind = KINDS.get(PRIMITIVE_KINDS.get(op.name, ""))
        symmetric = kind is not None and kind.commutative
    return x is not y and x.type == y.type and not symmetric


# The numbers of MLIR for eq, ne; for oeq, one, ueq, une.
_EQUALITIES: dict[type[Operation], tuple[int, ...]] = {
    arith.CmpiOp: (0, 1), arith.CmpfOp: (1, 6, 8, 13),
}  # fmt: skip


def _next_element(op: LoadOp | StoreOp) -> None:
    (offset,) = op.map.data.results
    moved = AffineMap(op.map.data.num_dims, op.map.data.num_symbols, (offset + 1,))
    op.map = AffineMapAttr(moved)


def _exchanged_indices(op: LoadOp | StoreOp) -> None:
    at = list(op.operands).index(op.indices[0])
    op.operands[at], op.operands[at + 1] = op.operands[at + 1], op.operands[at]


def _shortened(op: ForOp | ReduceOp) -> None:
    op.count = IntegerAttr(op.trip_count - 1, i64)


def _shortened_extent(op: FuncOp) -> None:
    op.extent = IntegerAttr(op.fixed_length - 1, i64)


OTHER = {"sum": "prod", "prod": "sum", "max": "min", "min": "max", "umax": "umin", "umin": "umax",
         "any": "all", "all": "any"}  # fmt: skip


def _recombined(r: int, op: ReduceOp) -> None:
    names = list(op.kinds)
    names[r] = OTHER[names[r]]
    op.combiners = ArrayAttr([StringAttr(n) for n in names])


def _exchanged(op: Operation) -> None:
    *_, a, b = range(len(op.operands))
    op.operands[a], op.operands[b] = op.operands[b], op.operands[a]


def _forwarded(op: Operation) -> None:
    op.results[0].replace_all_uses_with(op.operands[-1])
