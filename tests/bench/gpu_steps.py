"""Whole training steps on a GPU, ours and the peers', each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from gpu_workloads import OURS, PEERS
from measure import Bar

ROW = Path(__file__).with_name("gpu_row.py")
EAGER_LIMIT = 0.8
COMPILED_LIMITS = {
    ("reverse", "tf32"): 0.8, ("minigpt", "tf32"): 0.75, ("vit", "tf32"): 0.75,
    ("reverse", "bf16"): 0.8, ("minigpt", "bf16"): 0.85, ("vit", "bf16"): 0.9,
    ("gpt2", "bf16"): 1.1,
}  # fmt: skip
FIRST_LIMIT, MEMORY_LIMIT, HOST_LIMIT = 0.5, 1.05, 20.0
Rows = dict[str, dict[str, Any]]


def measure(workload: str, peers: list[str], precision: str | None) -> Rows:
    """A row for each of `peers` that runs; one that fails says so and is left out."""
    rows: Rows = {}
    for peer in peers:
        given = [precision] if precision else []
        done = subprocess.run(
            [sys.executable, str(ROW), peer, workload, *given], capture_output=True, text=True
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            print(f"{workload} {peer} failed: {last}", file=sys.stderr)
            continue
        rows[peer] = json.loads(done.stdout.splitlines()[-1])
    return rows


def bars_of(workload: str, rows: Rows) -> list[Bar]:
    """The bars that the measured rows allow."""
    theirs = [row for peer, row in rows.items() if peer in PEERS and peer != "torch-eager"]
    found: list[Bar] = []
    if {"ours-eager", "torch-eager"} <= rows.keys():
        ratio = rows["ours-eager"]["ms"] / rows["torch-eager"]["ms"]
        found.append(Bar(f"{workload} eager / torch eager", ratio, EAGER_LIMIT))
    ours = rows.get("ours-compiled")
    if ours is None or not theirs:
        return found
    precision = ours["precision"]
    named = f"{workload} {precision}"
    best = {key: min(row[key] for row in theirs) for key in ("ms", "first_s", "peak_gib")}
    limit = COMPILED_LIMITS.get((workload, precision), 1.0)
    found.append(Bar(f"{named} compiled / best peer", ours["ms"] / best["ms"], limit))
    found.append(Bar(f"{named} peak memory / best", ours["peak_gib"] / best["peak_gib"],
                     MEMORY_LIMIT))  # fmt: skip
    if workload == "minigpt":
        found.append(Bar("minigpt host time of a replay, µs", ours["host_us"], HOST_LIMIT))
        first = ours["first_s"] / best["first_s"]
        found.append(Bar("minigpt first step / fastest peer", first, FIRST_LIMIT))
    return found


def cells(rows: Rows) -> list[list[str]]:
    """The table of one workload."""
    return [
        [r["workload"], r["precision"], peer, f"{r['ms']:.3f}", f"{r['host_us']:.0f}",
         f"{r['alone_us']:.0f}", f"{r['first_s']:.1f}", f"{r['peak_gib']:.2f}"]
        for peer, r in rows.items()
    ]  # fmt: skip


COLUMNS = ["model", "precision", "peer", "ms", "host, µs", "alone, µs", "first, s", "peak, GiB"]
EVERY_PEER = (*OURS, *PEERS)
