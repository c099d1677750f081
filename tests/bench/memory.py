"""Peak memory of compiled steps on a GPU: against the best peer's, and against the plan.

Peaks are what each side's allocator says; ours is planned before it runs: inputs, the arena,
scratch memory of library calls, and results.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import click

import gpu_steps
import ostinato as ot
from gpu_workloads import PEERS, workload_of
from measure import Bar, options, report
from ostinato.ir.dtypes import BY_NAME

PLAN_LIMIT = 0.01
GIB = 2**30
GRAIN = 512
"""Bytes that the allocator rounds up to."""


def rounded(dtype: str, sizes: list[int]) -> int:
    """The bytes of a tensor's block."""
    count = BY_NAME[dtype].itemsize
    for size in sizes:
        count *= size
    return -(-count // GRAIN) * GRAIN


def planned_bytes(built: Any) -> int:
    """What the Program of a whole step needs at its peak, by its plan."""
    spec, program = built.spec, built.program
    inputs = sum(rounded(i["dtype"], i["sizes"]) for i in spec["inputs"] if not i["number"])
    fresh = [o for o in spec["outputs"] if o["writes"] is None and o["input"] is None]
    results = sum(rounded(o["dtype"], o["sizes"]) for o in fresh)
    return inputs + program.arena_bytes + program.scratch_bytes + results


def our_row(name: str, precision: str | None) -> dict[str, Any]:
    """Bytes at the peak of ten replays, and the plan's."""
    from gpu_row import our_parts

    run, batch = our_parts(workload_of(name, precision), compiled=True)
    run(*batch)
    ot.cuda.synchronize()
    (variant,) = run.variants
    planned = planned_bytes(variant.built)
    ot.cuda.reset_peak_memory_stats()
    for _ in range(10):
        run(*batch)
    ot.cuda.synchronize()
    return {"peak": ot.cuda.max_memory_allocated(), "planned": planned}


def in_own_process(name: str, precision: str | None) -> dict[str, Any]:
    """`our_row` of a fresh process."""
    command = [sys.executable, __file__, "--row", "--workloads", name]
    done = subprocess.run(
        command + (["--precision", precision] if precision else []),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@click.command(help=__doc__)
@options
@click.option("--workloads", default="reverse,minigpt,vit,gpt2", show_default=True)
@click.option("--peers", default="torch-compile,torch-cudagraph,torch-wholestep,jax")
@click.option("--precision", type=click.Choice(["tf32", "bf16"]))
@click.option("--row", is_flag=True, help="Print ours of one workload as JSON, measured here.")
def main(workloads: str, peers: str, precision: str | None, row: bool, **given: Any) -> None:
    if row:
        return print(json.dumps(our_row(workloads, precision)))
    if unknown := set(peers.split(",")) - set(PEERS):
        sys.exit(f"memory: peers {sorted(unknown)} came; give some of {', '.join(PEERS)}")
    table: list[list[str]] = []
    bars: list[Bar] = []
    figures: dict[str, Any] = {}
    for name in workloads.split(","):
        ours = in_own_process(name, precision)
        rows = gpu_steps.measure(name, ["ours-compiled", *peers.split(",")], precision)
        theirs = {p: r["peak_gib"] for p, r in rows.items() if p in PEERS}
        whole = rows["ours-compiled"]["peak_gib"]
        best = min(theirs.values())
        figures[name] = {**ours, "with first step, GiB": whole, "peers, GiB": theirs}
        sizes = (ours["planned"] / GIB, ours["peak"] / GIB, whole, best)
        table.append([name, *(f"{s:.4f}" for s in sizes)])
        off = abs(ours["peak"] / ours["planned"] - 1)
        bars.append(Bar(f"{name} peak / best peer", whole / best, gpu_steps.MEMORY_LIMIT))
        bars.append(Bar(f"{name} peak against plan", off, PLAN_LIMIT))
    columns = ["model", "planned", "peak of replays", "peak in all", "best peer"]
    report("peak memory on cuda, GiB", columns, table, bars, figures, **given)


if __name__ == "__main__":
    main()
