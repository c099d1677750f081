"""Prints the op table as C++: ids, schemas, shape and dtype inference, pointwise kernels.

Usage: main.py --out DIR. Runs at build time; needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def load_table() -> None:
    """Make `ostinato.ir` importable without the package's own `__init__`, which needs the build."""
    package = types.ModuleType("ostinato")
    package.__path__ = [str(ROOT / "frontend" / "ostinato")]
    sys.modules["ostinato"] = package
    sys.path.insert(0, str(Path(__file__).parent))
    import ostinato.ir.ops  # noqa: F401  # pyright: ignore[reportUnusedImport]


def write(path: Path, text: str) -> None:
    """Write `text` only where it differs, so that nothing unchanged is compiled again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=8)
    options = parser.parse_args()
    load_table()
    import cuda
    import functions
    import kernels
    import tables

    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "ops.hpp", tables.header())
    write(options.out / "scalar_math.hpp", functions.header())
    for i, text in enumerate(kernels.shards(options.shards)):
        write(options.out / f"pointwise_{i}.cpp", text)
    write(options.out / "ops.cpp", tables.source(options.shards))
    for name, text in cuda.sources():
        write(options.out / name, text)


if __name__ == "__main__":
    main()
