"""A bundle: a folder with all that a compiled region was made from, to look for what is wrong.

`module.mlir` is the region's module, `inputs/N.npy` are its arguments, and `bundle.json` says how
it is compiled and what wrote it. No file of it is code that is run on reading.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...runtime import _C
from ..frames import user_depth

if TYPE_CHECKING:
    from ..region import Region
    from ..resume.edits import Edits

VARIABLE = "OSTINATO_BUNDLE"
"""The environment variable: a directory that a bundle of every region is written to."""

MODULE = "module.mlir"
"""The file with the text of a module."""

INPUTS = "inputs"
"""The folder with its arguments, `N.npy` each."""

CAPTURE = "capture"

_FACTS = "bundle.json"
_PACKAGES = ("ostinato", "numpy", "xdsl", "llvmlite")


@dataclass(frozen=True)
class Apart:
    """Where a joint module is split: its arguments before cotangents, its results before gradients,
    and the arguments that the caller changes after the forward Program."""

    inputs: int
    results: int
    changed: tuple[int, ...]


@dataclass(frozen=True)
class Bundle:
    """A region of `function`: its module at stage `captured` and the arguments of one call,
    gradients of results among them. `device` is where it runs. Where a dump of it was edited the
    module is that edit, in the place of what the pass `made_by` made."""

    function: str
    device: str
    module: str
    inputs: list[Any]
    apart: Apart | None
    versions: dict[str, str]
    made_by: str = CAPTURE

    def write(self, folder: Path) -> None:
        """Writes the files, over those of an older bundle."""
        write_module(folder, self.module, self.inputs)
        facts = {
            "function": self.function, "device": self.device, "inputs": len(self.inputs),
            "apart": None if self.apart is None else asdict(self.apart), "versions": self.versions,
            "made_by": self.made_by,
        }  # fmt: skip
        (folder / _FACTS).write_text(json.dumps(facts, indent=1) + "\n")


def write_module(folder: Path, text: str, inputs: Sequence[Any]) -> None:
    """The files of a module and its arguments."""
    import numpy as np  # `import ostinato` does without

    (folder / INPUTS).mkdir(parents=True, exist_ok=True)
    (folder / MODULE).write_text(text)
    for i, value in enumerate(inputs):
        np.save(folder / INPUTS / f"{i}.npy", value, allow_pickle=False)


def read(folder: Path) -> Bundle:
    """The bundle in `folder`; ValueError where there is none."""
    import numpy as np

    try:
        facts = json.loads((folder / _FACTS).read_text())
        module = (folder / MODULE).read_text()
        arrays = [np.load(folder / INPUTS / f"{i}.npy", allow_pickle=False)
                  for i in range(facts["inputs"])]  # fmt: skip
        given = facts["apart"]
        apart = given and Apart(given["inputs"], given["results"], tuple(given["changed"]))
        inputs = _as_given(module, arrays)
        return Bundle(facts["function"], facts["device"], module, inputs, apart, facts["versions"],
                      facts.get("made_by", CAPTURE))  # fmt: skip
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"bisect: {folder} is no bundle ({error}); `{VARIABLE}=DIR python PROGRAM` writes one "
            "of each region that the program compiles into DIR"
        ) from error


def _as_given(text: str, arrays: Sequence[Any]) -> list[Any]:
    """Numbers where `@main` takes numbers."""
    from ...ir.graph import main_of, type_of
    from ...ir.text import parse_module

    types = [type_of(a) for a in main_of(parse_module(text, MODULE)).args]
    return [x.item() if t.wrapped else x for x, t in zip(arrays, types, strict=True)]


def bundles_in(folder: Path) -> Iterator[Path]:
    """`folder` itself where it is a bundle, else those that lie in it, by name."""
    if (folder / _FACTS).exists() or not folder.is_dir():
        yield folder
        return
    found = sorted(path.parent for path in folder.glob(f"*/{_FACTS}"))
    yield from found or [folder]


def versions() -> dict[str, str]:
    """What compiles here."""
    import platform
    from importlib.metadata import version

    found = {package: version(package) for package in _PACKAGES}
    return found | {"python": platform.python_version(), "machine": platform.machine()}


def of_region(region: Region, function: str, edits: Edits | None = None) -> Bundle:
    """The region as it was captured, or as it was edited, on the inputs of that call, with made-up
    cotangents."""
    import numpy as np

    from ...ir.text import print_module
    from ..captured import to_module
    from ..check.closeness import array_of

    inputs: list[Any] = []
    for value in region.inputs:
        _, _, _, is_number, tensor, _ = region.values[value]
        inputs.append(np.asarray(_C.item_now(tensor)) if is_number else array_of(tensor))
    draws = np.random.default_rng(0)
    for i in region.ties.results:
        shape = region.values[region.results[i]][2]
        inputs.append(draws.standard_normal(shape))
    apart = None
    if region.is_differentiable:
        changed = tuple(argument for _, argument in region.assigned)
        apart = Apart(len(region.inputs), len(region.results), changed)
    module = to_module(region)
    text, made_by = print_module(module), CAPTURE
    if edits is not None:
        text, made_by = edits.module(region)
    return Bundle(function, region.device, text, _fitting(module, inputs), apart, versions(),
                  made_by)  # fmt: skip


def _fitting(module: Any, inputs: list[Any]) -> list[Any]:
    """Arrays as the interpreter wants them for the arguments of `@main`."""
    from ...ir.graph import main_of, type_of
    from ...ir.interpret.arrays import convert

    types = [type_of(a) for a in main_of(module).args]
    return [x if t.wrapped else convert(x, t.dtype) for x, t in zip(inputs, types, strict=True)]


def write_where_asked(region: Region, function: str, key: str, edits: Edits | None) -> None:
    """Writes a bundle of a region that is about to be compiled, where the environment says so."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return
    if region.padding is not None:
        return _not_written(function, "its arguments are padded; compile it without buckets")
    if edits is not None and (late := edits.beyond_bisection(region)):
        why = f"{late} was edited, and passes after it do not see the whole region; edit an earlier"
        return _not_written(function, f"{why} step")
    try:
        plain = "".join(c for c in function if c.isalnum() or c in "_.")
        of_region(region, function, edits).write(Path(folder) / f"{plain}-{key[:8]}")
    except OSError as error:
        _not_written(function, f"{error}; set {VARIABLE} to a folder that can be written")


def _not_written(function: str, why: str) -> None:
    text = f"the bundle of {function} is not written: {why}"
    warnings.warn(text, stacklevel=user_depth())
