"""The workloads of the GPU benchmarks, and how a row - one peer on one of them - is timed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from models import GPT2, MINIGPT, REVERSE, VIT, Config

OPTIMIZER: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}
CHUNKS = 7
CALLS = 101


@dataclass(frozen=True)
class Workload:
    """A model, how precise its products are (`tf32` or `bf16`), and steps in a timed chunk."""

    name: str
    config: Config
    precision: str
    chunk: int = 50


WORKLOADS = {
    "reverse": Workload("reverse", REVERSE, "tf32"),
    "minigpt": Workload("minigpt", MINIGPT, "tf32"),
    "vit": Workload("vit", VIT, "tf32"),
    "gpt2": Workload("gpt2", GPT2, "bf16", chunk=20),
}
PEERS = ("torch-eager", "torch-compile", "torch-cudagraph", "torch-wholestep", "jax")
OURS = ("ours-eager", "ours-compiled")


def workload_of(name: str, precision: str | None) -> Workload:
    """The workload `name`, in another precision where one is given."""
    found = WORKLOADS[name]
    return found if precision is None else replace(found, precision=precision)


def timed(make: Callable[[], Callable[[], Any]], wait: Callable[[], None], chunk: int
          ) -> dict[str, float]:  # fmt: skip
    """Seconds of making a step and running it once, and ms a step: the median of some chunks.

    `host_us` is how long a call keeps the host in a run of calls, as a training loop makes them:
    the median of all calls of all chunks. `alone_us` is the same where each of `CALLS` calls comes
    after a wait for the device, which finds the host's caches cold and its clock low.
    """
    started = time.perf_counter()
    step = make()
    step()
    wait()
    first = time.perf_counter() - started
    for _ in range(10):
        step()
    wait()
    times: list[float] = []
    hosts: list[float] = []
    for _ in range(CHUNKS):
        started = time.perf_counter()
        hosts += (host_time(step) for _ in range(chunk))
        wait()
        times.append((time.perf_counter() - started) / chunk * 1e3)
    alone: list[float] = []
    for _ in range(CALLS):
        wait()
        alone.append(host_time(step))
    wait()
    return {"ms": median(times), "first_s": first, "host_us": median(hosts),
            "alone_us": median(alone)}  # fmt: skip


def host_time(step: Callable[[], Any]) -> float:
    """Microseconds until a call returns, whose device work may go on."""
    started = time.perf_counter()
    step()
    return (time.perf_counter() - started) * 1e6
