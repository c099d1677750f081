"""Serial loops whose iterations may be done several at once, as rows of a tile, and column sums.

A program that adds up columns walks over rows, and loads, adds and stores an element of the result
for each: that becomes an accumulator in registers (`Accumulation`), stored once. A loop may be done
in rows of a tile where nothing but such accumulations passes from one iteration to another.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
)

from ....ir.dialects.kernel import ForOp, FuncOp, LoadOp, LocalOp, ReduceOp, StoreOp
from ....ir.interpret.kernel import identity
from .sizes import Lengths, at_setting, loaded_symbols, offset_at

Access = LoadOp | StoreOp

_KINDS = {
    "arith.addf": "sum", "arith.addi": "sum", "arith.mulf": "prod", "arith.muli": "prod",
    "arith.maximumf": "max", "arith.maxsi": "max", "arith.minimumf": "min", "arith.minsi": "min",
    "arith.maxui": "umax", "arith.minui": "umin", "arith.ori": "any", "arith.andi": "all",
}  # fmt: skip


@dataclass(frozen=True)
class Accumulation:
    """`store` puts back what `load` loaded combined with `element`, in each iteration of a loop.

    `cleared` is the store before the loop that puts the combiner's start there, if there is one.
    """

    load: LoadOp
    store: StoreOp
    element: SSAValue
    kind: str
    cleared: StoreOp | None


def streams_of(func: FuncOp, longest: int, lengths: Lengths) -> frozenset[ForOp | ReduceOp]:
    """The serial loops of `func` that may be done several iterations at once, if vector loops of
    at most `longest` are held in registers."""
    return frozenset(
        op for op in func.walk()
        if isinstance(op, (ForOp, ReduceOp)) and op.vector is None
        and _may_stream(op, longest, lengths)
    )  # fmt: skip


def accumulations_of(loop: ForOp) -> list[Accumulation]:
    """The column sums of a serial loop."""
    accesses = list(_accesses(loop.body.block))
    found: list[Accumulation] = []
    for store in accesses:
        if isinstance(store, StoreOp):
            made = _accumulation(loop, store, accesses)
            if made is not None:
                found.append(made)
    return found


def place_of(op: Access) -> tuple[Hashable, ...]:
    """Equal for accesses of the same elements by vector loops of the same length."""
    return op.buffer, op.map, tuple(_index_key(v) for v in op.indices)


def _index_key(value: SSAValue) -> Hashable:
    owner = value.owner.parent_op() if isinstance(value, BlockArgument) else None
    if isinstance(owner, (ForOp, ReduceOp)) and owner.vector is not None:
        return "lanes", owner.length
    return value


def _accesses(block: Block) -> Iterator[Access]:
    return (op for op in block.walk() if isinstance(op, (LoadOp, StoreOp)))


def _accumulation(loop: ForOp, store: StoreOp, accesses: Sequence[Access]) -> Accumulation | None:
    combine = store.value.owner
    kind = _KINDS.get(combine.name) if isinstance(combine, Operation) else None
    if kind is None or store.mask is not None or loop.index in store.indices:
        return None
    assert isinstance(combine, Operation)
    load, element = combine.operands[0].owner, combine.operands[1]
    same = [a for a in accesses if a.buffer is store.buffer]
    alone = (
        isinstance(load, LoadOp)
        and load.mask is None
        and same == [load, store]
        and place_of(load) == place_of(store)
        and load.parent is store.parent
        and load.value.has_one_use()
        and combine.results[0].has_one_use()
        and not loaded_symbols(store)
        and not isinstance(store.buffer.owner, LocalOp)
    )
    if not alone:
        return None
    assert isinstance(load, LoadOp)
    return Accumulation(load, store, element, kind, _clearing(loop, store, kind))


def _clearing(loop: ForOp, store: StoreOp, kind: str) -> StoreOp | None:
    """The store, beside `loop` and before it, of the combiner's start to where `store` goes."""
    earlier: Operation | None = loop.prev_op
    while earlier is not None:
        for op in reversed(list(earlier.walk())):
            if isinstance(op, (LoadOp, StoreOp)) and op.buffer is store.buffer:
                clears = isinstance(op, StoreOp) and place_of(op) == place_of(store)
                return op if clears and op.mask is None and _is_start(op.value, kind) else None  # pyright: ignore
        earlier = earlier.prev_op
    return None


def _is_start(value: SSAValue, kind: str) -> bool:
    attribute = value.owner.properties.get("value") if isinstance(value.owner, Operation) else None
    if not isinstance(attribute, (FloatAttr, IntegerAttr)) or value.owner.name != "arith.constant":  # pyright: ignore
        return False
    start = identity(kind, value.type)
    return bool(start == start.dtype.type(attribute.value.data))


