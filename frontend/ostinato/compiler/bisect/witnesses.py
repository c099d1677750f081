"""Witnesses against the op table: native kernels for what ops mean, differences for gradients.

The interpreter takes an op's body for its meaning and its rule for its gradient, and so do passes;
an error in either is in every stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from ...ir.dialects.ot import GradientOp, TableOp
from ...ir.dtypes import float64
from ...ir.graph import type_of
from ...ir.interpret.arrays import ArrayTensor, apply, convert, tensor
from ...ir.locations import told_lines
from ...ir.op import is_list
from ...ir.text import parse_module
from ...ir.vjp import Applied, flatten, pull_back
from ...runtime import _C
from ..check.closeness import array_of
from ..check.culprit import is_alike, tolerance
from .bundle import Bundle
from .cut import Whole
from .finding import Finding
from .judge import Apart

_STEP, _TOLERANCE = 1e-6, 1e-4
"""Of differences in float64, and how far a gradient may be from them."""


def wrong_op(bundle: Bundle, tell: Callable[[str], object]) -> Finding | None:
    """The first op whose native kernel gives something else than its body in the table."""
    whole = Whole(parse_module(bundle.module), bundle.inputs)
    count = 0
    for op in whole.ops:
        if not isinstance(op, TableOp):
            continue
        count += 1
        found = _eager(op, whole.values)
        dtypes = [type_of(r).dtype for r in op.results]
        half = any(d.bits == 16 and d.is_floating_point for d in dtypes)
        for result, made in zip(op.results, found, strict=False):
            if not is_alike(made, np.asarray(whole.values[result]), tolerance(half)):
                told = f"the native kernel of {op.SCHEMA.name} and its body in the table differ"
                place = "decompose" if op.SCHEMA.kind == "composite" else "op table"
                return Finding(place, "body", op.name, told_lines(op.location), Apart(told),
                               whole.cut([op]))  # fmt: skip
    tell(f"eager kernels: {count} ops, right")
    return None


def _eager(op: TableOp, values: Mapping[SSAValue, Any]) -> Sequence[Any]:
    """The results of the native kernel; none where it cannot be called alone."""
    try:
        given = [_native(o, values) for o in op.grouped_operands()]
        made = _C.call(op.SCHEMA.name, *given, **op.attribute_values())
    except Exception:  # an op without a kernel of its own
        return []
    return [array_of(t) for t in (made if isinstance(made, (tuple, list)) else [made])]  # pyright: ignore[reportUnknownVariableType]


def _native(operand: Any, values: Mapping[SSAValue, Any]) -> Any:
    if operand is None:
        return None
    if is_list(operand):
        return [_native(v, values) for v in operand]
    of = type_of(operand)
    return values[operand] if of.wrapped else _C.from_array(np.array(values[operand])).to(of.dtype)


def wrong_rule(bundle: Bundle, tell: Callable[[str], object]) -> Finding | None:
    """The first op whose gradient rule is not what differences say."""
    whole = Whole(parse_module(bundle.module), bundle.inputs)
    checked: set[Any] = set()
    for op in _differentiated(whole.module):
        key = op.name, tuple(v.type for v in op.operands), tuple(op.properties.items())
        if key in checked:
            continue
        checked.add(key)
        if _is_rule_wrong(op, whole.values):
            told = f"the gradient rule of {op.SCHEMA.name} is not what differences say"
            return Finding("autodiff", f"{op.SCHEMA.name}.vjp", op.name, told_lines(op.location),
                           Apart(told), whole.cut([op]))  # fmt: skip
    tell(f"gradient rules: {len(checked)}, right")
    return None


def _differentiated(module: ModuleOp) -> Iterator[TableOp]:
    """The ops that lead to what is differentiated."""
    for gradient in (op for op in module.walk() if isinstance(op, GradientOp)):
        seen: set[Any] = set()
        left = [*gradient.outputs]
        while left:
            owner = left.pop().owner
            if isinstance(owner, TableOp) and owner not in seen:
                seen.add(owner)
                left += owner.operands
        assert gradient.parent is not None
        yield from (op for op in gradient.parent.ops if isinstance(op, TableOp) and op in seen)


def _is_rule_wrong(op: TableOp, values: Mapping[SSAValue, Any]) -> bool:
    """Whether the rule differs from a difference along a random direction, in float64."""
    draws = np.random.default_rng(0)
    operands = [_wide(o, values) for o in op.grouped_operands()]
    attrs, schema = op.attribute_values(), op.SCHEMA
    moved = [v for v in flatten(operands) if v.dtype is float64 and not v.wrapped]
    if schema.name in ("detach", "changed", "to") or not moved:
        return False
    try:
        results = apply(schema, operands, attrs)
        if any(r.dtype is not float64 for r in results):
            return False
        seeds = {r: _random(draws, r) for r in results}
        found = pull_back([Applied(schema, tuple(operands), attrs, tuple(results))], seeds, moved)
        ways = {v: _random(draws, v).array for v in moved}
        slope = sum(float(np.sum(found[v].array * ways[v])) for v in moved if v in found)

        def at(step: float) -> float:
            near = [_moved(o, ways, step) for o in operands]
            made = apply(schema, near, attrs)
            return sum(
                float(np.sum(m.array * g.array)) for m, g in zip(made, seeds.values(), strict=True)
            )

        here = at(0.0)
        ahead, behind = (at(_STEP) - here) / _STEP, (here - at(-_STEP)) / _STEP
    except Exception:  # an op that cannot be run in float64
        return False
    scale = _TOLERANCE * (abs(ahead) + abs(slope) + abs(here) + 1.0)
    smooth = np.isfinite([ahead, behind, slope]).all() and abs(ahead - behind) <= scale
    return bool(smooth and abs((ahead + behind) / 2 - slope) > scale)


def _wide(operand: Any, values: Mapping[SSAValue, Any]) -> Any:
    """An operand in float64, where it is a floating-point tensor."""
    if operand is None:
        return None
    if is_list(operand):
        return [_wide(v, values) for v in operand]
    of = type_of(operand)
    if of.wrapped:
        return tensor(values[operand])
    array = np.asarray(values[operand])
    if not of.dtype.is_floating_point:
        return ArrayTensor(array, of.dtype)
    return ArrayTensor(convert(array, float64), float64)


def _random(draws: np.random.Generator, like: ArrayTensor) -> ArrayTensor:
    return ArrayTensor(draws.standard_normal(like.array.shape), float64)


def _moved(operand: Any, ways: Mapping[Any, Any], step: float) -> Any:
    if is_list(operand):
        return [_moved(v, ways, step) for v in operand]
    if operand not in ways:
        return operand
    return ArrayTensor(operand.array + step * ways[operand], float64)
