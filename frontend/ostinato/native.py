"""Connects the native module to its Python halves: dtypes, errors, BLAS, derived Programs."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .device import device
from .ir import dtypes, errors
from .runtime import _C

# In the folder that nvidia-cublas is installed in.
CUBLASLT = "nvidia/cu13/lib/libcublasLt.so.13"


def _derive(*call: Any) -> tuple[_C.Program, bool]:
    from .codegen.derived import program_of

    return program_of(*call)


def _derive_tape(*tape: Any) -> tuple[_C.Program, bool]:
    from .codegen.derived import tape_program_of

    return tape_program_of(*tape)


def connect() -> None:
    """Called once, at import."""
    _C.set_dtypes(list(dtypes.DTYPES))
    _C.set_errors(
        [
            errors.ShapeError, errors.DTypeError, errors.GradientError, errors.CaptureError,
            ValueError, IndexError, TypeError, RuntimeError, errors.CompileError,
            errors.DeviceError, errors.OutOfMemoryError,
        ]
    )  # fmt: skip
    _C.set_package(str(Path(__file__).parent) + "/")
    _C.set_derive(_derive, _derive_tape)
    _C.set_device_class(device)
    _C.set_kernel_folder(str(Path(_C.__file__).parent / "kernels"))
    _C.set_cublaslt_places([f"{entry}/{CUBLASLT}" for entry in sys.path])
    _C.load_blas(str(_blas()))


def _blas() -> Path:
    """The library of the package scipy-openblas64, found without its slow import."""
    spec = find_spec("scipy_openblas64")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("scipy-openblas64 is missing; `pip install scipy-openblas64` brings it")
    return Path(spec.submodule_search_locations[0]) / "lib" / "libscipy_openblas64_.so"
