"""The op of a module that first makes something that no op made before a pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.ir import BlockArgument, Operation, OpResult, SSAValue

from ...ir.dialects.ot import ConstantOp, FusionOp, GradientOp, TableOp
from ...ir.dialects.program import CallOp, LaunchOp
from ...ir.graph import main_of
from ...ir.interpret.module import run
from ...ir.text import parse_module

Array = NDArray[Any]

_STEPS = (ConstantOp, GradientOp, TableOp, LaunchOp, CallOp)

_TOLERANCE, _HALF_TOLERANCE = 1e-4, 3e-2
"""Of the largest element: by more than this, values of two stages are different values."""


@dataclass
class Interpreted:
    """A module as text, run on some inputs: its results, and what each op gave, in order, up to
    one that cannot run."""

    text: str
    inputs: Sequence[Any]
    made: list[tuple[Operation, list[Array]]] = field(default_factory=list[Any])
    results: list[Array] = field(default_factory=list[Any])
    failed: bool = False

    def __post_init__(self) -> None:
        self.module: ModuleOp = parse_module(self.text)
        try:
            self.results = run(self.module, self.inputs, self._note)
        except Exception:  # a wrong module may do anything
            self.failed = True

    def _note(self, op: Operation, arrays: Sequence[Array]) -> None:
        self.made.append((op, list(arrays)))

    def values(self) -> list[Array]:
        """All that its ops read and gave."""
        return [np.asarray(x) for x in self.inputs] + [a for _, made in self.made for a in made]


class Pool:
    """Values that are right, to find others among."""

    def __init__(self, values: Iterable[Array], half: bool) -> None:
        self._tolerance = tolerance(half)
        self._by_size: dict[int, list[tuple[float, Array]]] = {}
        for value in values:
            self._by_size.setdefault(value.size, []).append((_scale(value), value.reshape(-1)))

    def has(self, value: Array) -> bool:
        """Whether `value` is among them, in any shape."""
        return self._finds(value.reshape(-1), False)

    def has_in_any_order(self, value: Array) -> bool:
        """Whether its elements are those of one of them: layouts are passes' to choose."""
        return self._finds(np.sort(value.reshape(-1)), True)

    def _finds(self, flat: Array, in_any_order: bool) -> bool:
        scale = _scale(flat)
        for other, known in self._by_size.get(flat.size, ()):
            if not np.isclose(scale, other, rtol=self._tolerance, atol=0.0, equal_nan=True):
                continue
            if is_alike(flat, np.sort(known) if in_any_order else known, self._tolerance):
                return True
        return False


def tolerance(half: bool) -> float:
    """How far values of one meaning may be apart; `half` where half types are among them."""
    return _HALF_TOLERANCE if half else _TOLERANCE


def is_alike(a: Array, b: Array, tolerance: float = _TOLERANCE) -> bool:
    """Whether arrays of one shape are one value but for roundings."""
    if a.dtype.kind != "f" or b.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    limit = tolerance * _scale(b)
    return bool(np.isclose(a, b, rtol=0.0, atol=limit, equal_nan=True).all())


def _scale(value: Array) -> float:
    numbers = value.astype(float) if value.dtype.kind != "f" else value
    finite = numbers[np.isfinite(numbers)]
    return float(np.abs(finite).max(initial=0.0))


def culprit(stage: Interpreted, result: int, known: Pool) -> Operation | None:
    """The first op of `stage` that makes nothing known on the way to a wrong result, or that cannot
    run."""
    if stage.failed:
        ran = {op for op, _ in stage.made}
        steps = (op for op in stage.module.walk() if isinstance(op, _STEPS))
        return next((op for op in steps if op not in ran), None)
    found = [(op, made) for op, made in stage.made if not all(map(known.has, made))]
    suspects = [(op, made) for op, made in found if not isinstance(op, (FusionOp, ConstantOp))]
    end = main_of(stage.module).body.block.last_op
    assert end is not None
    if not isinstance(_source(end.operands[result]), MemRefType):
        way = _way_to(end.operands[result], {op for op, _ in stage.made}, {op for op, _ in found})
        suspects = [(op, made) for op, made in suspects if op in way]
    new = (op for op, made in suspects if not all(map(known.has_in_any_order, made)))
    return next(new, suspects[0][0] if suspects else _maker(end.operands[result]))


def _source(result: SSAValue) -> Any:
    """The type of what a result is made of: at stage `planned` that is memory."""
    maker = _maker(result)
    return maker.operands[0].type if maker is not None and maker.operands else None


def _way_to(result: SSAValue, run: set[Operation], wrong: set[Operation]) -> set[Operation]:
    """The ops that lead to a result, up to those that are right."""
    way: set[Operation] = set()
    left = [result]
    while left:
        op = _maker(value := left.pop())
        if op is None or op in way or (op in run and op not in wrong and value is not result):
            continue
        if isinstance(op, FusionOp):
            assert isinstance(value, OpResult)
            left += _handed_over(op, value.index)
            continue
        way.add(op)
        left += map(_outside, op.operands)
    return way


def _maker(value: SSAValue) -> Operation | None:
    return value.op if isinstance(value, OpResult) else None


def _handed_over(op: FusionOp, index: int) -> list[SSAValue]:
    end = op.body.block.last_op
    assert end is not None
    return [_outside(end.operands[index])]


def _outside(value: SSAValue) -> SSAValue:
    """An argument of a fusion as what it is given."""
    while isinstance(value, BlockArgument):
        owner = value.block.parent_op()
        if not isinstance(owner, FusionOp):
            break
        value = owner.inputs[value.index]
    return value
