"""Runs Programs made for a GPU on NumPy arrays, their kernels in Triton's interpreter.

A launch gets each tensor as an array of its own, with guards around it; tensors in one place share
it. So a kernel that leaves its tensors, or writes what it says it only reads, is found out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.codegen.program import serialize
from ostinato.codegen.triton.kernel import TritonKernel
from ostinato.codegen.triton.launches import launch_kernels
from ostinato.codegen.triton.templates.call import Settings
from ostinato.ir.dialects.kernel import BatchOp, FuncOp
from ostinato.ir.dtypes import BY_NAME
from ostinato.ir.interpret.arrays import ArrayTensor, apply, tensor
from ostinato.ir.interpret.program import _loaded, _stored, _strided
from ostinato.ir.op import OPS
from triton_runner import Interpreter, Job

Array = NDArray[Any]


class GpuProgram:
    """The Program of a module at stage `planned`."""

    def __init__(self, module: Any, precision: str = "ieee") -> None:
        self.spec = serialize(module)
        fused = {k.sym_name.data: k for k in module.ops if isinstance(k, (FuncOp, BatchOp))}
        made = launch_kernels(self.spec, fused, Settings(90, precision))
        self.kernels = {k.name: k for k in made}

    @property
    def steps(self) -> list[str]:
        """The kernel or op of each instruction."""
        return [s.get("kernel") or s["op"] for s in self.spec["instructions"]]

    def run(self, triton: Interpreter, inputs: Sequence[Any]) -> list[Array]:
        """The results, in order."""
        return run_spec(self.spec, self.kernels, triton, inputs)


def run_spec(
    spec: dict[str, Any], kernels: Mapping[str, TritonKernel], triton: Interpreter,
    inputs: Sequence[Any],
) -> list[Array]:  # fmt: skip
    """The results of a serialised Program."""
    return _Run(spec, kernels, inputs).run(triton)


class _Run:
    def __init__(
        self, spec: dict[str, Any], kernels: Mapping[str, TritonKernel], inputs: Sequence[Any]
    ) -> None:
        self.spec, self.kernels = spec, kernels
        self.arena = np.full(spec["arena"], 0xA5, np.uint8)
        self.inputs = [
            _stored(np.asarray(x), BY_NAME[i["dtype"]]).reshape(-1)
            for x, i in zip(inputs, spec["inputs"], strict=True)
        ]
        self.outputs = [self._output(o) for o in spec["outputs"]]
        self.constants = [
            _stored(tensor(c["value"]).array, BY_NAME[c["dtype"]]).reshape(-1)
            for c in spec["constants"]
        ]

    def _output(self, row: Mapping[str, Any]) -> Array:
        for target in (row["writes"], row["input"]):
            if target is not None:
                return self.inputs[target]
        empty = np.zeros(row["sizes"])
        return _stored(np.full_like(empty, 77), BY_NAME[row["dtype"]]).reshape(-1)

    def run(self, triton: Interpreter) -> list[Array]:
        for step in self.spec["instructions"]:
            if step["kind"] == "launch":
                self._launch(triton, step)
            else:
                self._call(step)
        return [
            _loaded(memory, BY_NAME[o["dtype"]]).reshape(o["sizes"])
            for o, memory in zip(self.spec["outputs"], self.outputs, strict=True)
        ]

    def _memory(self, number: int) -> Array:
        """The memory of a tensor from its first element to its last."""
        row = self.spec["tensors"][number]
        dtype = BY_NAME[row["dtype"]]
        match row["space"]:
            case "arena":
                item = dtype.itemsize
                whole = self.arena[row["offset"] :]
                whole = whole[: len(whole) // item * item].view(_stored(np.zeros(1), dtype).dtype)
            case "input":
                whole = self.inputs[row["index"]]
            case "output":
                whole = self.outputs[row["index"]]
            case _:
                whole = self.constants[row["index"]]
        pairs = list(zip(row["sizes"], row["strides"], strict=True))
        reach = 0 if 0 in row["sizes"] else 1 + sum(s * (n - 1) for n, s in pairs)
        assert all(s >= 0 for _, s in pairs)
        assert row["start"] + reach <= len(whole)
        return whole[row["start"] : row["start"] + reach]

    def _launch(self, triton: Interpreter, step: Mapping[str, Any]) -> None:
        kernel = self.kernels[step["kernel"]]
        given = [self._memory(n) for n in step["tensors"]]
        starts = [a.ctypes.data for a in given]
        job = Job(
            kernel.name, kernel.source, step["programs"], dict(kernel.launch.constants),
            [p.type.lstrip("*") for p in kernel.launch.parameters],
            [starts.index(s) for s in starts], given, step["sizes"],
        )  # fmt: skip
        for parameter, address in zip(kernel.launch.parameters, starts, strict=True):
            assert not parameter.aligned or (address - self._base(address)) % 16 == 0
        after = triton.run(job)
        reads = len(given) - step["writes"]
        for i, (memory, new) in enumerate(zip(given, after, strict=True)):
            if i >= reads:
                memory[...] = new
            elif starts[i] not in starts[reads:]:
                np.testing.assert_array_equal(memory.view("uint8"), new.view("uint8"))

    def _base(self, address: int) -> int:
        """Where the memory begins that holds an address."""
        spaces = [self.arena, *self.inputs, *self.outputs, *self.constants]
        ends = [(a.ctypes.data, a.ctypes.data + max(a.nbytes, 1)) for a in spaces]
        return next((first for first, last in ends if first <= address < last), address)

    def _call(self, step: Mapping[str, Any]) -> None:
        schema = OPS[step["op"]]
        values = iter(step["operands"])
        operands: list[Any] = []
        for p in schema.operands:
            assert p.kind != "tensors" or len(schema.operands) == 1
            operands.append(list(map(self._value, values)) if p.kind == "tensors"
                            else self._value(next(values)))  # fmt: skip
        attrs = {p.name: _attribute(v) for p, v in zip(schema.attrs, step["attrs"], strict=True)}
        results = apply(schema, operands, attrs)
        for number, result in zip(step["results"], results, strict=True):
            self._shown(number)[...] = _stored(result.array, result.dtype)

    def _shown(self, number: int) -> Array:
        row = self.spec["tensors"][number]
        return _strided(self._memory(number), tuple(row["sizes"]), row["strides"], 0)

    def _value(self, number: int) -> Any:
        if number < 0:
            return None
        row = self.spec["tensors"][number]
        dtype = BY_NAME[row["dtype"]]
        array = _loaded(self._shown(number), dtype)
        is_number = row["space"] == "constant" or (
            row["space"] == "input" and self.spec["inputs"][row["index"]]["number"]
        )
        return tensor(array.item()) if is_number else ArrayTensor(array, dtype)


def _attribute(value: Any) -> Any:
    if isinstance(value, dict):
        return BY_NAME[value["dtype"]]  # pyright: ignore
    return tuple(value) if isinstance(value, list) else value  # pyright: ignore
