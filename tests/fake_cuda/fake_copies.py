"""Copies between the host and devices: what the driver is asked for, and what arrives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from fake_driver import Fake

HOST = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


def moved(x: ot.Tensor) -> ot.Tensor:
    return x.to("cuda")


# Name, what is done, the calls that it makes on a stream, and the values that come of it.
MOVES: list[tuple[str, Callable[[ot.Tensor], ot.Tensor], list[str], Any]] = [
    ("contiguous", lambda x: x.to("cuda"), ["MemcpyHtoDAsync 24 stream 1"], HOST),
    ("a view", lambda x: x[1:].cuda(), ["MemcpyHtoDAsync 12 stream 1"], HOST[1:]),
    ("transposed", lambda x: x.t().cuda(), ["MemcpyHtoDAsync 24 stream 1"], np.array(HOST).T),
    ("narrowed on the way", lambda x: x.to("cuda", ot.uint8), ["MemcpyHtoDAsync 6 stream 1"], HOST),
    ("nothing", lambda x: x[:0].cuda(), [], np.zeros((0, 3))),
    ("one element", lambda x: x[0, 1].cuda(), ["MemsetD32Async 1 of 1073741824 stream 1"], 2.0),
    (
        "one wide element",
        lambda x: x[0, 1].to(ot.float64).cuda(),
        ["MemcpyHtoDAsync 8 stream 1"],
        2.0,
    ),
    ("to itself", lambda x: x.to("cpu"), [], HOST),
]


@pytest.mark.parametrize(("name", "move", "calls", "values"), MOVES, ids=[m[0] for m in MOVES])
def test_moves(
    name: str, move: Callable[[ot.Tensor], ot.Tensor], calls: list[str], values: Any, fake: Fake
) -> None:
    x = ot.tensor(HOST)
    fake.calls()
    y = move(x)
    copies = [c for c in fake.work() if not c.startswith("MemAlloc")]
    assert copies == calls
    assert y.tolist() == np.array(values).tolist()


# dtype, value, the memory set that makes it.
FILLS = [
    (ot.float32, 0.0, "MemsetD8Async 24 of 0"),
    (ot.float32, 1.0, "MemsetD32Async 6 of 1065353216"),
    (ot.bfloat16, 1.0, "MemsetD16Async 6 of 16256"),
    (ot.float16, 1.0, "MemsetD16Async 6 of 15360"),
    (ot.int8, -1, "MemsetD8Async 6 of 255"),
    (ot.bool_, True, "MemsetD8Async 6 of 1"),
    (ot.int32, 7, "MemsetD32Async 6 of 7"),
    (ot.int64, -1, "MemsetD32Async 12 of 4294967295"),
    (ot.float64, 0.0, "MemsetD8Async 48 of 0"),
]


@pytest.mark.parametrize(("dtype", "value", "call"), FILLS)
def test_fills(dtype: ot.DType, value: float, call: str, fake: Fake) -> None:
    x = ot.empty(2, 3, dtype=dtype, device="cuda")
    fake.calls()
    x.copy_(ot.tensor(value, dtype=dtype).reshape(1, 1))
    assert fake.work() == [f"{call} stream 1"]
    assert x.cpu().to(ot.float32).tolist() == np.full((2, 3), value).tolist()


def test_between_devices_the_streams_wait_for_each_other(fake: Fake) -> None:
    x = ot.tensor(HOST, device="cuda:0")
    y = ot.empty(2, 3, device="cuda:1")
    fake.calls()
    y.copy_(x)
    kinds = ("EventRecord", "StreamWaitEvent", "MemcpyPeerAsync")
    steps = [c.split(" ") for c in fake.calls(*kinds)]
    (_, before, _, target), (_, source, _, waited), copy, (_, after, _, end), last = steps
    assert (waited, target, source) == (before, "2", "1")
    assert copy == ["MemcpyPeerAsync", "24", "device", "0", "to", "1", "stream", source]
    assert (end, last) == (source, ["StreamWaitEvent", target, "event", after])
    assert y.tolist() == HOST
    assert fake.races() == []


def test_pinned_memory_is_not_waited_for(fake: Fake) -> None:
    x = ot.tensor(HOST).pin_memory()
    assert x.is_pinned() and not ot.tensor(HOST).is_pinned()
    assert x.pin_memory() is x
    for non_blocking, waits in ((True, 0), (False, 1)):
        fake.calls()
        y = x.to("cuda", non_blocking=non_blocking)
        assert len(fake.calls("StreamSynchronize")) == waits
        assert y.tolist() == HOST


def test_pinned_memory_is_reused_after_the_copies_from_it(fake: Fake) -> None:
    fake.set_busy(True)
    x = ot.tensor(HOST).pin_memory()
    address = x.data_ptr()
    y = x.to("cuda", non_blocking=True)
    del x
    again = ot.tensor(HOST).pin_memory()
    assert again.data_ptr() != address
    ot.cuda.synchronize()
    third = ot.tensor(HOST).pin_memory()
    assert third.data_ptr() == address
    assert y.tolist() == HOST
    used = ot.cuda.host_memory_stats()
    assert used["allocated_bytes.all.current"] == 2 * 4096


def test_pinned_memory_that_the_machine_refuses(fake: Fake) -> None:
    ot.cuda.empty_cache()
    fake.fail("MemHostAlloc", every=True)
    with pytest.raises(ot.OutOfMemoryError, match="pin_memory: the machine refuses 24 more pinned"):
        ot.tensor(HOST).pin_memory()


def test_copy_takes_from_any_device(fake: Fake) -> None:
    x = ot.zeros(2, 3)
    x.copy_(ot.tensor(HOST, device="cuda"))
    assert x.tolist() == HOST
    there = ot.empty(2, 3, device="cuda")
    there.copy_(x, non_blocking=True)
    assert there.tolist() == HOST
    assert there._version == 1


def test_gradients_travel_back(fake: Fake) -> None:
    x = ot.tensor(HOST, requires_grad=True)
    y = x.to("cuda")
    y.backward(ot.tensor(HOST, device="cuda"))
    assert x.grad is not None
    assert (x.grad.device, x.grad.tolist()) == ("cpu", HOST)


def test_values_are_read(fake: Fake) -> None:
    x = ot.tensor([1.5, 2.5], device="cuda")
    assert (x[0].item(), float(x[1]), x.tolist()) == (1.5, 2.5, [1.5, 2.5])
    assert repr(x) == "tensor([1.5, 2.5], device='cuda:0')"
    assert str(ot.tensor([1, 2], device="cuda:1")) == "tensor([1, 2], device='cuda:1')"
    assert ot.tensor([1.5], dtype=ot.bfloat16, device="cuda").tolist() == [1.5]


def test_numpy_is_refused(fake: Fake) -> None:
    with pytest.raises(TypeError, match=r"lies on cuda:0, NumPy arrays on the CPU; use .cpu"):
        ot.tensor([1.5], device="cuda").numpy()


def test_dlpack(fake: Fake) -> None:
    x = ot.tensor(HOST, device="cuda")
    assert x.__dlpack_device__() == (2, 0)
    fake.calls()
    y = ot.from_dlpack(x)
    assert (y.device, y.data_ptr()) == ("cuda:0", x.data_ptr())
    assert y.tolist() == HOST
    consumer = ot.cuda.Stream()
    fake.calls()
    x.__dlpack__(stream=consumer.cuda_stream)
    records = [c.split()[0] for c in fake.calls("EventRecord", "StreamWaitEvent")]
    assert records == ["EventRecord", "StreamWaitEvent"]
    fake.calls()
    x.__dlpack__(stream=-1)
    assert fake.calls("EventRecord", "StreamWaitEvent") == []


def test_operands_of_two_devices_are_refused(fake: Fake) -> None:
    x, y = ot.zeros(2, device="cuda"), ot.zeros(2)
    with pytest.raises(ValueError, match="add: operands lie on cuda:0 and cpu; move them"):
        _ = x + y
    with pytest.raises(ValueError, match="add_: the result lies on cuda:0, the tensor on cpu"):
        ot.zeros(()).add_(x[0])
