"""What users get wrong with devices, streams, events and forks, and what they are told."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import ostinato as ot
from fake_driver import Fake

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def on(index: int) -> ot.Tensor:
    return ot.ones(3, device=f"cuda:{index}")


def recorded(index: int) -> ot.cuda.Event:
    event = ot.cuda.Event(enable_timing=True)
    event.record(ot.cuda.Stream(index))
    return event


# What is done, the error, and a part of its text.
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a number too large for a device": (
        lambda: ot.cuda.Stream(1 << 40), ValueError, "device: cuda:-1 came; this machine has 2"),
    "a negative number": (
        lambda: ot.device("cuda", -1), ValueError, "device: index -1 came; give a number from 0"),
    "memory of one device on a stream of another": (
        lambda: on(0).record_stream(ot.cuda.Stream(1)), ValueError,
        "record_stream: a stream of cuda:1 came for memory of cuda:0; give one of the same"),
    "no stream": (
        lambda: on(0).record_stream(None), TypeError,
        "record_stream: a NoneType came; give an ot.cuda.Stream"),
    "an event of one device on a stream of another": (
        lambda: recorded(0).record(ot.cuda.Stream(1)), ValueError,
        "record: an event of cuda:0 came to a stream of cuda:1; make an event for each device"),
    "time between devices": (
        lambda: recorded(0).elapsed_time(recorded(1)), ValueError,
        "elapsed_time: events of cuda:0 and cuda:1 came; give two of one device"),
    "waiting for no event": (
        lambda: ot.cuda.Stream().wait_event(None),  # pyright: ignore[reportArgumentType]
        TypeError, "wait_event: a NoneType came; give an Event"),
    "waiting for a number": (
        lambda: ot.cuda.Stream().wait_stream(3),  # pyright: ignore[reportArgumentType]
        TypeError, "wait_stream: a int came; give a Stream"),
    "recording on a number": (
        lambda: ot.cuda.Event().record(3),  # pyright: ignore[reportArgumentType]
        TypeError, "record: a int came; give a Stream"),
    "a number as the current stream": (
        lambda: ot.cuda.set_stream(3),  # pyright: ignore[reportArgumentType]
        TypeError, "set_stream: a int came; give a Stream"),
    "stream 0 of DLPack": (
        lambda: on(0).__dlpack__(stream=0), ValueError, "__dlpack__: stream 0 came; give"),
    "another device of DLPack": (
        lambda: on(0).__dlpack__(dl_device=(2, 1)), BufferError,
        r"__dlpack__: device \(2, 1\) came, the tensor lies on cuda:0; move it with .to\(\)"),
    "the host without a copy": (
        lambda: on(0).__dlpack__(dl_device=(1, 0), copy=False), BufferError,
        "the tensor lies on cuda:0"),
    **{
        f"fraction {fraction}": (
            lambda fraction=fraction: ot.cuda.set_per_process_memory_fraction(fraction),
            ValueError, f"fraction {fraction} came; give above 0, at most 1")
        for fraction in (0, -0.5, 1.01, float("nan"))
    },
    "a range of the host's memory": (
        lambda: ot.cuda.memory_stats("cpu"), ValueError, "cuda: device 'cpu' came; give a CUDA"),
    "an operand elsewhere": (
        lambda: on(0).add_(on(1)), ValueError, "operands lie on cuda:0 and cuda:1; move them"),
    "indices elsewhere": (
        lambda: on(0)[ot.tensor([1])], ValueError, "operands lie on cuda:0 and cpu; move them"),
    "pickling a stream": (lambda: pickle.dumps(ot.cuda.Stream()), TypeError, "cannot pickle"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_misuse_is_refused(name: str, fake: Fake) -> None:
    call, error, text = REFUSED[name]
    with pytest.raises(error, match=text):
        call()
    assert on(0).cpu().tolist() == [1.0, 1.0, 1.0]


def test_the_time_of_events_that_are_not_over(fake: Fake) -> None:
    fake.set_busy(True)
    first, last = recorded(0), recorded(0)
    with pytest.raises(ValueError, match="that the device has not reached"):
        first.elapsed_time(last)
    first.synchronize()
    last.synchronize()
    assert first.elapsed_time(last) == 0.0


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (-5, -5), (5, 0), (-100, -5), (1 << 30, 0)])
def test_priorities_are_the_nearest_there_are(asked: int, given: int, fake: Fake) -> None:
    stream = ot.cuda.Stream(priority=asked)
    assert stream.priority == given
    made = fake.calls("StreamCreateWithPriority")
    assert all(f"priority {given}" in c for c in made)


def test_a_stream_outlives_what_was_queued_on_it(fake: Fake) -> None:
    fake.set_busy(True)
    side = ot.cuda.Stream()
    x, done = on(0), ot.cuda.Event()
    x.record_stream(side)
    done.record(side)
    handle = side.cuda_stream
    del side, x
    again = [ot.cuda.Stream() for _ in range(20)]
    assert handle in {s.cuda_stream for s in again}  # used again, never destroyed
    again[0].wait_event(done)
    ot.cuda.synchronize()
    assert done.query()


def test_snapshots_are_whole_while_threads_allocate(fake: Fake) -> None:
    going = threading.Event()

    def work(seed: int) -> None:
        held: list[ot.Tensor] = []
        while not going.is_set():
            held.append(ot.empty(1 + seed * 7919 % 60_000, dtype=ot.uint8, device="cuda"))
            seed = seed * 31 % 100_003
            del held[: len(held) - 8]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (3, 5, 7)]
    for t in threads:
        t.start()
    try:
        for i in range(60):
            for segment in ot.cuda.memory_snapshot():
                at = segment["address"]
                for block in segment["blocks"]:
                    assert block["address"] == at
                    at += block["size"]
                assert at == segment["address"] + segment["total_size"]
            if i % 10 == 0:
                ot.cuda.empty_cache()
    finally:
        going.set()
        for t in threads:
            t.join()


def told_in_a_fork(calls: list[Callable[[], object]]) -> list[str]:
    """What a forked process is told by each call; it has 20 s, and drops all that it has."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        for call in calls:
            try:
                text = str(call())
            except ot.DeviceError as error:
                text = str(error)
            os.write(write, f"{text}\n".encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as lines:
        told = lines.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    return told


def test_a_fork_refuses_memory_and_says_why(fake: Fake) -> None:
    x, pinned = on(0), ot.ones(3).pin_memory()
    run = ot.compile(lambda x: x * 2)
    run(x)
    told = told_in_a_fork(
        [
            lambda: ot.empty(3, device="cuda"), lambda: run(x), ot.cuda.memory_stats,
            ot.cuda.memory_snapshot, ot.cuda.empty_cache, pinned.pin_memory().cuda,
            lambda: x.data_ptr() and "kept", lambda: ot.ones(3).sum().item(),
        ]
    )  # fmt: skip
    *refused, kept, summed = told
    assert len(refused) == 6
    assert all(t.startswith("cuda: this process was forked from one that") for t in refused), told
    assert (kept, summed) == ("kept", "3.0")
    assert run(x).device == "cuda:0"


def test_a_fork_does_not_wait_for_threads_that_it_lacks(fake: Fake) -> None:
    """A thread is in the allocator when the process is forked."""
    held: list[Any] = [on(0), ot.cuda.Stream(), ot.cuda.MemPool(), ot.compile(lambda x: x * 2)]
    held[3](held[0])
    ot.empty(1 << 24, device="cuda")  # cached
    thread = threading.Thread(target=ot.cuda.empty_cache)
    fake.hold("MemFree")
    thread.start()
    fake.wait_for_held()
    try:
        assert told_in_a_fork([held.clear, lambda: ot.empty(3, device="cuda")])[0] == "None"
    finally:
        fake.let_go()
        thread.join()


LOST = """
import ostinato as ot
from fake_driver import Fake
from ostinato import nn, optim

fake = Fake()
x = ot.ones(8, 8, device="cuda")
w = ot.ones(8, 8, device="cuda", requires_grad=True)
run = ot.compile(lambda x: (x @ x).softmax(-1))
kept = [run(x), ot.cuda.Stream(), ot.ones(9).pin_memory(), (w * 2).sum(), ot.cuda.MemPool()]
event = ot.cuda.Event()
event.record()
opt = optim.AdamW(nn.Linear(4, 4).to("cuda").parameters())
fake.lose_device()
calls = [lambda: run(x), lambda: x + x, x.tolist, ot.cuda.synchronize, event.query,
         event.synchronize, kept[1].synchronize, kept[3].backward, x.__dlpack__, lambda: repr(x),
         lambda: ot.ones(3).cuda(), lambda: ot.ones(1 << 20).pin_memory(),
         lambda: ot.compile(lambda x: x * 3)(x), lambda: x.to("cuda:1")]
for _ in range(2):
    for call in calls:
        try:
            print("nothing was said by", call, call())
        except ot.DeviceError as error:
            assert "the device is lost to this process: start a new one" in str(error), error
print("end")
"""


def test_after_a_lost_device_every_call_says_so_and_the_process_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOST],
        env={**os.environ, "PYTHONPATH": f"{ROOT}/tests/runtime"}, capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
