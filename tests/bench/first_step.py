"""One compiled minigpt step in a fresh process, imports and all: `first_step.py ours|torch`.

With `ours-gpt2` it prints the seconds that capture and passes alone take for GPT-2's whole step.
"""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

BATCH = 4
OPTIMIZER: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}


def ours(
    name: str = "MINIGPT", batch: int = BATCH, device: str = "cpu",
    note: Callable[[Any], object] | None = None,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Our step, which calls `note` with its loss, and a batch for it."""
    import models

    import ostinato as ot
    from ostinato import optim

    config = replace(getattr(models, name), batch=batch)
    model = models.LanguageModel(config).to(device)
    opt = optim.AdamW(model.parameters(), **OPTIMIZER)

    @ot.compile
    def step(x: Any, y: Any) -> Any:
        loss = model(x, y)
        if note is not None:
            note(loss)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    tokens = ot.randint(0, config.classes, (2, batch, config.length)).to(device)
    return step, tokens[0], tokens[1]


def capture_and_passes(step: Any, *args: Any) -> float:
    """The seconds from a call to the plan of its Program, kernels not yet compiled nor modules
    imported."""
    from importlib import import_module

    import optree

    from ostinato.compiler.attempt import Attempt, Policy
    from ostinato.compiler.captured import to_module
    from ostinato.passes.pipeline import PASSES, run_passes

    for name in PASSES:
        import_module(f"ostinato.passes.{name}")

    tree: Any = (args, {})
    leaves, structure = optree.tree_flatten(tree, none_is_leaf=True)
    started = time.perf_counter()
    policy = Policy(follows=False, breaks=False)
    captured: Any = Attempt(step.fn, "step", leaves, structure, policy).capture()
    run_passes(to_module(captured[0]))
    return time.perf_counter() - started


def theirs() -> Any:
    """PyTorch's loss of one step."""
    import models
    import torch

    from torch_models import TorchLanguageModel

    config = replace(models.MINIGPT, batch=BATCH)
    torch.set_num_threads(2)
    model = TorchLanguageModel(config)
    opt = torch.optim.AdamW(model.parameters(), fused=True, **OPTIMIZER)
    tokens = torch.randint(0, config.classes, (2, BATCH, config.length))
    loss = torch.compile(model)(tokens[0], tokens[1])
    loss.backward()
    opt.step()
    return loss


def main() -> None:
    which = sys.argv[1]
    if which == "torch":
        print(theirs().item())
    elif which == "ours":
        step, x, y = ours()
        print(step(x, y).item())
    else:
        step, x, y = ours("GPT2", batch=1)
        print(capture_and_passes(step, x, y))


if __name__ == "__main__":
    main()
