"""One row of a GPU benchmark as JSON: `gpu_row.py PEER WORKLOAD [PRECISION]`, its own process.

Peers: ours-eager, ours-compiled, torch-eager, torch-compile, torch-cudagraph, torch-wholestep, jax.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from gpu_workloads import OPTIMIZER, Workload, timed, workload_of


def our_step(workload: Workload, compiled: bool) -> Callable[[], Any]:
    """A whole step of ours on a fixed batch, as `gpu_torch.torch_step` does it."""
    run, batch = our_parts(workload, compiled)
    return lambda: run(*batch)


def our_parts(workload: Workload, compiled: bool) -> tuple[Any, tuple[Any, Any]]:
    """The step as a function, and the batch."""
    import numpy as np
    from models import ImageConfig, LanguageModel, VisionTransformer

    import ostinato as ot
    from ostinato import optim

    ot.set_float32_matmul_precision("high")
    config = workload.config
    image = isinstance(config, ImageConfig)
    model = (VisionTransformer(config) if image else LanguageModel(config)).to("cuda")
    opt = optim.AdamW(model.parameters(), **OPTIMIZER)
    rng = np.random.default_rng(1)
    if image:
        x = rng.standard_normal((config.batch, 3, config.image, config.image), dtype=np.float32)
        y = rng.integers(0, config.classes, config.batch)
    else:
        x, y = rng.integers(0, config.classes, (2, config.batch, config.length))
    inputs, targets = (ot.tensor(a).to("cuda") for a in (x, y))

    def step(x: Any, y: Any) -> Any:
        with ot.autocast("cuda", ot.bfloat16, enabled=workload.precision == "bf16"):
            loss = model(x, y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss.detach()

    return ot.compile(step) if compiled else step, (inputs, targets)


def row_of(peer: str, workload: Workload) -> dict[str, Any]:
    """What one peer takes on one workload."""
    if peer.startswith("ours"):
        import ostinato as ot

        make: Any = lambda: our_step(workload, peer == "ours-compiled")  # noqa: E731
        wait, peak = ot.cuda.synchronize, ot.cuda.max_memory_allocated
    elif peer == "jax":
        import gpu_jax

        make = lambda: gpu_jax.jax_step(workload)  # noqa: E731
        wait, peak = gpu_jax.synchronize, gpu_jax.peak_bytes
    else:
        import gpu_torch

        make = lambda: gpu_torch.torch_step(peer, workload)  # noqa: E731
        wait, peak = gpu_torch.synchronize, gpu_torch.peak_bytes
    found = timed(make, wait, workload.chunk)
    return {"peer": peer, "workload": workload.name, "precision": workload.precision,
            **found, "peak_gib": peak() / 2**30}  # fmt: skip


def main() -> None:
    peer, name, *precision = sys.argv[1:]
    print(json.dumps(row_of(peer, workload_of(name, precision[0] if precision else None))))


if __name__ == "__main__":
    main()
