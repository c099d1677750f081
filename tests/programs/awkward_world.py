"""Programs that meet the world: print, logs, time, environment, warnings, random numbers.

Inner functions are as users write them, without annotations.
"""

# pyright: reportOptionalOperand=none, reportAttributeAccessIssue=none, reportOperatorIssue=none

from __future__ import annotations

import logging
import os
import random
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


@TABLE.function(follows=True)
def print_in_the_middle(w: World) -> Fn:
    def fn(x):
        y = x * 2
        print("shape", tuple(y.shape), "sum", f"{y.sum().item():.3f}")
        return y + 1

    return fn


@TABLE.function(follows=True)
def print_before_and_after(w: World) -> Fn:
    def fn(x):
        print("begin")
        x.add_(1)
        print("end")
        return x * 2

    return fn


@TABLE.function()
def logging_inside(w: World) -> Fn:
    class Keep(logging.Handler):
        def emit(self, record):
            w.log.append(record.getMessage())

    logger = logging.Logger("awkward")
    logger.addHandler(Keep())

    def fn(x):
        logger.info("%d elements", x.numel())
        return x * 2

    return fn


@TABLE.function()
def logging_that_is_off(w: World) -> Fn:
    logger = logging.Logger("awkward", level=logging.ERROR)

    def fn(x):
        logger.debug("nothing")
        return x * 2

    return fn


@TABLE.function()
def standard_output_is_written(w: World) -> Fn:
    def fn(x):
        sys.stdout.write("written\n")
        return x * 2

    return fn


@TABLE.function()
def time_is_taken(w: World) -> Fn:
    def fn(x):
        start = time.perf_counter()
        y = x * 2
        return y, time.perf_counter() >= start

    return fn


@TABLE.program()
def environment_decides(w: World) -> Call:
    call = w.compile(lambda x: x * 2 if os.environ.get("OSTINATO_AWKWARD") else x)

    def step(i):
        os.environ["OSTINATO_AWKWARD"] = "1" if i % 2 else ""
        try:
            return call(w.data(i, 3))
        finally:
            del os.environ["OSTINATO_AWKWARD"]

    return step


@TABLE.function()
def warning_each_time(w: World) -> Fn:
    def fn(x):
        warnings.warn("look out", UserWarning, stacklevel=2)
        return x * 2

    return fn


@TABLE.function()
def warnings_caught_inside(w: World) -> Fn:
    def fn(x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.warn("quiet", stacklevel=1)
            return x * 2

    return fn


@TABLE.function()
def random_of_python(w: World) -> Fn:
    return lambda x: x * random.random() if random.random() > 0.5 else x + random.randint(1, 5)


@TABLE.function()
def random_of_numpy(w: World) -> Fn:
    return lambda x: x * float(np.random.rand())


@TABLE.function()
def own_generator_of_numpy(w: World) -> Fn:
    rng = np.random.default_rng(3)
    return lambda x: x * rng.random()


@TABLE.function(torch=False)
def random_tensors(w: World) -> Fn:
    return lambda x: (w.lib.rand(3) + x, w.lib.randn(2, 2), w.lib.randint(0, 9, (3,)))


@TABLE.function(torch=False)
def seeded_inside(w: World) -> Fn:
    def fn(x):
        w.lib.manual_seed(7)
        return x + w.lib.rand(3)

    return fn


@TABLE.program(torch=False)
def seeded_between_calls(w: World) -> Call:
    call = w.compile(lambda x: x + w.lib.rand(3))

    def step(i):
        if i % 2 == 0:
            w.lib.manual_seed(7)
        return call(w.data(i, 3))

    return step


@TABLE.program(torch=False)
def generator_of_random_numbers_is_given(w: World) -> Call:
    generator = w.lib.Generator()
    generator.manual_seed(5)
    call = w.compile(lambda x, g: x + w.lib.rand(3, generator=g))
    return lambda i: call(w.data(i, 3), generator)


@TABLE.program(torch=False)
def state_of_the_generator_is_restored(w: World) -> Call:
    def fn(x):
        state = w.lib.get_rng_state()
        a = w.lib.rand(3)
        w.lib.set_rng_state(state)
        return a, w.lib.rand(3), x * 2

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))


@TABLE.program(torch=False)
def dropout_in_training_and_not(w: World) -> Call:
    net = w.lib.nn.Dropout(0.5)
    call = w.compile(lambda x: net(x))

    def step(i):
        net.train(i % 2 == 0)
        return call(w.data(i, 8))

    return step


@TABLE.program(torch=False)
def random_numbers_on_one_branch(w: World) -> Call:
    call = w.compile(lambda x, on: x + w.lib.rand(3) if on else x)
    return lambda i: call(w.data(i, 3), i % 2 == 0)
