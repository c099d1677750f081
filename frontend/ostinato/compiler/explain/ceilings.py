"""What a device can do at most, measured: bytes a second of a copy, operations of products.

The copy is of 128 MiB, which no cache of a CPU holds, and counts what it reads and what it writes.
The product is of square matrices, of 1536 rows on a CPU and 8192 on a GPU, and counts two
operations for each pair of factors; on a GPU float32 is measured with and without TF32, since
kernels never round to it. Each runs a few times and the fastest counts. What fits into a cache
may move more bytes a second than the copy.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...runtime import _C

COPIED = 2**25
"""float32 elements of the copy."""
ROWS = {"cpu": 1536, "cuda": 8192}
ROUNDS = 5


@dataclass(frozen=True)
class Ceilings:
    """Of a device: bytes a second of a copy, and operations a second of products by dtype, `tf32`
    where float32 is rounded to that."""

    device: str
    bandwidth: float
    arithmetic: dict[str, float]

    def seconds(self, moved: int, operations: int, dtype: str, rounds: bool) -> float:
        """The least that moving so many bytes and doing so many operations takes; `rounds` of what
        rounds float32 to TF32 where that is set."""
        if rounds and dtype == "float32" and _C.float32_matmul_precision():
            dtype = "tf32"
        rate = self.arithmetic.get(dtype, self.arithmetic["float32"])
        return max(moved / self.bandwidth, operations / rate)


@functools.cache
def ceilings_of(device: str) -> Ceilings:
    """Those of `device`, measured by the first call: half a second."""
    kind = device.partition(":")[0]
    dtypes = ("float32",) if kind == "cpu" else ("float32", "tf32", "bfloat16", "float16")
    arithmetic = {name: _products(device, kind, name) for name in dtypes}
    return Ceilings(device, _copy(device), arithmetic)


def _copy(device: str) -> float:
    x = _ones(device, COPIED)
    y = x.clone()
    return 2 * 4 * COPIED / _fastest(device, lambda: y.copy_(x))


def _products(device: str, kind: str, name: str) -> float:
    from ...ir.dtypes import BY_NAME

    rows, before = ROWS[kind], _C.float32_matmul_precision()
    dtype = BY_NAME["float32" if name == "tf32" else name]
    x = _ones(device, rows, rows).to(dtype)
    _C.set_float32_matmul_precision(int(name == "tf32"))
    try:
        return 2 * rows**3 / _fastest(device, lambda: x @ x)
    finally:
        _C.set_float32_matmul_precision(before)


def _ones(device: str, *size: int) -> Any:
    return _C.on_device(device, _C.ops.full, size, 1.0)


def _fastest(device: str, call: Callable[[], Any]) -> float:
    """Seconds of a call in the fastest of a few runs, the first of which is not counted: one call
    on a CPU; on a GPU several, since waiting takes time as well."""
    calls, wait = 1, _nothing
    if device != "cpu":
        from ...cuda import synchronize

        calls, wait = 10, functools.partial(synchronize, device)
    taken: list[float] = []
    for _ in range(ROUNDS + 1):
        wait()
        started = time.perf_counter()
        for _ in range(calls):
            call()
        wait()
        taken.append((time.perf_counter() - started) / calls)
    return min(taken[1:])


def _nothing() -> None:
    """What a CPU waits for."""
