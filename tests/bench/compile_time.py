"""From the start of a process to the end of the first compiled minigpt step.

Cold: no cache of any kind. Warm: our disk cache filled. With --gpt2: capture and passes alone. On a
GPU the time is that of the first step, after imports, beside each peer that compiles.
"""

from __future__ import annotations

import json
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


GPU_SCRIPT = Path(__file__).with_name("gpu_row.py")
GPU_COLD_LIMIT, GPU_WARM_LIMIT = 0.5, 1.5
GPU_PEERS = ("torch-compile", "torch-cudagraph", "jax")


def run(command: list[str], cache: str) -> tuple[float, str]:
    """Seconds of a fresh process whose caches are below `cache`, and what it prints."""
    caches = {
        "OSTINATO_CACHE": f"{cache}/ostinato",
        "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor",
        "TRITON_CACHE_DIR": f"{cache}/triton",
        "JAX_COMPILATION_CACHE_DIR": f"{cache}/jax",
    }
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
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
                command = [str(SCRIPT), peer]
                times.setdefault(f"{peer} cold", []).append(run(command, cache)[0])
                if peer == "ours":
                    times.setdefault("ours warm", []).append(run(command, cache)[0])
    return {name: median(taken) for name, taken in times.items()}


def on_gpu(peers: tuple[str, ...]) -> tuple[dict[str, float], list[Bar]]:
    """Seconds of the first step of each peer with empty caches, and of ours with its own."""
    t: dict[str, float] = {}
    for peer in ("ours-compiled", *peers):
        with tempfile.TemporaryDirectory() as cache:
            command = [str(GPU_SCRIPT), peer, "minigpt"]
            t[f"{peer} cold"] = first_seconds(command, cache)
            if peer == "ours-compiled":
                t["ours warm"] = first_seconds(command, cache)
    fastest = min(t[f"{peer} cold"] for peer in peers)
    ratio = t["ours-compiled cold"] / fastest
    return t, [
        Bar("cold, ours / fastest peer", ratio, GPU_COLD_LIMIT),
        Bar("warm, s", t["ours warm"], GPU_WARM_LIMIT),
    ]


def first_seconds(command: list[str], cache: str) -> float:
    """What the first step took in a process of its own."""
    return json.loads(run(command, cache)[1].splitlines()[-1])["first_s"]


@click.command(help=__doc__)
@options
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--rounds", default=3, show_default=True)
@click.option("--peers", default="ours,torch", show_default=True)
@click.option("--gpt2", is_flag=True, help="Also capture and passes of a whole GPT-2 step.")
def main(device: str, rounds: int, peers: str, gpt2: bool, **given: Any) -> None:
    if device == "cuda":
        t, bars = on_gpu(GPU_PEERS)
        rows = [[name, f"{seconds:.2f}"] for name, seconds in t.items()]
        return report("first step of minigpt on cuda", ["start", "s"], rows, bars, t, **given)
    t = measured(rounds, peers.split(","))
    bars = list[Bar]()
    if {"ours cold", "torch cold"} <= t.keys():
        bars.append(Bar("cold, ours / torch.compile", t["ours cold"] / t["torch cold"], COLD_LIMIT))
    if "ours warm" in t:
        bars.append(Bar("warm, s", t["ours warm"], WARM_LIMIT))
    if gpt2:
        with tempfile.TemporaryDirectory() as cache:
            runs = [float(run([str(SCRIPT), "ours-gpt2"], cache)[1]) for _ in range(rounds)]
        t["GPT-2 capture and passes"] = median(runs)
        bars.append(Bar("GPT-2 capture and passes, s", median(runs), GPT2_LIMIT))
    rows = [[name, f"{seconds:.2f}"] for name, seconds in t.items()]
    report("first compiled step of minigpt", ["start", "s"], rows, bars, t, **given)


if __name__ == "__main__":
    main()
