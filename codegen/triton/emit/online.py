"""The maximum of a long row and sums of exponentials relative to it, in one pass over the row.

Two passes that follow each other, one for max x and one for sum exp(x - max x), read a row twice.
Where it is too long for registers, they become one (Milakov and Gimelshein 2018): each lane keeps
its own maximum so far and sums relative to that, which are scaled when the maximum grows. Where x
is what the maximum is of, either it is the new maximum and adds 1, or the old one stays and scales
by 1: the other of the two factors is one exponential.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.dialects.builtin import FloatAttr, f32
from xdsl.ir import Operation, SSAValue

from ....ir.dialects.kernel import FuncOp, ReduceOp, StoreOp


@dataclass
class Online:
    """A maximum and the sums after it. `exponentials` are values exp(x - maximum) of the sums'
    body, with x; `picked` ones are x - maximum where a condition holds and 0 elsewhere:
    (condition, x)."""

    maximum: ReduceOp
    sums: ReduceOp
    exponentials: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    picked: dict[SSAValue, tuple[SSAValue, SSAValue]] = field(
        default_factory=dict[SSAValue, tuple[SSAValue, SSAValue]]
    )


def online_of(func: FuncOp) -> dict[ReduceOp, Online]:
    """The pairs of passes that may become one, by the second."""
    found: dict[ReduceOp, Online] = {}
    for op in func.body.block.ops:
        if isinstance(op, ReduceOp) and op.vector is not None and op.kinds == ("max",):
            pair = _pair(op)
            if pair is not None:
                found[pair.sums] = pair
    return found


def _pair(maximum: ReduceOp) -> Online | None:
    following = maximum.next_op
    result = maximum.res[0]
    while following is not None and not isinstance(following, ReduceOp):
        if following.regions or isinstance(following, StoreOp) or result in following.operands:
            return None
        following = following.next_op
    if following is None or following.vector is None or result.type != f32:
        return None
    alike = following.length == maximum.length and set(following.kinds) == {"sum"}
    plain = not any(o.regions or isinstance(o, StoreOp)
                    for r in (maximum, following) for o in r.body.block.ops)  # fmt: skip
    pair = Online(maximum, following)
    return pair if alike and plain and _is_relative(pair) else None


def _is_relative(pair: Online) -> bool:
    """Whether the sums' body uses the maximum as they may; fills in what `pair` lists."""
    result = pair.maximum.res[0]
    shifted: dict[SSAValue, SSAValue] = {}
    end = pair.sums.body.block.last_op
    for op in pair.sums.body.block.ops:
        if op is end:
            break
        uses = [v for v in op.operands if v is result or v in shifted]
        if not uses:
            if any(v in pair.exponentials or v in pair.picked for v in op.operands):
                return False
        elif op.name == "arith.subf" and op.operands[1] is result and uses == [result]:
            shifted[op.results[0]] = op.operands[0]
        elif op.name == "math.exp" and op.operands[0] in shifted:
            pair.exponentials[op.results[0]] = shifted[op.operands[0]]
        elif op.name == "arith.select" and op.operands[1] in shifted and _is_zero(op.operands[2]):
            pair.picked[op.results[0]] = (op.operands[0], shifted[op.operands[1]])
        else:
            return False
    assert end is not None
    given = set(end.operands)
    return not given.isdisjoint(pair.exponentials) and given.isdisjoint({result, *shifted})


def _is_zero(value: SSAValue) -> bool:
    op = value.owner
    attribute = op.properties.get("value") if isinstance(op, Operation) else None
    return isinstance(attribute, FloatAttr) and attribute.value.data == 0.0
