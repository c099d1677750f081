"""Named ranges that profilers such as Nsight Systems show; they cost nothing where none is there.

They need NVIDIA's tools extension: `pip install nvidia-nvtx`, or a CUDA installation.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ..runtime import _C


@functools.cache
def _loaded() -> bool:
    names = ("libnvToolsExt.so.1", "libnvtx3interop.so.1", "libnvtx3interop.so")
    folders = [Path(p) / "nvidia" / "cu13" / "lib" for p in sys.path]
    packaged = [str(f / n) for f in folders for n in names if (f / n).is_file()]
    return _C.nvtx_load([*names, *packaged])


def range_push(msg: str) -> int:
    """Begin a range inside the one that runs; returns its depth, negative where none is shown."""
    return _C.nvtx_push(msg) if _loaded() else -1


def range_pop() -> int:
    """End the range that began last; returns its depth."""
    return _C.nvtx_pop() if _loaded() else -1


def mark(msg: str) -> None:
    """A point in time."""
    if _loaded():
        _C.nvtx_mark(msg)


@contextmanager
def range(msg: str) -> Generator[None]:
    """A range for as long as the context lasts."""
    range_push(msg)
    try:
        yield
    finally:
        range_pop()
