"""What tests of `ot.watch` share: elements, their statistics by NumPy, and how near ours are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ostinato.compiler.recording.table import Statistics


def drawn(*shape: int) -> Any:
    return np.random.default_rng(0).normal(3, 2, shape).astype("float32")


def with_others(array: Any) -> Any:
    array.flat[1::7], array.flat[2::11], array.flat[3::13] = np.nan, np.inf, -np.inf
    return array


def expected(array: Any) -> Statistics:
    """By NumPy, in float64."""
    wide = array.astype("float64")
    known = wide[np.isfinite(wide)]
    others = int(np.isnan(wide).sum()), int(np.isinf(wide).sum())
    if not known.size:
        return Statistics(0, math.nan, math.nan, math.nan, math.nan, *others)
    std = float(known.std(ddof=1)) if known.size > 1 else math.nan
    least, largest = float(known.min()), float(known.max())
    return Statistics(known.size, float(known.mean()), std, least, largest, *others)


def agrees(found: Statistics, wanted: Statistics) -> bool:
    counts = (found.count, found.nan, found.inf) == (wanted.count, wanted.nan, wanted.inf)
    pairs = [(getattr(found, n), getattr(wanted, n)) for n in ("mean", "std", "min", "max")]
    spread = 1e-14 * (wanted.mean / wanted.std) ** 2 if wanted.std > 0 else 0.0
    near = [pytest.approx(b, rel=max(1e-9, spread), nan_ok=True) for _, b in pairs]
    return counts and [a for a, _ in pairs] == near
