"""Philox4x32-10 (Salmon et al., 2011) and what random ops make of its lanes, on NumPy arrays."""

from __future__ import annotations

import math
from typing import Any

from .dtypes import DType
from .lazy import np

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF


def philox(counter: Any, key: Any) -> Any:
    """The four 32-bit lanes of each 128-bit `counter` (n, 4) under the 64-bit `key` (2,), all as
    uint64 arrays of 32-bit words, least significant first."""
    low, shift = np.uint64(_LOW), np.uint64(32)
    c0, c1, c2, c3 = (counter[:, i] for i in range(4))
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(10):
        p0, p1 = c0 * np.uint64(_MULTIPLIERS[0]), c2 * np.uint64(_MULTIPLIERS[1])
        c0, c2 = (p1 >> shift) ^ c1 ^ np.uint64(k0), (p0 >> shift) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & low, p0 & low
        k0, k1 = (k0 + _KEY_STEPS[0]) & _LOW, (k1 + _KEY_STEPS[1]) & _LOW
    return np.stack([c0, c1, c2, c3], axis=1)


def _first_lanes(rng: Any, count: int) -> Any:
    """Lanes 0 to count - 1 of the state `rng`, an int64[2] array (seed, offset), as uint64."""
    low, shift = np.uint64(_LOW), np.uint64(32)
    seed, offset = (int(v) & 0xFFFFFFFFFFFFFFFF for v in rng)
    at = np.arange(-(-count // 4), dtype=np.uint64) + np.uint64(offset)
    zero = np.zeros_like(at)
    counter = np.stack([at & low, at >> shift, zero, zero], axis=1)
    key = (seed & _LOW, seed >> 32)
    return philox(counter, key).reshape(-1)[:count]


def lanes(rng: Any, size: Any) -> Any:
    """The lanes of a tensor of shape `size`, in row-major order, as uint64 below 2^32."""
    return _first_lanes(rng, math.prod(size)).reshape(size)


# The upper bits of a lane that make a uniform number: as many as the dtype's significand holds.
_BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 32}


def uniforms(rng: Any, size: Any, dtype: DType | None) -> Any:
    """Numbers k / 2^bits, k the upper bits of the lane: float64 arrays of exact values of dtype."""
    bits = _BITS["float32" if dtype is None else dtype.name]
    return (lanes(rng, size) >> np.uint64(32 - bits)).astype(np.float64) * 2.0**-bits


def normals(rng: Any, size: Any, dtype: DType | None) -> Any:
    """Box-Muller pairs of neighbouring lanes, in float64; 24 bits of each, 32 for float64."""
    bits = 32 if dtype is not None and dtype.name == "float64" else 24
    count = math.prod(size)
    words = _first_lanes(rng, count + count % 2) >> np.uint64(32 - bits)
    first, second = words.astype(np.float64).reshape(-1, 2).T * 2.0**-bits
    radius = np.sqrt(-2.0 * np.log(first + 2.0**-bits))
    angle = 2.0 * math.pi * second
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(-1)[:count].reshape(size)


def drawn(weights: Any, count: int, replacement: bool, rng: Any) -> Any:
    """The indices of `multinomial` for the rows of `weights`: (..., count)."""
    rows = weights.reshape(-1, weights.shape[-1]).astype(np.float64)
    positive = (rows > 0).sum(axis=1)
    if (rows < 0).any() or (positive < (1 if replacement else count)).any():
        raise ValueError(
            "multinomial: a row has negative weights or too few positive ones; give weights from "
            "0, as many positive ones as samples (one with replacement)"
        )
    if replacement:
        u = uniforms(rng, (len(rows), count), None)
        running = np.cumsum(rows, axis=1)
        chosen = (running[:, None, :] <= (u * running[:, -1:])[:, :, None]).sum(axis=2)
    else:
        u = uniforms(rng, rows.shape, None) + 2.0**-24
        with np.errstate(divide="ignore", invalid="ignore"):
            keys = np.where(rows > 0, -np.log(u) / rows, np.inf)
        chosen = np.argsort(keys, axis=1, kind="stable")[:, :count]
    return chosen.reshape(*weights.shape[:-1], count)
