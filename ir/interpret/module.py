"""The reference interpreter: runs a module of any stage on NumPy arrays, one op after the other.

`ot.gradient` is run as it stands, by the gradient rules on arrays (`ir/vjp.py`), so that a captured
module and what the autodiff pass makes of it can be compared. Kernels and Programs are run by
`kernel` and `program`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue

from ..dialects.ot import ConstantOp, FusionOp, GradientOp, TableOp
from ..dialects.program import CallOp, LaunchOp
from ..errors import IRError
from ..graph import main_of, type_of
from ..op import OPS, Builder, Op, building, is_list
from ..scalar.numpy import numpy_dtype
from ..shapes import show
from ..vjp import Applied, pull_back, summed
from .arrays import ArrayTensor, apply, tensor

Array = NDArray[Any]


Seen = Callable[[Operation, Sequence[Array]], object]
"""Called with an op of `@main` that ran, or of a fusion there, and what it made."""


def made_by(op: Operation) -> Sequence[SSAValue]:
    """The values that `Seen` is told of, in order: launches and calls make what they write."""
    return (*op.into, *op.outputs) if isinstance(op, LaunchOp | CallOp) else op.results


Off = Callable[[Op, list[ArrayTensor]], list[ArrayTensor]]
"""Called with each op of the graph that was applied and its results: what stands for these."""


def run(
    module: ModuleOp, inputs: Sequence[Any], seen: Seen | None = None, off: Off | None = None
) -> list[Array]:
    """The results of the module's `@main`, arguments being arrays or (for numbers) numbers.

    A bfloat16 value is a float32 array holding bfloat16 numbers. Results that `ot.writes` says are
    written back into arguments are results like others; `inputs` stay as they are. ValueError
    where `inputs` do not fit the arguments, IRError for an op that no stage has. `off` may put
    other results in the place of those of ops of the graph.
    """
    func = main_of(module)
    block = func.body.block
    if len(inputs) != len(block.args):
        raise ValueError(f"run: {len(inputs)} inputs; the module takes {len(block.args)}")
    if any(op.name.startswith("program.") for op in block.ops):
        from .program import run_program

        return run_program(module, inputs, seen)
    trace = _Trace(seen, off)
    values = [trace.input(i, x, a) for i, (x, a) in enumerate(zip(inputs, block.args, strict=True))]
    return [v.array for v in trace.block(block, values)]


def run_op(op: Operation, value_of: Callable[[SSAValue], ArrayTensor]) -> list[ArrayTensor]:
    """The results of an op of the graph on its own, where it stands among ops of the program."""
    trace = _Trace(None)
    for value in op.operands:
        trace.values[value] = trace.value(value_of(value))
    with building(trace):
        return list(trace.op(op))


class _Traced(ArrayTensor):
    """An array that notes what is applied to it, so that gradients can be taken."""

    trace: _Trace

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        return self.trace.apply_op(op, operands, attrs)


class _Trace(Builder):
    """What was applied so far, and the values of the IR's values."""

    def __init__(self, seen: Seen | None, off: Off | None = None) -> None:
        self.seen, self.off = seen, off
        self.nodes: list[Applied] = []
        self.values: dict[SSAValue, _Traced] = {}

    def value(self, of: ArrayTensor) -> _Traced:
        """`of` as a value of this trace."""
        if isinstance(of, _Traced):
            return of
        made = _Traced(of.array, of.dtype, of.wrapped)
        made.trace = self
        return made

    def input(self, index: int, given: Any, argument: SSAValue) -> _Traced:
        """Argument number `index`."""
        of = type_of(argument)
        if of.wrapped:
            return self.value(tensor(np.asarray(given).astype(of.dtype.numpy).item()))
        array = np.asarray(given)
        if array.shape != of.shape or array.dtype != numpy_dtype(of.dtype):
            raise ValueError(
                f"run: input {index} has shape {show(array.shape)} and dtype {array.dtype}; "
                f"the module takes {show(of.shape)} and {numpy_dtype(of.dtype)}"
            )
        return self.value(ArrayTensor(array, of.dtype))

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        lifted = tuple(self._lift(o) for o in operands)
        made = apply(op, lifted, attrs)
        made = made if self.off is None else self.off(op, made)
        results = tuple(map(self.value, made))
        self.nodes.append(Applied(op, lifted, attrs, results))
        return results[0] if len(results) == 1 else results

    def _lift(self, operand: Any) -> Any:
        if operand is None:
            return None
        if is_list(operand):
            return [self._lift(o) for o in operand]
        return self.value(tensor(operand))

    def block(self, block: Block, arguments: Sequence[_Traced]) -> list[_Traced]:
        """What the last op of `block` hands over."""
        self.values.update(zip(block.args, arguments, strict=True))
        end = block.last_op
        assert end is not None, "a block ends in func.return or ot.yield"
        with building(self):
            for op in block.ops:
                if op is not end:
                    results = self.op(op)
                    self.values.update(zip(op.results, results, strict=True))
                    if self.seen is not None:
                        self.seen(op, [r.array for r in results])
        return [self.values[v] for v in end.operands]

    def op(self, op: Operation) -> Sequence[_Traced]:
        """The results of an op."""
        match op:
            case TableOp():
                operands = [self._operand(o) for o in op.grouped_operands()]
                results = self.apply_op(op.SCHEMA, operands, op.attribute_values())
                return results if is_list(results) else (results,)
            case ConstantOp():
                return [self.value(tensor(op.python_value))]
            case GradientOp():
                return self._gradients(op)
            case FusionOp():
                return self.block(op.body.block, [self.values[v] for v in op.inputs])
            case _:
                raise IRError(f"run: {op.name} has no meaning here; it is not an op of any stage")

    def _operand(self, operand: Any) -> Any:
        if is_list(operand):
            return [self.values[v] for v in operand]
        return None if operand is None else self.values[operand]

    def _gradients(self, op: GradientOp) -> list[_Traced]:
        wanted = [self.values[v] for v in op.wrt]
        given = zip(op.outputs, op.cotangents, strict=True)
        seeds = summed((self.values[v], self.values[g]) for v, g in given)
        found = pull_back(list(self.nodes), seeds, wanted)
        return [found[w] if w in found else OPS["full"](w.shape, 0, dtype=w.dtype) for w in wanted]
