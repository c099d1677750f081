"""The ops of a region on memory: each value read where its plan has it, results written there."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from xdsl.dialects.builtin import DictionaryAttr, MemRefType, StridedLayoutAttr, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from ...ir.dialects.elements import element_type
from ...ir.dialects.program import (
    ArenaOp,
    CallOp,
    ConstantOp,
    HostOp,
    InputOp,
    LaunchOp,
    OutputOp,
    ResultOp,
    UploadOp,
)
from ...ir.dtypes import DType
from ...ir.graph import HOST
from ..fusion.index import Linear, identity, strides_for, strides_of
from ..fusion.types import Shape, count, dtype_of, shape_of
from .plan import Plan


class Emitting:
    """Rewrites the ops of a function to work on memory."""

    def __init__(self, func: FuncOp, plan: Plan) -> None:
        self.func, self.plan = func, plan
        self.memory: dict[tuple[object, ...], SSAValue] = {}
        self.made: list[Operation] = []

    def run(self) -> None:
        old = self.plan.ops
        end = old[-1]
        for op in old:
            op.detach()
        for op in old[:-1]:
            if isinstance(op, (LaunchOp, CallOp, UploadOp)):
                self._step(op)
        for value, argument in self.plan.copies:
            self._copy(value, argument, end)
        results = [self._result(i, v, end) for i, v in enumerate(self.plan.returned)]
        final = ReturnOp.create(operands=results)
        final.location = end.location
        block = self.func.body.block
        for op in [*self.made, final]:
            block.add_op(op)
        for op in reversed(old):
            op.drop_all_references()

    def _add(self, op: Operation, location: Any) -> None:
        op.location = location
        self.made.append(op)

    def _ref(self, value: SSAValue, location: Any) -> SSAValue:
        """The memory of `value`; values of one type in one place share it."""
        tensor = self.plan.tensors[value]
        block, dtype, shape = tensor.block, dtype_of(value), shape_of(value)
        key = block.kind, block.number, dtype.name, shape, tensor.index
        known = self.memory.get(key)
        if known is not None:
            return known
        type_ = memory_type(dtype, shape, tensor.index)
        match block.kind:
            case "input":
                op = InputOp(self.plan.arguments[block.number], type_)
            case "output":
                op = OutputOp(block.number, type_)
            case "constant":
                source = self.plan.ops[block.number]
                assert isinstance(source, ConstantOp)
                op = ConstantOp(source.value, type_)
            case "host":
                op = HostOp(block.number, type_)
            case _:
                op = ArenaOp(block.number, type_)
        self._add(op, location)
        self.memory[key] = op.results[0]
        return op.results[0]

    def _step(self, op: LaunchOp | CallOp | UploadOp) -> None:
        arguments = [self._ref(v, op.location) for v in op.arguments]
        into = [self._ref(v, op.location) for v in op.outputs]
        match op:
            case LaunchOp():
                new = LaunchOp.of(op.kernel_name, arguments, [], into=into)
            case UploadOp():
                new = UploadOp.of(arguments, [], into)
            case CallOp():
                new = CallOp.of(op.callee.data, arguments, op.counts, op.given, [], into)
                new.attributes |= {k: v for k, v in op.attributes.items() if k == HOST}
        self._add(new, op.location)

    def _copy(self, value: SSAValue, argument: int, end: Operation) -> None:
        location = value.owner.location if isinstance(value.owner, Operation) else end.location
        source = self._ref(value, location)
        target = self._ref(self.plan.arguments[argument], location)
        copy = CallOp.of("clone", [source], [1], DictionaryAttr({}), [], [target])
        if self.plan.tensors[value].block.kind == "host":
            copy.attributes[HOST] = UnitAttr()
        self._add(copy, location)

    def _result(self, number: int, value: SSAValue, end: Operation) -> SSAValue:
        if isinstance(value, BlockArgument):
            return value
        target = next((a for v, a in self.plan.copies if v is value), None)
        place = value if target is None else self.plan.arguments[target]
        source = self._ref(place, end.location)
        op = ResultOp(source, value.type)
        self._add(op, end.location)
        return op.value


@lru_cache(1 << 12)
def memory_type(dtype: DType, shape: Shape, index: Linear) -> MemRefType[Any]:
    """The memref of a tensor whose row-major number n is element `index` of its memory."""
    strides = strides_for(index, shape)
    assert strides is not None, "a tensor in memory has strides"
    element = element_type(dtype)
    if index.const == 0 and (strides == strides_of(shape) or index == identity(count(shape))):
        return MemRefType(element, shape)
    return MemRefType(element, shape, StridedLayoutAttr(strides, index.const))
