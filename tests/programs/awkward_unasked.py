"""Programs that handle errors which are not theirs, and in which code runs that nobody called.

Inner functions are as users write them, without annotations.
"""

# pyright: reportOptionalOperand=none, reportAttributeAccessIssue=none, reportOperatorIssue=none
# ruff: noqa: E722 (what catches all errors is the subject)

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import threading
from collections.abc import Callable
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


def counting(w: World, make: Callable[[Fn], Fn]) -> Call:
    """A function that writes into a dictionary of which nobody can tell where it comes from before
    it runs; `get` gives it."""
    counts = dict.fromkeys("ab", 0)

    def get():
        return counts

    call = w.compile(make(get))
    return lambda i: (call(w.data(i, 3)), dict(counts))


@TABLE.program()
def item_is_written_at_the_end_of_all(w: World) -> Call:
    def make(get):
        def fn(x):
            counts = get()
            try:
                w.log.append(1)
            finally:
                counts["a"] += 1
            return x * 2

        return fn

    return counting(w, make)


@TABLE.program()
def item_is_written_where_all_is_caught(w: World) -> Call:
    def make(get):
        def fn(x):
            counts = get()
            try:
                w.log.append(1)
            except:
                counts["a"] += 1
            return x * 2

        return fn

    return counting(w, make)


@TABLE.program()
def all_is_caught_in_a_loop(w: World) -> Call:
    def make(get):
        def fn(x):
            counts = get()
            for k in range(3):
                try:
                    w.log.append(k)
                except:
                    counts["a"] += 1
                    continue
            return x * 2

        return fn

    return counting(w, make)


@TABLE.program()
def all_is_suppressed(w: World) -> Call:
    def make(get):
        def fn(x):
            counts = get()
            with contextlib.suppress(BaseException):
                w.log.append(1)
                return x * 2
            counts["a"] += 1
            return x * 3

        return fn

    return counting(w, make)


@TABLE.program()
def handlers_around_handlers(w: World) -> Call:
    def make(get):
        def inner():
            counts = get()
            try:
                w.log.append(1)
            finally:
                counts["a"] += 1

        def fn(x):
            counts = get()
            try:
                inner()
            except BaseException:
                counts["b"] += 1
                raise
            finally:
                counts["b"] += 10
            return x * 2

        return fn

    return counting(w, make)


@TABLE.program()
def work_is_tried_again(w: World) -> Call:
    def make(get):
        def work(x):
            w.log.append("work")
            return x * 2

        def fn(x):
            counts = get()
            for _ in range(3):
                try:
                    return work(x)
                except BaseException:
                    counts["a"] += 1
            return x

        return fn

    return counting(w, make)


@TABLE.program()
def generator_holds_a_lock(w: World) -> Call:
    lock = threading.Lock()

    @contextlib.contextmanager
    def guarded():
        with lock:
            yield

    def fn(x):
        with guarded():
            w.log.append(1)
        return x * 2

    call = w.compile(fn)
    return lambda i: ("held" if lock.locked() else call(w.data(i, 3)), lock.locked())


@TABLE.program()
def locks_are_held_in_two_lines(w: World) -> Call:
    one, other = threading.Lock(), threading.Lock()

    def fn(x):
        with one:
            with other:
                y = x * 2
        return y

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), one.locked(), other.locked())


@TABLE.program()
def object_goes_with_an_error(w: World) -> Call:
    class Noisy:
        def __del__(self):
            w.log.append("gone")

    def fn(x):
        noisy = Noisy()
        w.log.append(1)
        return x * 2, noisy is None

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def object_that_is_made_inside_goes(w: World) -> Call:
    class Noisy:
        def __del__(self):
            w.log.append("gone")

    def fn(x):
        noisy = Noisy()
        y = x * 2
        del noisy
        return y

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def garbage_changes_a_tensor(w: World) -> Call:
    total = w.data(9, 3)

    class Noisy:
        def __init__(self):
            self.itself = self

        def __del__(self):
            total.add_(1)

    def fn(x):
        y = x * 2
        return y + len([[] for _ in range(5000)])

    call = w.compile(fn)

    def step(i):
        if i < 2:
            gc.collect()
            Noisy()
        y = call(w.data(i, 3))
        gc.collect()
        return y, total.clone()

    return step


@TABLE.program()
def signal_comes(w: World) -> Call:
    """Its handler changes a tensor, while Python is busy."""
    total = w.data(9, 3)

    def handler(*_):
        total.add_(1)

    def fn(x):
        y, k = x * 2, 0
        while k < 200_000:
            k += 1
        return y

    call = w.compile(fn)

    def step(i):
        if i:
            return call(w.data(i, 3)), total.clone()
        before = signal.signal(signal.SIGVTALRM, handler)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.002)
        try:
            y = call(w.data(i, 3))
            while signal.getitimer(signal.ITIMER_VIRTUAL)[0]:
                pass
        finally:
            signal.signal(signal.SIGVTALRM, before)
        return y, total.clone()

    return step


@TABLE.program()
def coroutine_is_what_an_object_gives(w: World) -> Call:
    class Doubling:
        async def __call__(self, x):
            await asyncio.sleep(0)
            return x * 2

    call = w.compile(Doubling())
    return lambda i: asyncio.run(call(w.data(i, 3)))


@TABLE.program()
def coroutines_in_turn(w: World) -> Call:
    double, scale = w.compile(lambda x: x * 2), w.compile(lambda x: x * x.sum().item())

    async def task(i):
        y = double(w.data(i, 3))
        await asyncio.sleep(0)
        return scale(y)

    async def all_of(i):
        return await asyncio.gather(*(task(i + k) for k in range(3)))

    return lambda i: asyncio.run(all_of(i))


@TABLE.program()
def method_is_looked_at(w: World) -> Call:
    class Scale:
        by = 2

        def step(self, x):
            return x * self.by

        go = w.compile(step)

    s = Scale()
    return lambda i: (s.go(w.data(i, 3)), s.go == s.go, s.go.__self__ is s, s.go.__name__)
