"""A planned module as data for the executor: tensors, instructions, what comes in and goes out."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import BlockArgument, SSAValue

from ..ir.dialects.kernel import BatchOp
from ..ir.dialects.kernel import FuncOp as KernelOp
from ..ir.dialects.ot.types import NumberType, number_value
from ..ir.dialects.program import (
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
from ..ir.dtypes import DType
from ..ir.graph import HOST, is_host_argument, main_of, type_of, writes_of
from ..ir.interpret.program import (
    ARENA,
    HOST_BYTES,
    bytes_of,
    call_attributes,
    element_of,
    layout_of,
)
from ..ir.locations import told_lines
from ..ir.op import OPS
from ..ir.work import kernel_operations

FORMAT = 3


def serialize(module: ModuleOp) -> dict[str, Any]:
    """The Program of a module at stage `planned`, of values that JSON has.

    Tensors are numbered; an instruction names them by number, -1 being an absent operand. Sizes,
    strides and starts count elements, offsets, `arena` and `host` bytes. The last `writes` tensors
    of a launch are its results, and it does `operations` (see `ir/work.py`). `scratch` is memory
    for a call to use. `lines` are those of the user's source. Only kernels that are launched are
    listed.

    What is on the `host` of a region for a device lies in the CPU's memory: inputs, outputs and
    tensors of space `host`. Calls there are run by the CPU before the device starts, and an
    `upload` gives the device copies of such tensors.
    """
    return _Serializing(module).run()


class _Serializing:
    def __init__(self, module: ModuleOp) -> None:
        self.main = main_of(module)
        self.all = {k.sym_name.data: k for k in module.ops if isinstance(k, (KernelOp, BatchOp))}
        self.tensors: list[dict[str, Any]] = []
        self.constants: list[dict[str, Any]] = []
        self.instructions: list[dict[str, Any]] = []
        self.kernels: dict[str, None] = {}
        self.number: dict[SSAValue, int] = {}
        self.on_host: set[int] = set()  # results

    def run(self) -> dict[str, Any]:
        for op in self.main.body.block.ops:
            match op:
                case LaunchOp():
                    self._launch(op)
                case CallOp():
                    self._call(op)
                case UploadOp():
                    self._upload(op)
                case ArenaOp() | HostOp() | InputOp() | OutputOp() | ConstantOp():
                    self._tensor(op)
                case ResultOp() | ReturnOp():
                    pass
                case _:
                    raise AssertionError(f"{op.name} is no op of stage planned")
        return {
            "format": FORMAT, "arena": bytes_of(self.main, ARENA),
            "host": bytes_of(self.main, HOST_BYTES),
            "inputs": [self._input(a) for a in self.main.args], "outputs": self._outputs(),
            "constants": self.constants, "tensors": self.tensors,
            "instructions": self.instructions, "kernels": list(self.kernels),
        }  # fmt: skip

    def _tensor(self, op: ArenaOp | HostOp | InputOp | OutputOp | ConstantOp) -> None:
        memory = op.results[0]
        type_ = memory.type
        assert isinstance(type_, MemRefType)
        strides, start = layout_of(type_)  # pyright: ignore[reportUnknownArgumentType]
        space, index, offset = "arena", 0, 0
        match op:
            case ArenaOp():
                offset = op.offset.value.data
            case HostOp():
                space, offset = "host", op.offset.value.data
            case InputOp():
                assert isinstance(op.argument, BlockArgument)
                space, index = "input", op.argument.index
            case OutputOp():
                space, index = "output", op.index.value.data
            case ConstantOp():
                space, index = "constant", len(self.constants)
                value = number_value(op.value)
                self.constants.append({"dtype": element_of(memory).name, "value": value})
        self.number[memory] = len(self.tensors)
        self.tensors.append({
            "space": space, "index": index, "offset": offset,
            "dtype": element_of(memory).name, "sizes": list(type_.get_shape()),
            "strides": list(strides), "start": start,
        })  # fmt: skip

    def _launch(self, op: LaunchOp) -> None:
        kernel = self.all[op.kernel_name]
        self.kernels[op.kernel_name] = None
        self.instructions.append({
            "kind": "launch", "kernel": op.kernel_name,
            "tensors": [self.number[v] for v in (*op.arguments, *op.into)],
            "writes": len(op.into),
            "operations": kernel_operations(kernel, self.all),
            **_range(kernel), "lines": list(told_lines(op.location)),
        })  # fmt: skip

    def _call(self, op: CallOp) -> None:
        schema = OPS[op.callee.data]
        operands: list[int] = []
        for o in op.grouped:
            values = o if isinstance(o, list) else [o]
            operands += [-1 if v is None else self.number[v] for v in values]
        attrs = call_attributes(schema, op)
        into = [self.number[v] for v in op.into]
        self.instructions.append({
            "kind": "call", "op": schema.name, "operands": operands,
            "attrs": [_attribute(attrs[p.name]) for p in schema.attrs],
            "results": into[: schema.results], "scratch": into[schema.results :],
            "host": HOST in op.attributes, "lines": list(told_lines(op.location)),
        })  # fmt: skip
        if HOST in op.attributes:
            self.on_host |= {v.owner.index.value.data for v in op.into
                             if isinstance(v.owner, OutputOp)}  # fmt: skip

    def _upload(self, op: UploadOp) -> None:
        self.instructions.append({
            "kind": "upload", "operands": [self.number[v] for v in op.arguments],
            "results": [self.number[v] for v in op.into], "lines": list(told_lines(op.location)),
        })  # fmt: skip

    def _outputs(self) -> list[dict[str, Any]]:
        end = self.main.body.block.last_op
        assert isinstance(end, ReturnOp)
        writes = dict(writes_of(self.main))
        found: list[dict[str, Any]] = []
        for i, v in enumerate(end.operands):
            given = v.index if isinstance(v, BlockArgument) else None
            found.append(
                _shaped(v) | {"writes": writes.get(i), "input": given, "host": i in self.on_host}
            )
        return found

    def _input(self, argument: BlockArgument) -> dict[str, Any]:
        return _shaped(argument) | {
            "number": isinstance(argument.type, NumberType),
            "host": is_host_argument(self.main, argument.index),
        }


def _range(kernel: KernelOp | BatchOp) -> dict[str, int]:
    """The parallel axis of a kernel; a batch is one iteration."""
    if isinstance(kernel, BatchOp):
        return {"extent": 1, "grain": 1}
    grain = 1 if kernel.grain is None else kernel.grain.value.data
    return {"extent": kernel.fixed_length, "grain": grain}


def _shaped(value: SSAValue) -> dict[str, Any]:
    of = type_of(value)
    strides: list[int] = []
    step = 1
    for size in reversed(of.shape):
        strides.append(step)
        step *= int(size)  # pyright: ignore
    return {"dtype": of.dtype.name, "sizes": list(of.shape), "strides": strides[::-1]}


def _attribute(value: Any) -> Any:
    if isinstance(value, DType):
        return {"dtype": value.name}
    return list(value) if isinstance(value, (tuple, list)) else value  # pyright: ignore
