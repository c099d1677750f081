"""What replays of a region's graph do: nothing is made anew, and results are the eager ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import nn, optim


def values(*shape: int, seed: int = 0) -> Any:
    """Normal numbers on the device."""
    array = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return ot.from_numpy(array).to("cuda")


def close(found: Any, wanted: Any) -> None:
    """Equal but for the rounding of products in another order."""
    np.testing.assert_allclose(found.cpu().numpy(), wanted.cpu().numpy(), rtol=2e-5, atol=2e-5)


def counters(step: Any) -> dict[str, int]:
    """Of the only variant of a compiled function."""
    (variant,) = step.variants
    return variant.built.program.counters()


def trainer() -> tuple[Callable[..., Any], Any]:
    """A step of a small model and its optimizer, from fixed weights."""
    ot.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 4)).to("cuda")
    opt = optim.AdamW(model.parameters(), lr=1e-2)

    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss.detach()

    return step, opt


def trained(compiled: bool, steps: int = 20) -> tuple[list[Any], Any]:
    """The losses, all kept, of steps with a schedule and new inputs each time."""
    step, opt = trainer()
    run = ot.compile(step) if compiled else step
    kept: list[Any] = []
    for i in range(steps):
        opt.param_groups[0]["lr"] = 1e-2 / (1 + i)
        y = ot.from_numpy(np.random.default_rng(i).integers(0, 4, 8)).to("cuda")
        kept.append(run(values(8, 16, seed=i), y))
    return kept, run


def test_a_schedule_new_inputs_and_kept_outputs_make_nothing_anew() -> None:
    kept, run = trained(compiled=True)
    expected, _ = trained(compiled=False)
    close(ot.stack(kept), ot.stack(expected))
    assert len({t.data_ptr() for t in kept}) == len(kept)
    found = counters(run)
    assert (found["builds"], found["copies"]) == (1, 0)
    assert found["replays"] == len(kept)


def test_where_nothing_moves_nothing_is_patched_or_captured() -> None:
    step, _ = trainer()
    run = ot.compile(step)
    x, y = values(8, 16), ot.zeros(8, dtype=ot.int64, device="cuda")
    for _ in range(3):
        run(x, y)
    before = counters(run)
    for _ in range(10):
        run(x, y)
    after = counters(run)
    assert after["replays"] == before["replays"] + 10
    assert {k: v for k, v in after.items() if k != "replays"} == {
        k: v for k, v in before.items() if k != "replays"
    }


def test_a_misaligned_input_is_right() -> None:
    fn = lambda x: (x * 2 + 1).exp()  # noqa: E731
    run = ot.compile(fn)
    whole = values(1025)
    for x in (whole[:1024], whole[1:], whole[:1024]):
        close(run(x), fn(x))


def test_a_product_of_a_new_input_each_time_is_right() -> None:
    w = values(16, 8, seed=1)
    run = ot.compile(lambda x: x @ w)
    inputs = [values(4, 16, seed=s) for s in range(6)]
    found = [run(x) for x in inputs]
    for x, y in zip(inputs, found, strict=True):
        close(y, x @ w)
    assert counters(run)["builds"] == 1


@pytest.mark.parametrize("kind", ["input", "parameter"])
def test_changes_in_place_are_seen_by_the_next_replay(kind: str) -> None:
    w, x = values(16, 8, seed=1), values(4, 16)
    run = ot.compile(lambda x: (x @ w).tanh())
    first = run(x)
    before = first.clone()
    (x if kind == "input" else w).mul_(2)
    close(run(x), (x @ w).tanh())
    close(first, before)


def test_replays_on_two_streams_keep_their_order() -> None:
    run = ot.compile(lambda x: (x @ x).tanh() @ x)
    x = values(256, 256)
    wanted = run(x)
    found: list[Any] = []
    for _ in range(8):
        side = ot.cuda.Stream()
        side.wait_stream(ot.cuda.current_stream())
        with ot.cuda.stream(side):
            found.append(run(x))
        ot.cuda.current_stream().wait_stream(side)
        found.append(run(x))
    for y in found:
        close(y, wanted)
