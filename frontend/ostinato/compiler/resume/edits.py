"""Which steps of a region `OSTINATO_REPLACE` has others in the place of."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...ir.errors import CompileError
from ..dumps import DUMP, Identity, digest, step_file
from ..frames import user_depth
from ..passed import APART, MASKED, stage_of_step, steps
from ..region import Region
from .folder import Dumped, regions_in

REPLACE = "OSTINATO_REPLACE"
"""The environment variable: a folder that `OSTINATO_DUMP` left, some steps of which were edited."""

_SUFFIX = ".mlir"


@dataclass(frozen=True)
class Edits:
    """The texts that stand for the module after some steps of a region, by name of their file."""

    folder: Path
    texts: Mapping[str, str]

    @property
    def told(self) -> str:
        """What tells Programs made with these edits from others, for the cache."""
        return "".join(f"\n{file} {digest(text)}" for file, text in self.texts.items())

    @property
    def files(self) -> tuple[str, ...]:
        """The edited files, each with the folder of its region."""
        return tuple(f"{self.folder.name}/{file}" for file in self.texts)

    def take_place(self, file: str, step: str, module: Any) -> bool:
        """Puts what `file` says in the place of what is in `module`, where it was edited; whether
        it was. IRError, with the line, for a text that cannot stand there."""
        text = self.texts.get(file)
        if text is None:
            return False
        from .place import put

        put(module, text, str(self.folder / file), stage_of_step(step))
        return True

    def not_narrowed(self, region: Region) -> list[str]:
        """The edited files of a step that the backward module for some cotangents does not go
        through: it has its own from `split` on."""
        names = steps(region)
        split = names.index(("backward", "split")) if ("backward", "split") in names else len(names)
        return [file for file in self.texts if int(file.partition("-")[0]) > split]

    def beyond_bisection(self, region: Region) -> str | None:
        """An edited file after whose step passes no longer have the whole region to go wrong in:
        one of its parts, or the last step."""
        for file in self.texts:
            part, made_by = _step(file, region)
            if made_by == APART[-1] or (region.is_differentiable and part != "joint"):
                return file
        return None

    def module(self, region: Region) -> tuple[str, str]:
        """The only edit as a module with all locations, and the pass in the place of whose result
        it stands. IRError for a text that is none."""
        from ...ir.locations import fill_locations
        from ...ir.text import parse_module, print_module

        ((file, text),) = self.texts.items()
        edited = parse_module(text, str(self.folder / file))
        fill_locations(edited)
        return print_module(edited), _step(file, region)[1]


def _step(file: str, region: Region) -> tuple[str, str]:
    """The part of the region and the pass that a file is of."""
    return steps(region)[int(file.partition("-")[0])]


def are_asked() -> bool:
    """Whether the environment names a folder with edits."""
    return bool(os.environ.get(REPLACE))


def edits_of(region: Region, identity: Identity, narrowed: bool = False) -> Edits | None:
    """The edits of a region that is about to be compiled, or of its backward module for some
    cotangents; None where there are none.

    CompileError where the user's source has changed since the region was dumped, or where what was
    edited cannot take a place.
    """
    edited = [(d, texts) for d in _alike(identity) if (texts := d.edited())]
    own = [(d, texts) for d, texts in edited if d.identity == identity]
    for dumped, _ in own or edited:
        _expect_same_source(dumped)
    if len(own) > 1:
        first, second = (d.folder.name for d, _ in own[:2])
        raise CompileError(
            f"{REPLACE}: {first} and {second} are dumps of one region, and both were edited; "
            "remove one of them"
        )
    return _checked(*own[0], region, narrowed) if own else None


def _alike(identity: Identity) -> list[Dumped]:
    """The dumps of regions of the same function."""
    folder = os.environ.get(REPLACE)
    if not folder:
        return []
    known = list(regions_in(Path(folder)))
    if not known:
        raise CompileError(
            f"{REPLACE}: there is no region in {folder}; run the program with {DUMP}={folder} "
            "and edit what that leaves"
        )
    return [d for d in known if d.identity.function == identity.function]


def _expect_same_source(dumped: Dumped) -> None:
    change = dumped.change()
    if change is not None:
        raise CompileError(
            f"{REPLACE}: the source has changed since {dumped.folder} was dumped: {change}; dump "
            "the region again and repeat the edit"
        )


def _checked(dumped: Dumped, texts: Mapping[str, str], region: Region, narrowed: bool) -> Edits:
    """The edits of a region, of which one cannot undo another."""
    parts: dict[str, str] = {}
    names = steps(region, narrowed)
    for file in texts:
        number = file.partition("-")[0]
        if not file.endswith(_SUFFIX) or not number.isdigit() or int(number) >= len(names):
            raise CompileError(
                f"{REPLACE}: {dumped.folder / file} was edited, which nothing reads; edit a step"
            )
        part, _ = names[int(number)]
        other = next((f for p, f in parts.items() if "joint" in (part, p) or part == p), None)
        if other is not None:
            raise CompileError(
                f"{REPLACE}: {other} and {file} in {dumped.folder} were both edited, and one would "
                "undo the other; dump the region again and edit one step"
            )
        parts[part] = file
        if not narrowed:
            _expect_no_plan(dumped.folder / file, int(number), region)
    return Edits(dumped.folder, texts)


def _expect_no_plan(file: Path, number: int, region: Region) -> None:
    """Padding is masked in ops by their number."""
    if region.padding is None:
        return
    masked = [name for _, name in steps(region)].index("mask_padding")
    if number < masked:
        raise CompileError(
            f"{REPLACE}: {file} was edited, but padding is masked as it was planned for the ops "
            f"there; edit {step_file(masked, MASKED)} or a later step"
        )


def tell_of_others(region: Region, identity: Identity) -> None:
    """A warning where there are edits of the region's function, but it is none of those that were
    dumped."""
    alike = _alike(identity)
    edited = next((d for d in alike if d.edited()), None)
    if edited is not None and all(d.identity != identity for d in alike):
        _tell_of(edited, region)


def _tell_of(dumped: Dumped, region: Region) -> None:
    from ...ir.text import print_module
    from ..captured import to_module

    file = dumped.folder / step_file(0, "captured")
    before = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    now = print_module(to_module(region)).splitlines()
    lines = zip(before, now, strict=False)
    apart = next((i for i, (a, b) in enumerate(lines, 1) if a != b), None)
    where = ""
    if apart is not None:
        was, is_ = _short(before[apart - 1], now[apart - 1])
        where = f": where line {apart} of {file} has `{was}`, it has `{is_}`"
    warnings.warn(
        f"{REPLACE}: a region of {dumped.identity.function} is compiled as it is, since it is none "
        f"of those that were dumped{where}",
        stacklevel=user_depth(),
    )


def _short(*lines: str) -> list[str]:
    """Lines for a message: without locations where they differ without them, and cut."""
    from ...ir.text import without_locations

    plain = [without_locations(line).strip() for line in lines]
    shown = plain if len({*plain}) == len(lines) else [line.strip() for line in lines]
    return [line if len(line) <= 160 else f"{line[:160]}…" for line in shown]
