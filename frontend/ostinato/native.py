"""Connects the native module to its Python halves: dtypes, errors, BLAS, derived Programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .ir import dtypes, errors
from .runtime import _C


def _derive(*call: Any) -> dict[str, Any]:
    from .ir import ops as ops
    from .ir.symbolic import derive

    return derive(*call)


def connect() -> None:
    """Called once, at import."""
    import scipy_openblas64

    _C.set_dtypes(list(dtypes.DTYPES))
    _C.set_errors(
        [
            errors.ShapeError, errors.DTypeError, errors.GradientError, errors.CaptureError,
            ValueError, IndexError, TypeError, RuntimeError, errors.CompileError,
        ]
    )  # fmt: skip
    _C.set_package(str(Path(__file__).parent) + "/")
    _C.set_derive(_derive)
    library = Path(scipy_openblas64.get_lib_dir()) / f"lib{scipy_openblas64.get_library()}.so"
    _C.load_blas(str(library))
