"""How exact float32 matrix products on CUDA devices are, under PyTorch's names."""

from __future__ import annotations

from .runtime import _C

_NAMES = ("highest", "high", "medium")


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` has set, "highest" at first."""
    return _NAMES[_C.float32_matmul_precision()]


def set_float32_matmul_precision(precision: str) -> None:
    """Factors stay float32 with "highest"; "high" and "medium" round them to TF32, of 10 bits, and
    still add up in float32. The CPU always multiplies float32."""
    if precision not in _NAMES:
        raise ValueError(
            f"set_float32_matmul_precision: {precision!r} came; give 'highest', 'high' or 'medium'"
        )
    _C.set_float32_matmul_precision(_NAMES.index(precision))
