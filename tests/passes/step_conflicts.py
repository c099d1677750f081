"""Which steps of a Program meet in some byte, by comparing all with all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from ostinato.ir.dtypes import BY_NAME


def touched(spec: dict[str, Any], step: dict[str, Any]) -> Iterator[tuple[Any, int, int, bool]]:
    """(memory, first byte, last byte, whether it is written) for each tensor of a step."""
    if step["kind"] == "launch":
        reads = len(step["tensors"]) - step["writes"]
        used = [(t, i >= reads) for i, t in enumerate(step["tensors"])]
    else:
        used = [(t, False) for t in step["operands"]]
        used += [(t, True) for t in (*step["results"], *step.get("scratch", ()))]
    for number, writes in used:
        if number < 0 or spec["tensors"][number]["space"] in ("constant", "host"):
            continue
        t = spec["tensors"][number]
        item = BY_NAME[t["dtype"]].itemsize
        ends = [s * (n - 1) for s, n in zip(t["strides"], t["sizes"], strict=True)]
        low = t["start"] + sum(e for e in ends if e < 0)
        high = t["start"] + sum(e for e in ends if e > 0) + 1
        yield (t["space"], t["index"]), t["offset"] + low * item, t["offset"] + high * item, writes


def conflicts(spec: dict[str, Any]) -> set[tuple[int, int]]:
    """Pairs of steps of the device that meet in some byte, one of them writing."""
    everything = [
        (i, *t)
        for i, step in enumerate(spec["instructions"])
        if not step.get("host")
        for t in touched(spec, step)
    ]
    return {
        (a[0], b[0])
        for a, b in combinations(everything, 2)
        if a[0] != b[0] and a[1] == b[1] and a[2] < b[3] and b[2] < a[3] and (a[4] or b[4])
    }
