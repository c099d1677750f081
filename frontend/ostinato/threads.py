"""How many cores the kernels use."""

from __future__ import annotations

from .runtime import _C


def get_num_threads() -> int:
    """The number of threads that kernels run on."""
    return _C.num_threads()


def set_num_threads(count: int) -> None:
    """Let kernels run on `count` threads; TypeError for what is no int, ValueError below 1."""
    if not isinstance(count, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"set_num_threads: a {type(count).__name__} came; give an int")
    if count < 1:
        raise ValueError(f"set_num_threads: {count} came; give a number from 1")
    _C.set_num_threads(count)
