"""Bar 3: from the start of a process to the end of the first compiled minigpt step.

Cold: no cache of any kind. Warm: our disk cache filled. With --gpt2: capture and passes alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import click
from measure import Bar, options, report

SCRIPT = Path(__file__).with_name("first_step.py")
COLD_LIMIT, WARM_LIMIT, GPT2_LIMIT = 0.2, 1.0, 2.0


def run(which: str, cache: str) -> tuple[float, str]:
    """Seconds of a fresh process whose caches are below `cache`, and what it prints."""
    caches = {
        "OSTINATO_CACHE": f"{cache}/ostinato",
        "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor",
        "TRITON_CACHE_DIR": f"{cache}/triton",
    }
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), which],
        env=os.environ | caches,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, done.stdout


def measured(rounds: int, peers: list[str]) -> dict[str, float]:
    """Median seconds, sides by turns: cold ones, and ours again with what the cold run left."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for peer in peers:
            with tempfile.TemporaryDirectory() as cache:
                times.setdefault(f"{peer} cold", []).append(run(peer, cache)[0])
                if peer == "ours":
                    times.setdefault("ours warm", []).append(run(peer, cache)[0])
    return {name: median(taken) for name, taken in times.items()}


@click.command(help=__doc__)
@options
@click.option("--rounds", default=3, show_default=True)
@click.option("--peers", default="ours,torch", show_default=True)
@click.option("--gpt2", is_flag=True, help="Also capture and passes of a whole GPT-2 step.")
def main(rounds: int, peers: str, gpt2: bool, **given: Any) -> None:
    t = measured(rounds, peers.split(","))
    bars: list[Bar] = []
    if {"ours cold", "torch cold"} <= t.keys():
        bars.append(Bar("cold, ours / torch.compile", t["ours cold"] / t["torch cold"], COLD_LIMIT))
    if "ours warm" in t:
        bars.append(Bar("warm, s", t["ours warm"], WARM_LIMIT))
    if gpt2:
        with tempfile.TemporaryDirectory() as cache:
            runs = [float(run("ours-gpt2", cache)[1]) for _ in range(rounds)]
        t["GPT-2 capture and passes"] = median(runs)
        bars.append(Bar("GPT-2 capture and passes, s", median(runs), GPT2_LIMIT))
    rows = [[name, f"{seconds:.2f}"] for name, seconds in t.items()]
    report("first compiled step of minigpt", ["start", "s"], rows, bars, t, **given)


if __name__ == "__main__":
    main()
