"""PyTorch's training steps on a GPU: eager, compiled, with CUDA graphs, and the whole step in one
graph that was captured by hand."""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gpu_workloads import OPTIMIZER, Workload
from torch_models import batch_of, twins

MODES = {"torch-compile": "default", "torch-cudagraph": "reduce-overhead",
         "torch-wholestep": "default"}  # fmt: skip


def torch_step(peer: str, workload: Workload) -> Callable[[], Any]:
    """A whole step on a fixed batch, float32 products in TF32 or all in bfloat16 autocast."""
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    model = twins(workload.config)[1].cuda()
    whole = peer == "torch-wholestep"
    opt = torch.optim.AdamW(model.parameters(), fused=True, capturable=whole, **OPTIMIZER)
    x, y = (torch.from_numpy(a).cuda() for a in batch_of(workload.config, seed=1))
    forward = torch.compile(model, mode=MODES[peer]) if peer in MODES else model
    half = torch.autocast("cuda", torch.bfloat16, enabled=workload.precision == "bf16")

    def step() -> Any:
        opt.zero_grad(set_to_none=True)
        with half:
            loss = forward(x, y)
        loss.backward()
        opt.step()
        return loss

    return _captured(step, opt) if whole else step


def _captured(step: Callable[[], Any], opt: torch.optim.Optimizer) -> Callable[[], Any]:
    """Replays of `step`, which first runs a few times on the stream that it is captured on."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(4):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    opt.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step()
    return graph.replay


def synchronize() -> None:
    """Wait for the device."""
    torch.cuda.synchronize()


def peak_bytes() -> int:
    """The most memory that tensors took."""
    return torch.cuda.max_memory_allocated()
