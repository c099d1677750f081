"""Bar 7: what `import ostinato` takes beyond `import numpy`, what it loads, and what is on disk."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path
from statistics import median
from typing import Any

import click
from packaging.requirements import Requirement

import ostinato
from measure import Bar, options, report

IMPORT_LIMIT = 0.15
MEGABYTES_LIMIT = 400
NEVER_LOADED = ("xdsl", "triton", "llvmlite", "networkx", "torch")


def seconds(statement: str) -> float:
    """The time of a fresh interpreter that runs `statement`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def import_seconds(rounds: int) -> dict[str, float]:
    """Median seconds of each import, by turns."""
    times: dict[str, list[float]] = {"numpy": [], "ostinato": []}
    for module in times:
        seconds(f"import {module}")
    for _ in range(rounds):
        for module, taken in times.items():
            taken.append(seconds(f"import {module}"))
    return {module: median(taken) for module, taken in times.items()}


def loaded() -> list[str]:
    """Modules that `import ostinato` may not load and does."""
    script = f"import ostinato, sys; print(*(m for m in {NEVER_LOADED} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.split()


def needed(name: str, seen: set[str]) -> set[str]:
    """The distribution `name` and all that it needs without extras."""
    if name in seen:
        return seen
    seen.add(name)
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed(requirement.name.lower(), seen)
    return seen


def megabytes(name: str) -> float:
    """Disk space of an installed distribution."""
    if name == "ostinato":
        return _space(_own_files())
    found = distribution(name)
    return _space(Path(str(found.locate_file(file))) for file in found.files or [])


def _own_files() -> list[Path]:
    # In a checkout the package links to its folders; a wheel has no C++.
    root = Path(ostinato.__file__).parent
    folders = [root, *(p for p in root.iterdir() if p.is_symlink())]
    files = {f.resolve() for folder in folders for f in folder.resolve().rglob("*")}
    return [f for f in files if "native" not in f.parts and "__pycache__" not in f.parts]


def _space(files: Any) -> float:
    return sum(f.lstat().st_blocks * 512 for f in files if f.exists()) / 1e6


@click.command(help=__doc__)
@options
@click.option("--rounds", default=11, show_default=True)
def main(rounds: int, **given: Any) -> None:
    t = import_seconds(rounds)
    sizes = {name: megabytes(name) for name in sorted(needed("ostinato", set()))}
    unwanted = loaded()
    bars = [
        Bar("import ostinato beyond numpy, s", t["ostinato"] - t["numpy"], IMPORT_LIMIT),
        Bar("MB on disk", sum(sizes.values()), MEGABYTES_LIMIT),
        Bar(f"modules loaded too early {unwanted}", len(unwanted), 0),
    ]
    rows = [[name, f"{size:.1f}"] for name, size in sizes.items()]
    figures = {"import seconds": t, "megabytes": sizes, "loaded": unwanted}
    report("installed packages", ["package", "MB"], rows, bars, figures, **given)


if __name__ == "__main__":
    main()
