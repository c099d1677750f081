"""Two devices in one process: work on each, copies between them, threads, compiled steps."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from on_cuda import STAND_IN
from ostinato import nn, optim

pytestmark = pytest.mark.skipif(ot.cuda.device_count() < 2, reason="needs two CUDA devices")

DEVICES = ("cuda:0", "cuda:1")
NUMBERS = np.random.default_rng(0)
X, W, V = (NUMBERS.standard_normal(s).astype("float32") for s in ((6, 8), (8, 12), (12, 5)))


def on(device: str, array: Any) -> Any:
    return ot.tensor(array, device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_ops_run_where_their_operands_lie(device: str) -> None:
    x, w = on(device, X), on(device, W)
    found = {
        "product": (x @ w, X @ W),
        "sum": (x.sum(), X.sum()),
        "rows": (x.amax(1), X.max(1)),
        "running": (x.cumsum(1), X.cumsum(1)),
        "rank": (F.softmax(x, -1), np.exp(X) / np.exp(X).sum(1, keepdims=True)),
        "chosen": (w[ot.tensor([3, 0, 3], device=device)], W[[3, 0, 3]]),
        "numbers": (x * 2 + 1, X * 2 + 1),
    }
    for name, (ours, wanted) in found.items():
        assert ours.device == device, name
        np.testing.assert_allclose(ours.cpu().numpy(), wanted, rtol=1e-5, atol=1e-5, err_msg=name)


LAYOUTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "dense": (lambda t: t, lambda a: a),
    "transposed": (lambda t: t.T, lambda a: a.T),
    "a slice": (lambda t: t[1:5, 2::3], lambda a: a[1:5, 2::3]),
    "misaligned": (lambda t: t.reshape(-1)[1:], lambda a: a.reshape(-1)[1:]),
    "expanded": (lambda t: t[:1].expand(6, 8), lambda a: np.broadcast_to(a[:1], (6, 8))),
    "empty": (lambda t: t[:0], lambda a: a[:0]),
    "no axes": (lambda t: t[2, 3], lambda a: a[2, 3]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "bool"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("source", "target"), [DEVICES, DEVICES[::-1]])
def test_copies_between_devices(source: str, target: str, layout: str, dtype: str) -> None:
    view, same = LAYOUTS[layout]
    array = np.round(X * 4)
    array = array > 0 if dtype == "bool" else array
    there = view(on(source, array).to(getattr(ot, dtype))).to(target)
    assert there.device == target
    np.testing.assert_array_equal(there.cpu().to(ot.float64).numpy(), same(array))


def test_copies_convert_and_broadcast() -> None:
    to = ot.zeros(6, 8, device="cuda:1")
    to.T[2:4].copy_(on("cuda:0", np.arange(6)))
    wanted = np.zeros((6, 8), "float32")
    wanted.T[2:4] = np.arange(6)
    np.testing.assert_array_equal(to.cpu().numpy(), wanted)


def test_copies_wait_for_work_and_work_for_copies() -> None:
    """What is copied is what earlier ops left; what comes after may use the memory again."""
    size = 128 if ot.cuda.get_device_name() == STAND_IN else 2048
    eye = ot.eye(size, device="cuda:0")
    for i in range(6):
        x = ot.full((size, size), float(i), device="cuda:0")
        for _ in range(4):
            x = x @ eye
        y = x.to("cuda:1", non_blocking=True)
        x.fill_(-1.0)
        del x
        again = ot.full((size, size), -2.0, device="cuda:0")
        back = (y + 1).to("cuda:0", non_blocking=True)
        y.fill_(-3.0)
        del y, again
        assert back.amin().item() == back.amax().item() == i + 1


def test_streams_of_two_devices_wait_for_each_other() -> None:
    first, second = (ot.cuda.Stream(device=d) for d in DEVICES)
    done = ot.cuda.Event()
    with ot.cuda.stream(first):
        x = ot.ones(512, 512, device="cuda:0") * 3
        done.record(first)
    second.wait_event(done)
    with ot.cuda.stream(second):
        y = x.to("cuda:1") * 2
    second.synchronize()
    assert y.device == "cuda:1"
    assert y.amin().item() == y.amax().item() == 6


def test_gradients_cross_devices() -> None:
    x, w, v = (on(d, a) for d, a in (("cuda:0", X), ("cuda:0", W), ("cuda:1", V)))
    for t in (x, w, v):
        t.requires_grad_()
    ((x @ w).to("cuda:1") @ v).sum().backward()
    ones = np.ones((6, 5), "float32")
    for t, wanted in ((x, ones @ V.T @ W.T), (w, X.T @ (ones @ V.T)), (v, (X @ W).T @ ones)):
        assert t.grad.device == t.device
        np.testing.assert_allclose(t.grad.cpu().numpy(), wanted, rtol=1e-4, atol=1e-4)


def test_operands_of_two_devices_are_refused() -> None:
    x, y = (ot.ones(2, device=d) for d in DEVICES)
    with pytest.raises(ValueError, match=r"cuda:0.*cuda:1"):
        ot.add(x, y)
    assert (x + y.sum().item()).tolist() == [3.0, 3.0]


def test_random_numbers_are_the_same_everywhere() -> None:
    drawn: list[Any] = []
    for device in DEVICES:
        ot.manual_seed(3)
        drawn.append(ot.randn(1001, device=device).cpu().numpy())
    np.testing.assert_array_equal(*drawn)


def test_memory_is_counted_by_device() -> None:
    before = [ot.cuda.memory_allocated(d) for d in DEVICES]
    x = ot.empty(1 << 20, device="cuda:1")
    after = [ot.cuda.memory_allocated(d) for d in DEVICES]
    assert (after[0] - before[0], after[1] - before[1]) == (0, 4 << 20)
    del x
    assert ot.cuda.memory_allocated("cuda:1") == before[1]


def test_pinned_memory_goes_to_either() -> None:
    host = ot.tensor(X).pin_memory()
    there = [host.to(d, non_blocking=True) for d in DEVICES]
    back = [t.to("cpu", non_blocking=True) for t in there]
    for d in DEVICES:
        ot.cuda.synchronize(d)
    for t in back:
        np.testing.assert_array_equal(t.numpy(), X)


class Trained:
    """A model of its own weights on a device, and the losses of steps."""

    def __init__(self, device: str, compiled: bool) -> None:
        ot.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(8, 32), nn.GELU(), nn.LayerNorm(32), nn.Dropout(0.25), nn.Linear(32, 5)
        ).to(device)
        self.opt = optim.AdamW(self.model.parameters(), lr=1e-2)
        self.x, self.y = on(device, X), on(device, np.arange(6) % 5)
        self.step = ot.compile(self._step) if compiled else self._step

    def _step(self, x: Any, y: Any) -> Any:
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        self.opt.step()
        self.opt.zero_grad()
        return loss.detach()

    def losses(self, steps: int) -> list[float]:
        ot.manual_seed(1)
        kept = [self.step(self.x, self.y) for _ in range(steps)]
        assert all(t.device == self.x.device for t in kept)
        return [t.item() for t in kept]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_training_is_the_same_on_either(compiled: bool) -> None:
    first, second = (Trained(d, compiled).losses(8) for d in DEVICES)
    assert first == second
    assert first[-1] < first[0]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_threads_train_on_a_device_each(compiled: bool) -> None:
    """Without dropout, since threads share the default generator."""
    sides = [Trained(d, compiled) for d in DEVICES]
    for side in sides:
        side.model.eval()
    wanted = Trained("cuda:0", False)
    wanted.model.eval()
    found: dict[int, list[float]] = {}

    def work(i: int) -> None:
        found[i] = sides[i].losses(12)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found[0] == found[1]
    np.testing.assert_allclose(found[0], wanted.losses(12), rtol=1e-4)


def test_a_compiled_function_takes_tensors_of_either() -> None:
    @ot.compile
    def f(x: Any, w: Any) -> Any:
        return F.gelu(x @ w).sum(1) * 2

    wanted = [f.__wrapped__(on(d, X), on(d, W)).cpu().numpy() for d in DEVICES]
    for _ in range(3):
        for device, numbers in zip(DEVICES, wanted, strict=True):
            y = f(on(device, X), on(device, W))
            assert y.device == device
            np.testing.assert_allclose(y.cpu().numpy(), numbers, rtol=1e-5, atol=1e-5)


def test_a_compiled_function_moves_between_devices() -> None:
    def f(x: Any, w: Any, v: Any) -> Any:
        return F.relu(F.relu(x @ w).to("cuda:1") @ v).sum()

    compiled = ot.compile(f)
    given = on("cuda:0", X), on("cuda:0", W), on("cuda:1", V)
    for _ in range(3):
        y = compiled(*given)
        assert y.device == "cuda:1"
        np.testing.assert_allclose(y.item(), f(*given).item(), rtol=1e-5)


def test_a_compiled_function_knows_the_current_device() -> None:
    @ot.compile
    def f() -> Any:
        return ot.ones(3, device="cuda") * 2

    for _ in range(2):
        for index in (0, 1):
            with ot.cuda.device(index):
                y = f()
            assert y.device == f"cuda:{index}"
            assert y.tolist() == [2.0, 2.0, 2.0]
