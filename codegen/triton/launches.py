"""A Program for a GPU: it launches Triton kernels, also in place of calls where there are some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...ir.dialects.kernel import BatchOp, FuncOp
from ...ir.dtypes import BY_NAME
from ...ir.op import OPS
from ...ir.polynomial import BySize, Polynomial, divisor_of
from .emit.batch import emit_launchable
from .kernel import ALIGNMENT, TritonKernel
from .templates import TEMPLATES
from .templates.call import Call, Operand, Settings, Step
from .variants import KernelFamily, Variants, by_width, emit_family


def launch_kernels(
    spec: dict[str, Any], kernels: Mapping[str, FuncOp | BatchOp], settings: Settings,
    family: KernelFamily | None = None,
) -> list[TritonKernel]:  # fmt: skip
    """Rewrites the instructions of a serialised Program in place for a GPU, and returns the kernels
    that it launches; `kernels` are the fused ones by name.

    The `tensors` of a launch then are the pointers that its kernel takes, in order; a pointer is
    the address of a tensor's first element, its start included. `sizes` come after them. `programs`
    run it. The Program of a `family` has what depends on sizes in place of numbers, and `BySize`
    with a list of launches in place of one where sizes decide which kernel.
    """
    return _Launching(spec, kernels, settings, family).run()


class _Launching:
    def __init__(
        self, spec: dict[str, Any], kernels: Mapping[str, FuncOp | BatchOp], settings: Settings,
        family: KernelFamily | None,
    ) -> None:  # fmt: skip
        self.spec, self.kernels, self.settings = spec, kernels, settings
        self.family = family
        self.tensors = [_operand(t, family is not None) for t in spec["tensors"]]
        self.emitted: dict[str, Variants[TritonKernel]] = {}
        self.used: dict[str, TritonKernel] = {}

    def run(self) -> list[TritonKernel]:
        made: list[Any] = []
        for step in self.spec["instructions"]:
            if step["kind"] == "launch":
                made.append(self._fused(step))
            elif step["kind"] == "call" and step["op"] in TEMPLATES and not step["host"]:
                made += self._templates(step)
            else:
                made.append(step)
        self.spec["instructions"] = made
        self.spec["kernels"] = list(self.used)
        return list(self.used.values())

    def _fused(self, step: dict[str, Any]) -> dict[str, Any] | BySize:
        name = step["kernel"]
        if name not in self.emitted:
            self.emitted[name] = self._emitted(name)
        found = self.emitted[name]
        count = len(step["tensors"])
        every = [kernel for _, kernels in found.cases for kernel in kernels]
        for kernel in every:
            assert [p.buffer for p in kernel.launch.parameters] == list(range(count)), name
        if len(every) == 1:
            return step | self._launch(every[0], step["tensors"])
        cases = [(most, [step | self._launch(k, step["tensors"]) for k in kernels])
                 for most, kernels in found.cases]  # fmt: skip
        return BySize(found.symbol, tuple(cases))

    def _emitted(self, name: str) -> Variants[TritonKernel]:
        if self.family is None:
            return Variants(0, [(0, [emit_launchable(name, self.kernels)])])
        return emit_family(name, self.kernels, self.family)

    def _templates(self, step: dict[str, Any]) -> list[Any]:
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
        template = TEMPLATES[step["op"]]

        def launched(steps: Sequence[Step]) -> list[dict[str, Any]]:
            return [
                {"kind": "launch", "extent": 1, "grain": 1, "lines": step["lines"],
                 "writes": each.writes, **self._launch(each.kernel, numbers)}
                for each in steps
            ]  # fmt: skip

        if self.family is None:
            return launched(template.launches(call))
        widths = [w for w in template.widths(call) if isinstance(w, Polynomial)]
        found = by_width(
            lambda spread: template.launches(replace(call, spread=spread)),
            widths, self.family.spread,
        )  # fmt: skip
        if len(found.cases) == 1:
            return launched(found.cases[0][1])
        return [BySize(found.symbol, tuple((most, launched(s)) for most, s in found.cases))]

    def _launch(self, kernel: TritonKernel, numbers: Sequence[int]) -> dict[str, Any]:
        """What a launch of `kernel` with the buffers `numbers` says of kernel and tensors."""
        parameters = tuple(
            replace(p, aligned=p.aligned and self.tensors[numbers[p.buffer]].aligned)
            for p in kernel.launch.parameters
        )
        kernel = self._named(replace(kernel, launch=replace(kernel.launch, parameters=parameters)))
        return {
            "kernel": kernel.name, "tensors": [numbers[p.buffer] for p in parameters],
            "sizes": [p.of for p in kernel.launch.sizes], "programs": kernel.launch.programs,
        }  # fmt: skip

    def _named(self, kernel: TritonKernel) -> TritonKernel:
        """The kernel under a name that no other one has."""
        name, number = kernel.name, 0
        while (known := self.used.setdefault(name, kernel.renamed(name))) != kernel.renamed(name):
            number += 1
            name = f"{kernel.name}_{number}"
        return known


def _operand(tensor: Mapping[str, Any], in_family: bool) -> Operand:
    """A tensor of a Program; inputs, outputs, the arena and, in that of a family, blocks of it are
    aligned themselves."""
    offset: int = 0 if in_family else tensor["offset"]
    place = offset + divisor_of(tensor["start"]) * BY_NAME[tensor["dtype"]].itemsize
    return Operand(
        tensor["dtype"], tuple(tensor["sizes"]), tuple(tensor["strides"]), place % ALIGNMENT == 0
    )
