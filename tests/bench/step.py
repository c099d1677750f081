"""Bar 2: a whole training step of each model, ours and PyTorch's, eager and compiled."""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from measure import Bar, by_turns, options, report, use_threads  # isort: skip  # finds models
import click
import torch
from models import GPT2, MINIGPT, REVERSE, VIT, Config

import gpu_steps
import ostinato as ot
from ostinato import optim
from products import all_products
from torch_models import batch_of, twins

WORKLOADS: dict[str, Config] = {
    "reverse": replace(REVERSE, batch=16),
    "minigpt": replace(MINIGPT, batch=4),
    "vit": replace(VIT, batch=8),
    "gpt2": replace(GPT2, batch=1),
}
PEERS = ("ours compiled", "ours eager", "torch eager", "torch.compile")
OPTIMIZER: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}


def our_step(model: Any, config: Config, compiled: bool) -> Callable[[], Any]:
    """One whole step on a fixed batch."""
    opt = optim.AdamW(model.parameters(), **OPTIMIZER)
    x, y = (ot.from_numpy(a) for a in batch_of(config, seed=1))

    def step(x: Any, y: Any) -> Any:
        loss = model(x, y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    run = ot.compile(step) if compiled else step
    return lambda: run(x, y)


def torch_step(model: Any, config: Config, compiled: bool) -> Callable[[], Any]:
    """The same in PyTorch, with its fused optimizer."""
    opt = torch.optim.AdamW(model.parameters(), fused=True, **OPTIMIZER)
    x, y = (torch.from_numpy(a) for a in batch_of(config, seed=1))
    forward = torch.compile(model) if compiled else model

    def step() -> Any:
        loss = forward(x, y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return step


def sides(config: Config, peers: list[str]) -> dict[str, Callable[[], Any]]:
    """What is timed by turns: a step of each peer, and each side's products."""
    found: dict[str, Callable[[], Any]] = {}
    for peer in peers:
        ours, theirs = twins(config)
        compiled = "compile" in peer
        found[peer] = (
            our_step(ours, config, compiled)
            if peer.startswith("ours")
            else torch_step(theirs, config, compiled)
        )
    found["our products"] = all_products(ot, config)
    found["torch products"] = all_products(torch, config)
    return found


def bars_of(workload: str, t: dict[str, float]) -> list[Bar]:
    """The bars that the measured peers allow."""
    found: list[Bar] = []
    if {"ours eager", "torch eager"} <= t.keys():
        found.append(Bar(f"{workload} eager / eager", t["ours eager"] / t["torch eager"], 1.0))
    if set(PEERS) <= t.keys():
        fastest = min(t["torch eager"], t["torch.compile"])
        found.append(Bar(f"{workload} compiled / torch", t["ours compiled"] / fastest, 0.9))
        ours = t["ours compiled"] - t["our products"]
        theirs = t["torch.compile"] - t["torch products"]
        found.append(Bar(f"{workload} beyond products", ours / theirs, 0.8))
    return found


def on_gpu(
    workloads: list[str], peers: list[str], precision: str | None, given: dict[str, Any]
) -> None:
    """The same on a GPU, at the models' full batches."""
    table: list[list[str]] = []
    bars: list[Bar] = []
    figures: dict[str, Any] = {}
    for workload in workloads:
        rows = gpu_steps.measure(workload, peers, precision)
        figures[workload] = rows
        table += gpu_steps.cells(rows)
        bars += gpu_steps.bars_of(workload, rows)
    report("training step on cuda", gpu_steps.COLUMNS, table, bars, figures, **given)


@click.command(help=__doc__)
@options
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--workloads", default="reverse,minigpt", show_default=True)
@click.option("--peers", help="By default all that the device has.")
@click.option("--precision", type=click.Choice(["tf32", "bf16"]), help="On a GPU, of products.")
@click.option("--rounds", default=9, show_default=True)
@click.option("--calls", default=3, show_default=True)
def main(
    device: str, workloads: str, peers: str | None, precision: str | None, rounds: int, calls: int,
    **given: Any,
) -> None:  # fmt: skip
    known: tuple[str, ...] = PEERS if device == "cpu" else gpu_steps.EVERY_PEER
    chosen: list[str] = peers.split(",") if peers else [*known]
    if unknown := set(chosen) - set(known):
        sys.exit(f"step: peers {sorted(unknown)} came; give some of {', '.join(known)}")
    if device == "cuda":
        return on_gpu(workloads.split(","), chosen, precision, given)
    use_threads()
    names = [*chosen, "our products", "torch products"]
    rows: list[list[str]] = []
    bars: list[Bar] = []
    figures: dict[str, dict[str, float]] = {}
    for workload in workloads.split(","):
        t = by_turns(sides(WORKLOADS[workload], chosen), rounds, calls, warm_up=3)
        figures[workload] = t
        rows.append([workload, *(f"{t[name] * 1e3:.1f}" for name in names)])
        bars += bars_of(workload, t)
    report(f"training step on {device}, ms", ["model", *names], rows, bars, figures, **given)


if __name__ == "__main__":
    main()
