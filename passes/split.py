"""A joint graph of results and gradients becomes a forward and a backward graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue

from ..ir.graph import HOST, NAME, SHARES, close_main, main_of, open_main, type_of, writes_of
from ..ir.stages import CLAIMS
from .host import host_values
from .recompute import Joint, kept_values
from .rewriter import copied
from .target import CPU, Target


@dataclass(frozen=True)
class Split:
    """`backward` takes what is `kept`, then the cotangents, and gives the gradients.

    `kept` has (True, number of an input) or (False, number of a result of `forward`) for each of
    its first arguments; results that are there for it alone come after the others.
    """

    forward: ModuleOp
    backward: ModuleOp
    kept: list[tuple[bool, int]]


def split(
    module: ModuleOp,
    inputs: int,
    results: int,
    assigned: Iterable[int] = (),
    target: Target = CPU,
) -> Split:
    """Splits a module at stage `simplified`, whose `@main` takes `inputs` arguments and then
    cotangents, and gives `results` results and then gradients. The arguments `assigned` are changed
    by the caller after the forward Program."""
    func = main_of(module)
    end = func.body.block.last_op
    assert isinstance(end, ReturnOp)
    writes = writes_of(func)
    changed = frozenset([*assigned, *(argument for _, argument in writes)])
    kept = kept_values(Joint(func, inputs, results, changed), target)
    returned, gradients = list(end.operands[:results]), list(end.operands[results:])
    given, cotangents = list(func.args[:inputs]), list(func.args[inputs:])
    places: dict[SSAValue, tuple[bool, int]] = {
        v: (False, i) for i, v in reversed(list(enumerate(returned))) if v not in given
    }
    places |= {v: (True, i) for i, v in enumerate(given) if i not in changed}
    extra = [v for v in kept if v not in places]
    places |= {v: (False, results + i) for i, v in enumerate(extra)}
    forward = _extracted(func, given, returned + extra, writes)
    backward = backward_of(func, kept + cotangents, gradients)
    return Split(forward, backward, [places[v] for v in kept])


def backward_of(func: FuncOp, given: Sequence[SSAValue], gradients: Sequence[SSAValue]) -> ModuleOp:
    """A module whose `@main` computes `gradients` from `given`, values of `func`."""
    module = _extracted(func, given, gradients)
    main_of(module).attributes[SHARES] = UnitAttr()
    return module


def _extracted(
    func: FuncOp,
    given: Sequence[SSAValue],
    wanted: Sequence[SSAValue],
    writes: Sequence[tuple[int, int]] = (),
) -> ModuleOp:
    """A module whose `@main` computes `wanted` from `given`, values of `func`."""
    needed, host = _between(given, wanted), host_values(func)
    module, builder, arguments = open_main(
        [type_of(v) for v in given],
        [_attributes(func, v, i, host) for i, v in enumerate(given)],
        [v.location if isinstance(v, BlockArgument) else v.owner.location for v in given],  # pyright: ignore
    )
    values = {old: new.value for old, new in zip(given, arguments, strict=True)}
    for op in func.body.block.ops:
        if op in needed:
            copy = copied(op, [values[v] for v in op.operands])
            builder.insert(copy)
            for old, new in zip(op.results, copy.results, strict=True):
                values.setdefault(old, new)
    close_main(module, [builder.wrap(values[v]) for v in wanted], writes, func.location)
    main_of(module).attributes[CLAIMS] = func.attributes[CLAIMS]
    return module


def _between(given: Sequence[SSAValue], wanted: Sequence[SSAValue]) -> set[Operation]:
    """The ops that compute `wanted` from `given`."""
    found: set[Operation] = set()
    known, stack = set(given), list(wanted)
    while stack:
        value = stack.pop()
        owner = value.owner
        if value in known or not isinstance(owner, Operation) or owner in found:
            continue
        found.add(owner)
        stack.extend(owner.operands)
    return found


def _attributes(
    func: FuncOp, value: SSAValue, index: int, host: set[SSAValue]
) -> Mapping[str, Attribute]:
    """Those of an argument, which has a name for dumps; what is kept has one made here."""
    if not isinstance(value, BlockArgument):
        made: dict[str, Attribute] = {NAME: StringAttr(f"kept{index}")}
        return made | {HOST: UnitAttr()} if value in host else made
    return {} if func.arg_attrs is None else func.arg_attrs.data[value.index].data  # pyright: ignore
