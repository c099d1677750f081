"""The stages of a region on its way to a Program, and what a module at each of them may contain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from xdsl.dialects.builtin import UNKNOWN_LOC, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.traits import IsolatedFromAbove
from xdsl.utils.exceptions import VerifyException

from .dialects.ot import ConstantOp, FusionOp, GradientOp, TableOp, YieldOp
from .errors import IRError
from .locations import MOST_LINES, lines_of
from .text import Where, print_op

CLAIMS = "ot.claims"
"""The function attribute that names the composites which a backend computes whole."""

STAGES = (
    "captured", "differentiated", "decomposed", "simplified", "fused", "kernels", "planned",
)  # fmt: skip
HOLDS = {
    "captured": "ops as the program called them, and `ot.gradient` for each backward pass",
    "differentiated": "gradients as ops too",
    "decomposed": "of composites only those that a backend computes whole, and elementwise ones",
    "simplified": "no op whose result nobody uses",
    "fused": "an `ot.fusion` for each kernel; what stands outside is a call or a view",
    "kernels": "a `kernel.func` for each kernel, launches and calls; values are tensors",
    "planned": "the same, and where in memory each tensor is",
}
"""What a module consists of at each stage."""


def verify(module: ModuleOp, stage: str, where: Where = lambda _: "") -> None:
    """IRError, with the op, unless the module is well formed and at `stage` (see `STAGES`).
    `where` is told by what parsed the module."""
    try:
        refuses = _REFUSALS[stage]
    except KeyError:
        known = ", ".join(STAGES)
        raise IRError(f"no stage is called '{stage}'; there are {known}") from None
    for op, problem in _problems(module, refuses):
        raise IRError(f"{where(op)}stage '{stage}': {problem}\n  in: {print_op(op)}")


def is_at(module: ModuleOp, stage: str) -> bool:
    """Whether the module is well formed and at `stage`."""
    return next(_problems(module, _REFUSALS[stage]), None) is None


def stage_of(module: ModuleOp, where: Where = lambda _: "") -> str:
    """The latest stage that the module is at; IRError where it is at none."""
    for stage in reversed(STAGES):
        if is_at(module, stage):
            return stage
    if is_half_lowered(module):
        main = next(op for op in module.ops if isinstance(op, FuncOp))
        raise IRError(
            f"{where(main)}the pass 'lower' was stopped in the middle of it; `ostinato run` "
            "without --device runs that, but no pass goes on from there"
        )
    dialects = {op.name.partition(".")[0] for op in module.walk()}
    fused = any(isinstance(op, FusionOp) for op in module.walk())
    nearest = "kernels" if dialects & {"kernel", "program"} else "fused" if fused else "captured"
    verify(module, nearest, where)
    raise AssertionError("a module that is at no stage has a problem at each")


def is_half_lowered(module: ModuleOp) -> bool:
    """Whether ops of stage `fused` are left among launches, as where `lower` was stopped. The
    interpreter runs that."""
    both = any(op.name.startswith("program.") for op in module.walk())
    return both and next(_problems(module, _half_lowered), None) is None


def claims_of(func: FuncOp) -> frozenset[str]:
    """The composites that stay whole in `func`."""
    names: Any = func.attributes.get(CLAIMS, ())
    return frozenset(a.data for a in names if isinstance(a, StringAttr))


_Refusal = Callable[[Operation, frozenset[str]], str | None]


def _problems(module: ModuleOp, refuses: _Refusal) -> Iterator[tuple[Operation, str]]:
    """What is wrong where; a problem may make later checks fail, so only the first counts."""
    yield from _undefined(module, set())
    for top in module.ops:
        claims = claims_of(top) if isinstance(top, FuncOp) else frozenset[str]()
        for op in top.walk():
            problem = _malformed(op) or _unlocated(op) or refuses(op, claims)
            if problem:
                yield op, problem


def _malformed(op: Operation) -> str | None:
    try:
        op.verify_()
    except VerifyException as error:
        return str(error)
    if isinstance(op, FuncOp):
        end = op.body.block.last_op if len(op.body.blocks) == 1 else None
        if not isinstance(end, ReturnOp):
            return "func.func must have one block, which ends in func.return"
        if end.operand_types != op.function_type.outputs.data:
            return "func.return hands over other types than the function declares"
    return None


def _unlocated(op: Operation) -> str | None:
    if op.location == UNKNOWN_LOC:
        return f"{op.name} has no source line; passes must keep the lines of what they replace"
    count = sum(1 for _ in lines_of(op.location))
    return f"{op.name} names {count} lines; at most {MOST_LINES}" if count > MOST_LINES else None


def _undefined(op: Operation, defined: set[SSAValue]) -> Iterator[tuple[Operation, str]]:
    """Uses of values that no op before, in this block or around it, defines."""
    for operand in op.operands:
        if operand not in defined:
            yield op, f"{op.name} uses a value that is not defined before it"
    outer = set[SSAValue]() if op.has_trait(IsolatedFromAbove) else defined
    for region in op.regions:
        for block in region.blocks:
            inner: list[SSAValue] = list(block.args)
            outer.update(inner)
            for nested in block.ops:
                yield from _undefined(nested, outer)
                inner += nested.results
                outer.update(nested.results)
            outer.difference_update(inner)


_GRAPH = (FuncOp, ReturnOp, ConstantOp)


def _captured(op: Operation, claims: frozenset[str]) -> str | None:
    if isinstance(op, (*_GRAPH, TableOp, GradientOp)):
        return None
    return f"{op.name} is not an op of the graph"


def _differentiated(op: Operation, claims: frozenset[str]) -> str | None:
    if isinstance(op, GradientOp):
        return "ot.gradient is left; run the pass 'autodiff'"
    return _captured(op, claims)


def _decomposed(op: Operation, claims: frozenset[str]) -> str | None:
    schema = op.SCHEMA if isinstance(op, TableOp) else None
    if schema is None or schema.kind != "composite" or schema.elementwise or schema.name in claims:
        return _differentiated(op, claims)
    return f"{op.name} is a composite that nothing claims; run the pass 'decompose'"


def _simplified(op: Operation, claims: frozenset[str]) -> str | None:
    if isinstance(op, (TableOp, ConstantOp)) and all(r.first_use is None for r in op.results):
        return f"nothing uses {op.name}; run the pass 'simplify'"
    return _decomposed(op, claims)


def _fused(op: Operation, claims: frozenset[str]) -> str | None:
    if isinstance(op, FusionOp) and isinstance(op.parent_op(), FusionOp):
        return "an ot.fusion inside an ot.fusion"
    return None if isinstance(op, (FusionOp, YieldOp)) else _decomposed(op, claims)


def _compiled(op: Operation, claims: frozenset[str]) -> str | None:
    """Kernels hold scalar ops; around them there are ops of the program."""
    dialect = op.name.partition(".")[0]
    if dialect in ("kernel", "program") or isinstance(op, (FuncOp, ReturnOp)):
        return None
    if dialect in ("arith", "math") and _is_in_kernel(op):
        return None
    return f"{op.name} outside of a kernel; the program launches kernels and calls native ops"


def _half_lowered(op: Operation, claims: frozenset[str]) -> str | None:
    return _compiled(op, claims) and _fused(op, claims)


def _is_in_kernel(op: Operation) -> bool:
    outer = op.parent_op()
    while outer is not None and outer.name != "kernel.func":
        outer = outer.parent_op()
    return outer is not None


_REFUSALS: dict[str, _Refusal] = {
    "captured": _captured,
    "differentiated": _differentiated,
    "decomposed": _decomposed,
    "simplified": _simplified,
    "fused": _fused,
    "kernels": _compiled,
    "planned": _compiled,
}
assert tuple(_REFUSALS) == tuple(HOLDS) == STAGES
