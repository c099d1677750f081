"""A variant for any sizes within a range: captured and compiled for a few, bound for each that
comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...ir.polynomial import Sizes, evaluated
from .. import build
from ..build import Built
from ..passed import Passed, run_all_passes
from ..phases import note_phases
from ..region import Region
from .symbols import Domain

if TYPE_CHECKING:
    from ...codegen.kernel_code import Code
    from ..variant import Variant
    from .template import Template


@dataclass
class Family:
    """What regions for all sizes of a domain have in common: `described` is the trace, with what
    depends on sizes in place of numbers, `parts` are the Programs, the forward one first."""

    domain: Domain
    regions: list[Region]  # of the samples
    described: Any
    parts: list[Template]
    kept: list[tuple[bool, int]]
    kernels: list[list[Any]]  # of each Program, LLVM's or Triton's
    machine_codes: list[bytes]  # of these, until a Program holds them
    seconds: dict[str, float]
    owners: list[Any] = field(default_factory=list[Any])  # the Programs that do
    members: list[Variant] = field(default_factory=list[Any])  # one for each size that came
    past_calls: int = 0  # of those that were given up

    @property
    def calls(self) -> int:
        """How often it ran."""
        return self.past_calls + sum(member.calls for member in self.members)

    @property
    def lines(self) -> list[str]:
        """`size N in [11, 521], axis 1 of argument 0`, a line a symbol."""
        return [f"size {guard}" for guard in self.domain.guards]

    def stages(self) -> dict[str, str]:
        """The text of each stage, by name, of all regions."""
        from .texts import stages_of

        return stages_of(self)

    def codes(self) -> list[dict[str, Code]]:
        """The generated code of the kernels of each Program, by name."""
        device = self.regions[0].device
        return [build.codes_of(kernels, device) for kernels in self.kernels]

    def sizes_in(self, shapes: Sequence[tuple[int, ...]], region: Region) -> Sizes | None:
        """The sizes of a call with arguments of these shapes, if it is one of the family: in the
        domain, and captured as the samples were."""
        sizes = self.domain.symbols.sizes_in(shapes)
        if sizes is None or not self.domain.takes(sizes):
            return None
        return sizes if evaluated(self.described, sizes) == build.described(region) else None

    def bind(self, region: Region, name: str, sizes: Sizes) -> Built:
        """The Programs for these sizes."""
        started = time.perf_counter()
        specs = [part.at(sizes) for part in self.parts]
        owners = self.owners or [None] * len(specs)
        programs = [
            build.program(spec, code, region.device, owner)
            for spec, code, owner in zip(specs, self.machine_codes, owners, strict=True)
        ]
        if not self.owners:
            self.owners, self.machine_codes = programs, [b""] * len(specs)
        if len(specs) > 1:
            specs[1]["kept"] = self.kept
        built = build.of_programs(region, name, specs, programs)
        built.family, built.sizes = self, self.domain.named(sizes)
        built.seconds["bind"] = time.perf_counter() - started
        return built


def family_of(domain: Domain, regions: list[Region], described: Any) -> Family:
    """The family of which `regions` are members, one for each sample, and which `described` says.

    DiffersError where their Programs have not all but numbers in common.
    """
    from .template import template_of  # the IR's packages are loaded by what compiles

    passed = [
        run_all_passes(region, symbols=symbols, reuse=False)
        for region, symbols in zip(regions, domain.stand_ins, strict=True)
    ]
    seconds = _seconds(passed)
    started = time.perf_counter()
    samples = domain.samples
    parts = [
        template_of(list(modules), samples, f"part{i}_")
        for i, modules in enumerate(zip(*(p.modules for p in passed), strict=True))
    ]
    for part, apart in zip(parts, passed[0].apart, strict=True):
        part.spec["unfused"] = apart
    note_phases([part.spec for part in parts], regions[0])
    kept = samples.tree([[list(k) for k in p.kept] for p in passed], "what backward keeps")
    kept = [(bool(is_input), int(index)) for is_input, index in kept]
    seconds["sizes"] = time.perf_counter() - started
    started = time.perf_counter()
    made = [_kernels(part, regions[0].device, domain) for part in parts]
    seconds["codegen"] = time.perf_counter() - started
    kernels, codes = [k for k, _ in made], [code for _, code in made]
    return Family(domain, regions, described, parts, kept, kernels, codes, seconds)


def _kernels(part: Template, device: str, domain: Domain) -> tuple[list[Any], bytes]:
    """The kernels of a family's Program, whose launches `part` then has, and their machine code."""
    if device == "cpu":
        from ...codegen.llvm.backend import LLVMBackend

        kernels = [g.kernel for g in part.kernels.values()]
        return kernels, LLVMBackend().build(kernels).data if kernels else b""
    from ...codegen.triton.emit.sizes import Spread
    from ...codegen.triton.program import sized_program
    from ...codegen.triton.variants import KernelFamily

    spread = Spread(domain.ranges, domain.typical, domain.samples.sizes)
    family = KernelFamily({name: g.sizes for name, g in part.kernels.items()}, spread)
    kernels = {name: g.kernel for name, g in part.kernels.items()} | part.batches
    return sized_program(part.spec, kernels, build.settings_for(device), family)


def _seconds(passed: Sequence[Passed]) -> dict[str, float]:
    total: dict[str, float] = {}
    for each in passed:
        for name, seconds in each.seconds.items():
            total[name] = total.get(name, 0.0) + seconds
    return total