def _may_stream(loop: ForOp | ReduceOp, longest: int, lengths: Lengths) -> bool:
    inner = [op for op in loop.body.block.walk() if isinstance(op, (ForOp, ReduceOp))]
    if isinstance(loop, ReduceOp):
        fits = not inner and _in_lanes(loop)
    else:
        held = all(_is_lanes_alone(op) and lengths.most(op.length) <= longest for op in inner)
        fits = bool(inner) and held and not _in_lanes(loop)
    return fits and lengths.typical(loop.length) > 1 and not _passes_on(loop, lengths)


def _in_lanes(op: Operation) -> bool:
    outer = op.parent_op()
    while outer is not None:
        if "vector" in outer.properties:
            return True
        outer = outer.parent_op()
    return False


def _is_lanes_alone(op: ForOp | ReduceOp) -> bool:
    nested = any(isinstance(o, (ForOp, ReduceOp)) for o in op.body.block.walk())
    return op.vector is not None and not nested


def _passes_on(loop: ForOp | ReduceOp, lengths: Lengths) -> bool:
    """True where an iteration may see what another one stored."""
    accesses = list(_accesses(loop.body.block))
    added = {x for a in accumulations_of(loop) for x in (a.load, a.store)} if isinstance(
        loop, ForOp) else set[Access]()  # fmt: skip
    written = {a.buffer for a in accesses if isinstance(a, StoreOp) and a not in added}
    for buffer in written:
        touches = [a for a in accesses if a.buffer is buffer and a not in added]
        if len({place_of(a) for a in touches}) > 1:
            return True
        if isinstance(buffer.owner, LocalOp):
            inside = all(_is_inside(use.operation, loop) for use in buffer.uses)
            if not inside or isinstance(touches[0], LoadOp):
                return True
        elif not all(_is_apart(touches[0], loop.index, s) for s in lengths.settings):
            return True
    return False


def _is_inside(op: Operation, loop: Operation) -> bool:
    outer = op.parent_op()
    while outer is not None and outer is not loop:
        outer = outer.parent_op()
    return outer is loop


def _is_apart(access: Access, index: SSAValue, setting: Mapping[SSAValue, int]) -> bool:
    """True where other values of `index` always lead to other elements, for one sample."""
    if loaded_symbols(access) or index not in access.indices:
        return False
    steps = _steps(offset_at(access, setting))
    if steps is None:
        return False
    indices = list(access.indices)
    own = abs(steps.get(indices.index(index), 0))
    below = above = 0
    for position, step in steps.items():
        other = indices[position]
        if other is index:
            continue
        reach = abs(step) * (_length(other, setting) - 1)
        if abs(step) < own:
            below += reach
        else:
            above = min(above or abs(step), abs(step))
    owner_reach = own * (_length(index, setting) - 1)
    return own > below and (not above or above > owner_reach + below)


def _length(index: SSAValue, setting: Mapping[SSAValue, int]) -> int:
    owner = index.owner.parent_op() if isinstance(index, BlockArgument) else None
    assert isinstance(owner, (FuncOp, ForOp, ReduceOp))
    return at_setting(owner.length, setting)


def _steps(expr: AffineExpr) -> dict[int, int] | None:
    """The step of each dim of a sum of multiples; None where it is no such sum."""
    match expr:
        case AffineConstantExpr():
            return {}
        case AffineDimExpr():
            return {expr.position: 1}
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mul, rhs=AffineConstantExpr() as by):
            inner = _steps(expr.lhs)
            return None if inner is None else {p: s * by.value for p, s in inner.items()}
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add):
            return _added(_steps(expr.lhs), _steps(expr.rhs))
        case _:
            return None


def _added(a: dict[int, int] | None, b: dict[int, int] | None) -> dict[int, int] | None:
    if a is None or b is None:
        return None
    return {p: a.get(p, 0) + b.get(p, 0) for p in (*a, *b)}


def aliases(func: FuncOp) -> dict[SSAValue, SSAValue]:
    """One buffer that stands for each group of buffers that may be the same storage."""
    numbers = func.aliased_numbers
    first = func.buffers[numbers[0]] if numbers else None
    return {
        b: first if i in numbers and first is not None else b for i, b in enumerate(func.buffers)
    }


def written_in(ops: Iterable[Operation]) -> set[SSAValue]:
    """Buffers that `ops` and what they hold store to."""
    return {o.buffer for op in ops for o in op.walk() if isinstance(o, StoreOp)}
