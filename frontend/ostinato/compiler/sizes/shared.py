"""The Programs that regions of all sizes of a domain have in common, bound for some of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ...ir.errors import CompileError
from ...ir.polynomial import DiffersError, Sizes
from ..build import parts_of, tied
from ..built import Built, Part
from ..lowered import codes_of, program, settings_for
from ..narrowing import title_of, without_prefix
from ..passed import Narrow, Passed, add_seconds, run_all_passes, run_narrowed
from ..phases import note_phases
from ..region import Region
from .symbols import Domain

if TYPE_CHECKING:
    from ...codegen.kernel_code import Code
    from .template import Template


@dataclass
class Shared:
    """One of the Programs that regions have in common: with what depends on sizes in place of
    numbers, its kernels, LLVM's or Triton's, and their machine code until a Program holds it."""

    template: Template
    kernels: list[Any]
    machine_code: bytes
    owner: Any = None  # the Program that does

    def at(self, sizes: Sizes, device: str) -> tuple[dict[str, Any], Any]:
        """The Program for these sizes: as data, and ready to run."""
        spec = self.template.at(sizes)
        made = program(spec, self.machine_code, device, self.owner)
        if self.owner is None:
            self.owner, self.machine_code = made, b""
        return spec, made

    def codes(self, device: str) -> dict[str, Code]:
        """The generated code of its kernels, by name."""
        return codes_of(self.kernels, device)


@dataclass
class SharedPrograms:
    """Those of a domain, made of the `regions` of its samples: the forward one first, and the
    backward ones for some cotangents as they are needed."""

    domain: Domain
    regions: list[Region]
    parts: list[Shared]
    kept: list[tuple[bool, int]]
    halves: list[str]  # of the samples
    seconds: dict[str, float]
    narrowed: dict[tuple[int, ...], Shared] = field(default_factory=dict[Any, Shared])

    def stages(self, narrow: Narrow | None = None) -> dict[str, str]:
        """The text of each stage, by name, of all regions; see `stages_of`."""
        from .texts import stages_of

        return stages_of(self, narrow)

    def bind(self, region: Region, name: str, sizes: Sizes) -> Built:
        """What runs a region of these sizes."""
        device = region.device
        specs, programs = map(
            list, zip(*(part.at(sizes, device) for part in self.parts), strict=True)
        )
        if len(specs) > 1:
            specs[1]["kept"] = self.kept
        parts = parts_of(specs, programs, lambda i: self.parts[i].codes(device))
        narrow = _Narrowing(self, region.bare, name, sizes, parts)
        return tied(region, name, parts, programs, narrow)

    def narrow(self, came: tuple[int, ...], name: str) -> Shared:
        """The backward Program for some cotangents, made when it is first asked for."""
        if came not in self.narrowed:
            passed = [
                run_narrowed(region, Narrow(came), symbols=symbols, reuse=False)
                for region, symbols in zip(self.regions, self.domain.stand_ins, strict=True)
            ]
            try:
                if [p.halves for p in passed] != self.halves:
                    raise DiffersError([p.halves for p in passed], "how the region is split")
                count = len(self.parts) + len(self.narrowed)
                self.narrowed[came] = _shared(
                    passed, 0, f"part{count}_", self.regions[0], self.domain, is_backward=True
                )
            except DiffersError as error:
                raise CompileError(
                    f"{name}: the Program for {title_of(self.regions[0], came)} is not the same "
                    f"for all sizes: {error}; ask for the gradients of all results at once"
                ) from error
            _add(self.seconds, passed)
        return self.narrowed[came]


@dataclass(frozen=True)
class _Narrowing:
    """Makes the backward Programs for some cotangents of one size, and notes them in `parts`."""

    shared: SharedPrograms
    region: Region
    name: str
    sizes: Sizes
    parts: list[Part]

    def __call__(self, came: list[int]) -> Any:
        device = self.region.device
        made_for_all = self.shared.narrow(tuple(came), self.name)
        spec, made = made_for_all.at(self.sizes, device)
        part = Part(
            title_of(self.region, came), spec, made.number, partial(made_for_all.codes, device),
            lambda: without_prefix(self.shared.stages(Narrow(tuple(came)))),
        )  # fmt: skip
        self.parts.append(part)
        return made


def shared_programs(domain: Domain, regions: Sequence[Region]) -> SharedPrograms:
    """Those of `regions`, one for each sample.

    DiffersError where they have not all but numbers in common.
    """
    bare = [region.bare for region in regions]
    passed = [
        run_all_passes(region, symbols=symbols, reuse=False)
        for region, symbols in zip(bare, domain.stand_ins, strict=True)
    ]
    seconds: dict[str, float] = {}
    _add(seconds, passed)
    started = time.perf_counter()
    parts = [
        _shared(passed, i, f"part{i}_", bare[0], domain, is_backward=i > 0)
        for i in range(len(passed[0].modules))
    ]
    kept = domain.samples.tree([[list(k) for k in p.kept] for p in passed], "what backward keeps")
    kept = [(bool(is_input), int(index)) for is_input, index in kept]
    seconds["codegen"] = time.perf_counter() - started
    return SharedPrograms(domain, bare, parts, kept, [p.halves for p in passed], seconds)


def _shared(
    passed: Sequence[Passed], number: int, prefix: str, region: Region, domain: Domain,
    is_backward: bool,
) -> Shared:  # fmt: skip
    """What the samples' Programs of this number have in common."""
    from .template import template_of  # the IR's packages are loaded by what compiles

    template = template_of([p.modules[number] for p in passed], domain.samples, prefix)
    template.spec["unfused"] = passed[0].apart[number]
    note_phases([template.spec], region, [is_backward])
    return Shared(template, *_kernels(template, region.device, domain))


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
    return sized_program(part.spec, kernels, settings_for(device), family)


def _add(total: dict[str, float], passed: Sequence[Passed]) -> None:
    """Adds what the passes took."""
    for each in passed:
        add_seconds(total, each.seconds)
