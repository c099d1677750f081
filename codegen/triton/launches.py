"""A Program for a GPU: it launches Triton kernels, also in place of calls where there are some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...ir.dialects.kernel import BatchOp, FuncOp
from ...ir.dtypes import BY_NAME
from ...ir.op import OPS
from .emit_batch import emit_launchable
from .kernel import ALIGNMENT, TritonKernel
from .templates import TEMPLATES
from .templates.call import Call, Operand, Settings


def launch_kernels(
    spec: dict[str, Any], kernels: Mapping[str, FuncOp | BatchOp], settings: Settings
) -> list[TritonKernel]:
    """Rewrites the instructions of a serialised Program in place for a GPU, and returns the kernels
    that it launches; `kernels` are the fused ones by name.

    The `tensors` of a launch then are the parameters of the kernel in order; a pointer is the
    address of a tensor's first element, its start included. Its grid is in the kernel's record.
    """
    return _Launching(spec, kernels, settings).run()


class _Launching:
    def __init__(
        self, spec: dict[str, Any], kernels: Mapping[str, FuncOp | BatchOp], settings: Settings
    ) -> None:
        self.spec, self.kernels, self.settings = spec, kernels, settings
        self.tensors = [_operand(t) for t in spec["tensors"]]
        self.emitted: dict[str, TritonKernel] = {}
        self.used: dict[str, TritonKernel] = {}

    def run(self) -> list[TritonKernel]:
        made: list[dict[str, Any]] = []
        for step in self.spec["instructions"]:
            if step["kind"] == "launch":
                made.append(self._fused(step))
            elif step["kind"] == "call" and step["op"] in TEMPLATES and not step["host"]:
                made += self._template(step)
            else:
                made.append(step)
        self.spec["instructions"] = made
        self.spec["kernels"] = list(self.used)
        return list(self.used.values())

    def _fused(self, step: dict[str, Any]) -> dict[str, Any]:
        name = step["kernel"]
        if name not in self.emitted:
            self.emitted[name] = emit_launchable(name, self.kernels)
        kernel = self.emitted[name]
        count = len(step["tensors"])
        assert [p.buffer for p in kernel.launch.parameters] == list(range(count)), name
        return step | self._launch(kernel, step["tensors"])

    def _template(self, step: dict[str, Any]) -> list[dict[str, Any]]:
        schema = OPS[step["op"]]
        operands: list[int] = step["operands"]
        results: list[int] = step["results"]
        scratch: list[int] = step["scratch"]
        numbers = [*operands, *results, *scratch]
        call = Call(
            operands=tuple(None if n < 0 else self.tensors[n] for n in operands),
            results=tuple(self.tensors[n] for n in results),
            scratch=tuple(self.tensors[n] for n in scratch),
            attrs=dict(zip((p.name for p in schema.attrs), step["attrs"], strict=True)),
            settings=self.settings,
        )
        return [
            {"kind": "launch", "extent": 1, "grain": 1, "lines": step["lines"],
             "writes": each.writes, **self._launch(each.kernel, numbers)}
            for each in TEMPLATES[step["op"]].launches(call)
        ]  # fmt: skip

    def _launch(self, kernel: TritonKernel, numbers: Sequence[int]) -> dict[str, Any]:
        """What a launch of `kernel` with the buffers `numbers` says of kernel and tensors."""
        parameters = tuple(
            replace(p, aligned=p.aligned and self.tensors[numbers[p.buffer]].aligned)
            for p in kernel.launch.parameters
        )
        kernel = self._named(replace(kernel, launch=replace(kernel.launch, parameters=parameters)))
        return {"kernel": kernel.name, "tensors": [numbers[p.buffer] for p in parameters]}

    def _named(self, kernel: TritonKernel) -> TritonKernel:
        """The kernel under a name that no other one has."""
        name, number = kernel.name, 0
        while (known := self.used.setdefault(name, kernel.renamed(name))) != kernel.renamed(name):
            number += 1
            name = f"{kernel.name}_{number}"
        return known


def _operand(tensor: Mapping[str, Any]) -> Operand:
    """A tensor of a Program; inputs, outputs and the arena are aligned themselves."""
    start = tensor["offset"] + tensor["start"] * BY_NAME[tensor["dtype"]].itemsize
    return Operand(
        tensor["dtype"], tuple(tensor["sizes"]), tuple(tensor["strides"]), start % ALIGNMENT == 0
    )
