"""Replays that find no memory, and those of several threads at once."""

import re
import threading
from typing import Any

import pytest

import ostinato as ot
from fake_driver import Fake

MIB = 1 << 20


def counters(run: Any) -> dict[str, int]:
    """Of the only variant."""
    (variant,) = run.variants
    return variant.built.program.counters()


def test_a_replay_without_memory_says_who_holds_it_and_the_next_one_runs(fake: Fake) -> None:
    run = ot.compile(lambda x: x.softmax(-1) * 2)
    x = ot.ones(1024, 1024, device="cuda")
    kept = [run(x)]
    with pytest.raises(ot.OutOfMemoryError) as caught:
        while True:
            kept.append(run(x))
    text = str(caught.value)
    assert text.startswith("out of memory on cuda:0 (Fake GPU 0): 4.00 MiB asked, ")
    assert re.search(rf"largest holders: {__file__}:\d+ 24\d.00 MiB in 6\d tensors, ", text), text
    assert len({t.data_ptr() for t in kept}) == len(kept)
    assert counters(run)["replays"] == len(kept)  # the one that failed queued nothing
    address = kept.pop().data_ptr()
    assert run(x).data_ptr() == address
    assert counters(run)["builds"] == 1
    assert fake.races() == []


def test_threads_replay_one_function_in_turn(fake: Fake) -> None:
    run = ot.compile(lambda x: x.softmax(-1) * 2)
    inputs = [ot.ones(16, 16, device="cuda") for _ in range(4)]
    run(inputs[0])
    made: list[list[ot.Tensor]] = [[] for _ in inputs]

    def work(i: int) -> None:
        with ot.cuda.stream(ot.cuda.Stream() if i % 2 else ot.cuda.default_stream()):
            for _ in range(25):
                made[i].append(run(inputs[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    results = [t for of_one in made for t in of_one]
    assert len({t.data_ptr() for t in results}) == len(results) == 100
    found = counters(run)
    assert (found["builds"], found["replays"], found["copies"]) == (1, 101, 0)
    assert fake.races() == []
