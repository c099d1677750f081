"""Memory of CUDA devices: what is held, what is cached, and limits."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ..ir.errors import OutOfMemoryError as OutOfMemoryError
from ..runtime import _C
from .devices import Place


def memory_stats(device: Place = None) -> dict[str, int]:
    """All statistics of a device, under PyTorch's names.

    Of `allocated_bytes` (of tensors, rounded up), `requested_bytes` (the same, not rounded),
    `active_bytes` (the same as allocated, and what other streams may still use), `reserved_bytes`
    (had from the driver), and of the counts `allocation`, `active` and `segment`: the keys
    `NAME.all.current`, `.peak`, `.allocated` (gained in all) and `.freed`. Besides `num_ooms`, and
    `num_alloc_retries`: how often the driver had no more before the cache went back to it.
    """
    return _C.cuda_memory_stats(device)


def memory_allocated(device: Place = None) -> int:
    """Bytes of tensors."""
    return memory_stats(device)["allocated_bytes.all.current"]


def max_memory_allocated(device: Place = None) -> int:
    """The most bytes of tensors at once since `reset_peak_memory_stats`."""
    return memory_stats(device)["allocated_bytes.all.peak"]


def memory_reserved(device: Place = None) -> int:
    """Bytes had from the driver, for tensors and cached."""
    return memory_stats(device)["reserved_bytes.all.current"]


def max_memory_reserved(device: Place = None) -> int:
    """The most bytes had from the driver at once since `reset_peak_memory_stats`."""
    return memory_stats(device)["reserved_bytes.all.peak"]


def reset_peak_memory_stats(device: Place = None) -> None:
    """Peaks count from now on."""
    _C.cuda_reset_peaks(device)


def memory_snapshot(device: Place = None) -> list[dict[str, Any]]:
    """The segments had from the driver and the blocks in each, in order of their addresses.

    A block has a `state` - used, waiting (for other streams) or free - and the `line` that made it
    where it is known (`record_memory_history`).
    """
    return _C.cuda_memory_snapshot(device)


def record_memory_history(enabled: bool = True) -> None:
    """Let all memory remember the line that made it, or none.

    At first, memory does that is made or moved by itself, or by an op of the tape or a compiled
    function; to find the line of every op takes 0.1 to 0.2 microseconds. OSTINATO_MEMORY_HISTORY
    is 1 for all from the start, 0 for none.
    """
    _C.cuda_set_memory_history(enabled)


def host_memory_stats() -> dict[str, int]:
    """`allocated_bytes` and `reserved_bytes` of pinned memory, under keys as in `memory_stats`."""
    return _C.pinned_memory_stats()


def mem_get_info(device: Place = None) -> tuple[int, int]:
    """(free, total) bytes of a device, whoever holds the rest."""
    return _C.cuda_mem_get_info(device)


def empty_cache() -> None:
    """Give memory that no tensor uses back to the driver, on all devices and pinned."""
    _C.cuda_empty_cache()


def set_per_process_memory_fraction(
    fraction: float, device: Place = None, *, collect: float = 0.9
) -> None:
    """Reserve at most this fraction of the device's memory; more is an OutOfMemoryError.

    Beyond `collect` of that, cached memory that lies idle is given back before more is asked for.
    """
    for name, value in (("fraction", fraction), ("collect", collect)):
        if not 0 < value <= 1:
            raise ValueError(
                f"set_per_process_memory_fraction: {name} {value} came; give above 0, at most 1"
            )
    _C.cuda_set_memory_limits(device, fraction, collect)


class MemPool:
    """Memory that lies apart from all other: what is freed there is reused only there."""

    def __init__(self, device: Place = None) -> None:
        self._native = _C.CudaMemoryPool(device)


@contextmanager
def use_mem_pool(pool: MemPool) -> Generator[None]:
    """A context in which this thread makes tensors in `pool`."""
    before = _C.cuda_exchange_pool(pool._native)
    try:
        yield
    finally:
        _C.cuda_exchange_pool(before)
