"""Backward Programs for some of the cotangents of a region, made when backward first meets them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..codegen import cache
from ..ir.errors import CompileError
from .built import Part
from .frames import user_depth
from .lowered import Wanted, codes_of, kernels_in, made
from .passed import PREFIXES, Narrow, run_narrowed
from .resume.edits import REPLACE, edits_of

if TYPE_CHECKING:
    from ..codegen.kernel_code import Code
    from .region import Region
    from .resume.edits import Edits


@dataclass(frozen=True)
class Narrowing:
    """Makes them for a region whose Programs are `wanted`, and notes them in its `parts`."""

    wanted: Wanted
    parts: list[Part]

    def __call__(self, came: list[int]) -> Any:
        """The Program for the cotangents at these positions among those of the results."""
        wanted, region = self.wanted, self.wanted.region
        title = title_of(region, came)
        own = replace(wanted, told=f"{wanted.told}\nnarrowed to {came}")
        edits = edits_of(region, own.identity, narrowed=True)
        if wanted.edits is not None:
            _tell_of(wanted.edits.not_narrowed(region), wanted.name, title)
        narrow = Narrow(tuple(came), edits)
        found = made(replace(own, narrow=narrow))
        (spec,), (program,) = found.specs, found.programs
        if spec["halves"] != self.parts[1].spec["halves"]:
            raise CompileError(
                f"{wanted.name}: the Program for {title} does not fit the forward one, which was "
                f"compiled by another process; remove {cache.directory()} and run again"
            )
        files = () if edits is None else edits.files
        again = _Again(region, narrow, wanted.edits)
        self.parts.append(
            Part(title, spec, program.number, again.codes, again.stages, found.seconds, files)
        )
        return program


@dataclass(frozen=True)
class _Again:
    """Runs the passes once more for those who want to see what was made."""

    region: Region
    narrow: Narrow
    edits: Edits | None

    def codes(self) -> dict[str, Code]:
        (module,) = run_narrowed(self.region, self.narrow, edits=self.edits).modules
        return codes_of(kernels_in(module, self.region.device), self.region.device)

    def stages(self) -> dict[str, str]:
        texts: dict[str, str] = {}
        run_narrowed(self.region, self.narrow, texts.__setitem__, edits=self.edits)
        return without_prefix(texts)


def without_prefix(stages: dict[str, str]) -> dict[str, str]:
    """Stages of a backward module, which its title says already."""
    return {stage.removeprefix(PREFIXES[1]): text for stage, text in stages.items()}


def title_of(region: Region, came: Sequence[int]) -> str:
    """What the Program for some cotangents is called: `backward of result 1`."""
    numbers = [str(region.ties.results[i]) for i in came]
    return f"backward of result{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _tell_of(files: Sequence[str], name: str, title: str) -> None:
    for file in files:
        warnings.warn(
            f"{REPLACE}: {file} is not in {title} of {name}, which goes through passes of its own; "
            "edit the dump of that",
            stacklevel=user_depth(),
        )
