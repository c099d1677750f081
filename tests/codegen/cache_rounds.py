"""Processes that compile into a cache: some until they are killed, some that check what they get.

Run as a script by `test_cache_attack`. Children are forks of a process that has imported all there
is and compiled nothing but a function of its own, so that a moment falls into work, not imports.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np

import ostinato as ot
from ostinato.codegen import cache

POWERS = (1, 2)


def power(times: int) -> Any:
    """The sum of x to the power `times + 1`, compiled anew."""

    def fn(x: Any) -> Any:
        y = x
        for _ in range(times):
            y = y * x
        return y.sum()

    return ot.compile(fn)


def wrong(size: int) -> list[str]:
    """Which powers of vectors of `size` elements have a wrong value or gradient."""
    values = np.linspace(0.5, 1.5, size)
    found: list[str] = []
    for times in POWERS:
        x = ot.tensor(values.tolist(), dtype=ot.float64, requires_grad=True)
        y = power(times)(x)
        y.backward()
        right = np.allclose(y.item(), (values ** (times + 1)).sum(), rtol=1e-12) and np.allclose(
            x.grad.numpy(), (times + 1) * values**times, rtol=1e-12
        )
        found += [] if right else [f"power {times + 1} of {size}"]
    return found


def checked(sizes: range) -> dict[str, list[str]]:
    """What is wrong for `sizes`, and what was said on the way."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = [name for size in sizes for name in wrong(size)]
    return {"wrong": found, "said": [str(w.message) for w in said]}


def fork(child: Callable[[], object]) -> int:
    """The process that runs `child` and ends."""
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(100)
    try:
        child()
    finally:
        sys.stdout.flush()
        os._exit(0)


def write_until_killed(first: int) -> NoReturn:
    for size in count(first):
        wrong(size)
    raise AssertionError


def killed_by_clock(first: int, seconds: float) -> int:
    """The status of a process that is killed `seconds` after it started."""
    pid = fork(lambda: write_until_killed(first))
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def killed_by_line(first: int, lines: int) -> int:
    """The status of a process that is killed before a line of what writes the cache."""
    left = lines

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if event == "line" and (frame.f_code.co_filename, frame.f_code.co_name) in WRITING:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def child() -> None:
        sys.settrace(trace)
        write_until_killed(first)

    return os.waitpid(fork(child), 0)[1]


WRITING = {(cache.__file__, "store"), (cache.__file__, "_write"), (__file__, "write_in_place")}
"""The functions that write entries."""


def write_in_place(folder: Path, key: str, content: bytes) -> None:
    """What a careless cache would do: a reader may see half of it."""
    with open(folder / key, "wb", buffering=0) as file:
        os.fchmod(file.fileno(), 0o600)
        for part in range(4):
            file.write(content[part * len(content) // 4 : (part + 1) * len(content) // 4])


def seconds_of_a_round() -> float:
    started = time.perf_counter()
    os.waitpid(fork(lambda: wrong(2)), 0)
    return time.perf_counter() - started


def rounds(seed: int, by_clock: int, by_line: int) -> None:
    """Kill a writer at each moment, and print what a fresh process finds after it."""
    moments = random.Random(seed)
    whole = seconds_of_a_round()
    for first in range(100, 100 * (by_clock + by_line + 1), 100):
        if first <= 100 * by_clock:
            status = killed_by_clock(first, moments.uniform(0, whole))
        else:
            status = killed_by_line(first, moments.randrange(1, 31))
        assert os.WTERMSIG(status) == signal.SIGKILL
        sizes = range(first, first + 1)
        os.waitpid(fork(lambda sizes=sizes: print(json.dumps(checked(sizes)))), 0)


def main(command: str, *numbers: str) -> None:
    folder = os.environ.pop(cache.DIRECTORY)
    os.environ[cache.DIRECTORY] = "0"
    wrong(1)
    os.environ[cache.DIRECTORY] = folder
    if command == "check":
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(checked(range(*map(int, numbers)))))
        return
    if command == "careless":
        cache._write = write_in_place
    rounds(*map(int, numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
