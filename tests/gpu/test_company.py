"""A device beside other libraries and processes; a generator and scaled steps in graphs."""

import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from scaled_steps import scaled_steps


def torch_of_cuda() -> Any:
    """PyTorch where it sees the device that we do."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no CUDA device")
    return torch


def test_memory_goes_to_torch_and_back_in_order_of_streams() -> None:
    torch = torch_of_cuda()
    side = torch.cuda.Stream()
    eye = torch.eye(2048, device="cuda")
    for i in range(4):
        with torch.cuda.stream(side):
            given = torch.full((2048, 2048), float(i), device="cuda")
            for _ in range(8):
                given = given @ eye
            ours = ot.from_dlpack(given)  # waits for torch's current stream
        assert ours.data_ptr() == given.data_ptr()
        back = torch.from_dlpack(ours * 2 + 1)
        assert (back.amin().item(), back.amax().item()) == (2 * i + 1, 2 * i + 1)
        with torch.cuda.stream(side):
            again = torch.from_dlpack((ours @ ot.from_dlpack(eye)) + 1)
            assert (again.amin().item(), again.amax().item()) == (i + 1, i + 1)


@pytest.mark.parametrize("compiled", [False, True])
def test_ops_run_on_a_stream_of_torch(compiled: bool) -> None:
    torch = torch_of_cuda()
    theirs = torch.cuda.Stream()
    fn = lambda x: (x * 2 + 1).softmax(-1)  # noqa: E731
    run = ot.compile(fn) if compiled else fn
    x = ot.from_numpy(np.random.default_rng(0).standard_normal((512, 64), "float32")).to("cuda")
    wanted = fn(x).cpu().numpy()
    outside = ot.cuda.ExternalStream(theirs.cuda_stream)
    outside.wait_stream(ot.cuda.current_stream())
    with ot.cuda.stream(outside), torch.cuda.stream(theirs):
        y = torch.from_dlpack(run(x)) * 1
    theirs.synchronize()
    assert outside.query()
    np.testing.assert_allclose(y.cpu().numpy(), wanted, rtol=1e-6)


def test_what_the_driver_tells_of_streams_and_events() -> None:
    assert ot.cuda.Stream(priority=7).priority == 0
    assert -5 <= ot.cuda.Stream(priority=-100).priority < 0
    first, last = ot.cuda.Event(enable_timing=True), ot.cuda.Event(enable_timing=True)
    x = ot.ones(4096, 4096, device="cuda")
    ot.cuda.synchronize()
    first.record()
    for _ in range(20):
        x @ x  # pyright: ignore[reportUnusedExpression]
    last.record()
    with pytest.raises(ValueError, match=r"that the device has not reached; synchronize\(\) both"):
        first.elapsed_time(last)
    last.synchronize()
    assert first.elapsed_time(last) > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bool", "int64"])
def test_tensors_are_pickled_with_their_device(dtype: str) -> None:
    x = ot.tensor([[0.0, 1.0], [3.0, 0.5]], device="cuda").to(getattr(ot, dtype))
    back = pickle.loads(pickle.dumps(x.t()))
    assert (back.device, back.dtype) == (x.device, x.dtype)
    assert back.tolist() == x.t().tolist()


FORKED = """
import os, signal, sys
import ostinato as ot
x = ot.ones(3, device="cuda")
child = os.fork()
if child == 0:
    signal.alarm(60)
    for call in (lambda: ot.empty(3, device="cuda"), x.sum, ot.cuda.synchronize):
        try:
            call()
        except ot.DeviceError as error:
            print(error)
    del x
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert (x + 1).tolist() == [2.0, 2.0, 2.0]
"""


def test_a_forked_process_says_so_and_its_parent_goes_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED], env=dict(os.environ), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(s.startswith("cuda: this process was forked from one that uses") for s in lines)


def test_an_own_generator_draws_in_a_graph_what_it_draws_eagerly() -> None:
    x = ot.ones(33, 7, device="cuda")
    outcomes: list[Any] = []
    for way in (lambda fn: fn, ot.compile):
        ot.manual_seed(3)
        g = ot.Generator(7, device="cuda")
        fn = lambda x, g=g: (  # noqa: E731
            x * ot.rand(33, 7, device="cuda", generator=g),
            F.dropout(x, 0.5),
        )
        run = way(fn)
        drawn = [tuple(t.cpu().numpy() for t in run(x)) for _ in range(4)]
        outcomes.append((drawn, g.offset, ot.get_rng_state().tolist()))
    (eager, *states), (compiled, *others) = outcomes
    assert states == others
    for ours, theirs in zip(compiled, eager, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
    assert not np.array_equal(eager[0][0], eager[1][0])


def test_a_scaled_step_in_float16_leaves_out_what_overflows() -> None:
    eager, _ = scaled_steps(ot, "cuda", lambda fn: fn)
    compiled, variants = scaled_steps(ot, "cuda", ot.compile)
    assert variants == 1
    assert [s for s, _ in compiled] == [s for s, _ in eager]
    for (_, ours), (_, theirs) in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-4)
    scales = [s for s, _ in eager]
    assert scales != sorted(scales) and scales != sorted(scales, reverse=True)
