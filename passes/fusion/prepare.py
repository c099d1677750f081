"""Rewrites that make a region ready for grouping.

Long reductions become two, the first over pieces that run side by side: the cut depends on shapes
alone, so results do not depend on the number of threads. Reduced axes that are not side by side
become reductions one after the other. Half types are added up in float32 throughout. Results that
are views, or go to two places, become copies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from ...ir.dialects.ot import TableOp
from ...ir.dtypes import float32
from ...ir.graph import GraphBuilder, GraphTensor, main_of, shares_arguments, writes_of
from ...ir.op import OPS
from ..host import mark_host
from ..join_slices import join_slices
from ..rewriter import replace, stand_before
from ..target import Target
from ..trail import OFF, Trail
from .calls import COMBINERS, calls_of
from .index import identity
from .layouts import choose_layouts, layouts_of
from .stacks import stack_gradients
from .types import Shape, count, dtype_of, shape_of
from .views import Views, index_of, is_view


def prepare(module: ModuleOp, target: Target, trail: Trail = OFF) -> dict[Operation, None]:
    """Rewrites `@main` in place, and gives the ops of it that stay calls."""
    func = main_of(module)
    block = func.body.block
    stack_gradients(func, trail)
    join_slices(func, trail)
    for op in list(block.ops):
        if isinstance(op, TableOp) and not trail.done:
            if op.SCHEMA.name in COMBINERS and _cut(op, target):
                trail.note("cut", op)
            elif op.SCHEMA.name in ("copy", "fill"):
                _without_unused(op)
                trail.note("without_unused", op)
    _own_results(block, {r: a for r, a in writes_of(func)}, shares_arguments(func), trail)
    mark_host(func)
    choose_layouts(block, target.strided_results, trail)
    calls = calls_of(block)
    _share_copies(Views(block, calls, layouts_of(block)), trail)
    return calls


def _share_copies(views: Views, trail: Trail) -> None:
    """Views that show the same as one that is to be copied become reshapes of that."""
    for value, original in views.equal.items():
        op = value.owner
        assert isinstance(op, TableOp)
        if not trail.done:
            replace(op, [OPS["reshape"](_builder(op).wrap(original), shape=shape_of(value)).value])
            trail.note("share_copies", op)


def _builder(op: TableOp) -> GraphBuilder:
    assert op.parent is not None
    builder = GraphBuilder(op.parent)
    stand_before(builder, op)
    return builder


def _without_unused(op: TableOp) -> None:
    """`copy` and `fill` read only their second operand."""
    b = _builder(op)
    shape, dtype = shape_of(op.results[0]), dtype_of(op.results[0])
    value = OPS["to"](b.wrap(op.operands[1]), dtype=dtype)
    value = OPS["expand"](value, size=shape) if value.shape != shape else value
    replace(op, [value.value])


def _cut(op: TableOp, target: Target) -> bool:
    """Replaces a reduction by reductions that kernels run well, where it is not one already."""
    shape = shape_of(op.operands[0])
    runs = _runs(shape, op.attribute_values()["dim"])
    if not count(shape) or not runs:
        return False
    steps = [_steps(shape, run, target) for run in runs]
    half = dtype_of(op.operands[0]).bits == 16 and op.SCHEMA.name in ("sum", "prod")
    column = any(count(shape[last:]) > 1 for _, last in runs)
    if len(runs) == 1 and steps[0] is None and not (half and column):
        return False
    b = _builder(op)
    x = b.wrap(op.operands[0])
    if half:
        x = OPS["to"](x, dtype=float32)
    kept = list(shape)
    for (first, last), rows in reversed(list(zip(runs, steps, strict=True))):
        outer, reduced = count(tuple(kept[:first])), count(tuple(kept[first:last]))
        inner = count(tuple(kept[last:]))
        x = _reduced(op.SCHEMA.name, x, (outer, reduced, inner), rows)
        kept[first:last] = [1] * (last - first)
    x = OPS["reshape"](x, shape=shape_of(op.results[0]))
    replace(op, [(OPS["to"](x, dtype=dtype_of(op.results[0])) if half else x).value])
    return True


def _runs(shape: Shape, dim: object) -> list[tuple[int, int]]:
    """[first, last) of each run of reduced axes side by side, axes of size 1 left out."""
    if dim is None:
        axes = list(range(len(shape)))
    else:
        dims: Sequence[int] = (dim,) if isinstance(dim, int) else dim  # pyright: ignore
        axes = sorted({d % max(len(shape), 1) for d in dims})
    runs: list[tuple[int, int]] = []
    for axis in (a for a in axes if a < len(shape) and shape[a] > 1):
        if runs and count(shape[runs[-1][1] : axis]) == 1:
            runs[-1] = (runs[-1][0], axis + 1)
        else:
            runs.append((axis, axis + 1))
    return runs


def _steps(shape: Shape, run: tuple[int, int], target: Target) -> int | None:
    """The number of pieces that a run of reduced axes is cut into; None where it stays whole."""
    outer, reduced = count(shape[: run[0]]), count(shape[run[0] : run[1]])
    inner = count(shape[run[1] :])
    many, long = target.typical(outer), target.typical(reduced)
    if inner == 1:
        if many >= target.pieces or long < 4 * target.chunk_elements:
            return None
        return _pieces(target, reduced, long // target.chunk_elements)
    if long < 4 * target.chunk_rows or many * target.typical(inner) >= target.wide_columns:
        return None
    if many >= target.pieces:
        return None
    return _pieces(target, reduced, min(target.pieces, 4 * long // target.chunk_rows))


def _pieces(target: Target, total: int, wanted: int) -> int | None:
    """A divisor of `total` near `wanted`, within a factor of four; None where there is none. Of a
    size to come only what divides it for certain is left in a piece, or is the number of them."""
    sure = target.fixed(total)
    known = [k for k in range(1, math.isqrt(sure) + 1) if sure % k == 0]
    known += [sure // k for k in known]
    may = {k for d in known for k in (d, total // d)}
    near = [k for k in sorted(may) if max(2, wanted // 4) <= target.typical(k) <= wanted * 4]
    return min(near, key=lambda k: abs(target.typical(k) - wanted), default=None)


def _reduced(name: str, x: GraphTensor, parts: tuple[int, int, int],
             pieces: int | None) -> GraphTensor:  # fmt: skip
    """The middle of `parts` folded, in `pieces` first where that is given: (outer, inner)."""
    outer, reduced, inner = parts
    if pieces is None:
        x = OPS["reshape"](x, shape=parts)
        return OPS[name](x, dim=(1,), keepdim=False)
    x = OPS["reshape"](x, shape=(outer, pieces, reduced // pieces, inner))
    return OPS[name](OPS[name](x, dim=(2,), keepdim=False), dim=(1,), keepdim=False)


def _own_results(block: Block, writes: dict[int, int], shares: bool, trail: Trail) -> None:
    """Gives each result of the region a value that is its own: computed, and no other result;
    with `shares` it may be an argument as well."""
    end = block.last_op
    assert isinstance(end, ReturnOp)
    seen: set[SSAValue] = set()
    overwritten = {block.args[a] for a in writes.values()}
    for i, value in enumerate(end.operands):
        base, plain = _shown(value)
        given = base.owner is block
        target = block.args[writes[i]] if i in writes else None
        as_is = (
            given
            and base is value
            and (target is value or (shares and target is None and value not in overwritten))
        )
        if as_is or (not given and plain and base not in seen and _is_computed(base)):
            if not given:
                seen.add(base)
            continue
        if trail.done:
            return
        b = GraphBuilder(block, before=end)
        stand_before(b, value.owner if isinstance(value.owner, TableOp) else end)
        b.before = end
        copy = OPS["clone"](b.wrap(value)).value
        end.operands[i] = copy
        assert isinstance(copy.owner, TableOp), "a copy is made by ot.clone"
        trail.note("own_results", copy.owner, f"result {i}")


def _is_computed(value: SSAValue) -> bool:
    return isinstance(value.owner, TableOp)


def _shown(value: SSAValue) -> tuple[SSAValue, bool]:
    """What a value shows through views, and whether all of it in order."""
    plain = True
    while is_view(value.owner):
        op = value.owner
        plain = plain and index_of(op) == identity(count(shape_of(value)))
        plain = plain and count(shape_of(op.operands[0])) == count(shape_of(value))
        value = op.operands[0]
    return value, plain
