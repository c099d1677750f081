"""Kernels for CUDA devices in an installed package: their size, and whether each GPU has them all.

`cuobjdump`, which comes with CUDA and with Triton, lists them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from measure import Bar, options, report
from ostinato.runtime import _C

MEGABYTES_LIMIT = 40
TARGETS = ("sm_80", "sm_90", "sm_100")
FOLDER = Path(_C.__file__).parent / "kernels"


def tool() -> str:
    """The path of cuobjdump, or the end of the program."""
    found = shutil.which("cuobjdump")
    if found is None:
        try:
            import triton
        except ImportError:
            sys.exit("fatbins: no cuobjdump; install CUDA or triton")
        found = str(Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump")
    return found


def kernels(fatbin: Path, target: str) -> set[str]:
    """The names of the kernels for one GPU."""
    listed = subprocess.run(
        [tool(), "--gpu-architecture", target, "--dump-elf-symbols", str(fatbin)],
        capture_output=True, text=True,
    )  # fmt: skip
    return set(re.findall(r"STO_ENTRY\s+(\w+)", listed.stdout))


@click.command(help=__doc__)
@options
@click.option("--folder", type=click.Path(exists=True, path_type=Path), default=FOLDER)
@click.option("--targets", default=",".join(TARGETS), show_default=True)
def main(folder: Path, targets: str, **given: Any) -> None:
    rows: list[list[str]] = []
    figures: dict[str, Any] = {}
    lacking: list[str] = []
    for fatbin in sorted(folder.glob("*.fatbin")):
        of = {t: kernels(fatbin, t) for t in targets.split(",")}
        every = set[str]().union(*of.values())
        lacking += [f"{k} for {t}" for t, found in of.items() for k in sorted(every - found)]
        lacking += [] if every else [f"anything in {fatbin.name}"]
        size = fatbin.stat().st_size / 1e6
        figures[fatbin.stem] = {"megabytes": size, "kernels": sorted(every)}
        rows.append([fatbin.stem, f"{size:.2f}", *(str(len(found)) for found in of.values())])
    total = sum(f["megabytes"] for f in figures.values())
    rows.append(["in all", f"{total:.2f}", str(sum(len(f["kernels"]) for f in figures.values()))])
    bars = [
        Bar("MB in all", total, MEGABYTES_LIMIT),
        Bar(f"kernels that a GPU lacks {lacking[:5]}", len(lacking), 0),
        Bar("folders without kernels", int(not figures), 0),
    ]
    columns = ["fatbin", "MB", *targets.split(",")]
    report("kernels for CUDA devices", columns, rows, bars, figures, **given)


if __name__ == "__main__":
    main()
