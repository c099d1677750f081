"""Programs for many sizes on a GPU, made of what a compiled function captured, without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ostinato.codegen.triton.emit.sizes import Spread
from ostinato.codegen.triton.kernel import TritonKernel
from ostinato.codegen.triton.launches import launch_kernels
from ostinato.codegen.triton.templates import TEMPLATES
from ostinato.codegen.triton.templates.call import Settings
from ostinato.codegen.triton.variants import KernelFamily
from ostinato.compiler import passed
from ostinato.compiler.sizes.family import Family
from ostinato.compiler.sizes.template import Template, template_of
from ostinato.ir.dtypes import BY_NAME
from ostinato.passes.pipeline import Options
from ostinato.passes.target import CUDA, Kernels
from triton_program import run_spec
from triton_runner import Interpreter

Array = NDArray[Any]
KNOWN = {name: Kernels(t.take, t.any_scratch) for name, t in TEMPLATES.items()}


def options(device: str, symbols: Any, reuse: bool, apart: bool) -> Options:
    """What passes are told of a GPU, whatever the device of a region."""
    return Options(replace(CUDA, kernels=KNOWN, symbols=symbols), reuse=reuse)


class GpuFamily:
    """The Programs of a family as they would be for a GPU, the forward one first."""

    def __init__(self, family: Family) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(passed, "options_for", options)
            made = [
                passed.run_all_passes(region, symbols=symbols, reuse=False)
                for region, symbols in zip(
                    family.programs.regions, family.domain.stand_ins, strict=True
                )
            ]
        self.domain = family.domain
        self.kernels: list[dict[str, TritonKernel]] = []
        self.parts: list[Template] = []
        for modules in zip(*(p.modules for p in made), strict=True):
            self._add(template_of(list(modules), self.domain.samples, "any_"))

    def _add(self, part: Template) -> None:
        d = self.domain
        spread = Spread(d.ranges, d.typical, d.samples.sizes)
        sized = KernelFamily({name: g.sizes for name, g in part.kernels.items()}, spread)
        kernels = {name: g.kernel for name, g in part.kernels.items()} | part.batches
        made = launch_kernels(part.spec, kernels, Settings(90, "ieee"), sized)
        self.kernels.append({k.name: k for k in made})
        self.parts.append(part)

    def run(self, triton: Interpreter, sizes: tuple[int, ...], inputs: list[Any]) -> list[Array]:
        """The results of the forward Program for some sizes."""
        return run_spec(self.parts[0].at(sizes), self.kernels[0], triton, inputs)

    def inputs(self, sizes: tuple[int, ...]) -> list[Any]:
        """Random ones for the forward Program; integers are those that all tables have."""
        rng = np.random.default_rng(0)
        found: list[Any] = []
        for row in self.parts[0].at(sizes)["inputs"]:
            of = BY_NAME[row["dtype"]]
            if row["number"]:
                found.append(1.0 if of.is_floating_point else 1)
            elif of.is_floating_point:
                found.append(rng.normal(size=row["sizes"]).astype(of.numpy) * 0.5)
            else:
                found.append(rng.integers(0, 10, row["sizes"]).astype(of.numpy))
        return found
