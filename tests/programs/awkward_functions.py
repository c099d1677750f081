"""Programs that recurse, generate, comprehend, and pass functions on.

Inner functions are as users write them, without annotations.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections.abc import Callable
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


@TABLE.function()
def recursion_by_depth(w: World) -> Fn:
    def power(x, n):
        return x if n == 0 else power(x, n - 1) * x

    return lambda x: power(x, 4)


@TABLE.function(follows=True)
def recursion_by_data(w: World) -> Fn:
    def halve(x):
        return x if x.abs().sum() < 1 else halve(x / 2)

    return halve


@TABLE.program()
def compiled_function_calls_itself(w: World) -> Call:
    def power(x, n):
        return x if n == 0 else call(x, n - 1) * x

    call = w.compile(power)
    return lambda i: call(w.data(i, 3), 2 + i % 2)


@TABLE.function()
def recursion_over_a_tree(w: World) -> Fn:
    def total(tree):
        return sum(map(total, tree)) if isinstance(tree, (list, tuple)) else tree

    return lambda x: total([x, (x * 2, [x + 1]), [[x]]])


@TABLE.function()
def generator_consumed_inside(w: World) -> Fn:
    def steps(x):
        for i in range(3):
            yield x * i

    return lambda x: sum(steps(x))


@TABLE.function(follows=True)
def generator_with_a_break(w: World) -> Fn:
    def halves(x):
        while x.abs().sum() > 1:
            x = x / 2
            yield x

    return lambda x: list(halves(x))


@TABLE.function()
def generator_that_receives(w: World) -> Fn:
    def running(x):
        total = x
        while True:
            total = total + (yield total)

    def fn(x):
        stream = running(x)
        next(stream)
        return [stream.send(x * i) for i in range(3)]

    return fn


@TABLE.function()
def yield_from_another(w: World) -> Fn:
    def inner(x):
        yield x
        return x * 2

    def outer(x):
        y = yield from inner(x)
        yield y + 1

    return lambda x: tuple(outer(x))


@TABLE.program()
def generator_is_the_compiled_function(w: World) -> Call:
    def fn(x):
        for i in range(3):
            w.log.append(i)
            yield x * i

    call = w.compile(fn)
    return lambda i: list(call(w.data(i, 3)))


@TABLE.program()
def generator_is_an_argument(w: World) -> Call:
    call = w.compile(lambda parts: sum(parts))
    return lambda i: call(w.data(k, 3) for k in range(i, i + 3))


@TABLE.program()
def iterator_is_an_argument(w: World) -> Call:
    call = w.compile(lambda parts: next(parts) * 2)
    rest = iter([w.data(i, 3) for i in range(7)])
    return lambda i: call(rest)


@TABLE.function()
def generator_is_returned(w: World) -> Fn:
    return lambda x: (x * i for i in range(2))


@TABLE.function()
def list_comprehension(w: World) -> Fn:
    return lambda x: [x * i for i in range(3) if i != 1]


@TABLE.function()
def dict_comprehension(w: World) -> Fn:
    return lambda x: {f"k{i}": x + i for i in range(3)}


@TABLE.function()
def nested_comprehension(w: World) -> Fn:
    return lambda x: [[x * i + j for j in range(2)] for i in range(2)]


@TABLE.function()
def lambdas_in_a_list(w: World) -> Fn:
    def fn(x):
        for f in [lambda v: v + 1, lambda v: v * 2, lambda v: v.tanh()]:
            x = f(x)
        return x

    return fn


@TABLE.function()
def late_binding_of_lambdas(w: World) -> Fn:
    def fn(x):
        fs = [lambda: x * i for i in range(3)]  # noqa: B023
        return [f() for f in fs]

    return fn


@TABLE.function()
def map_filter_and_reduce(w: World) -> Fn:
    def fn(x):
        rows: Any = map(lambda i: x[i:], range(4))
        parts = filter(lambda p: p.shape[0] > 0, rows)
        return functools.reduce(lambda a, b: a + b.sum(), parts, x)

    return fn


@TABLE.function()
def zip_enumerate_and_chain(w: World) -> Fn:
    def fn(x):
        rows = [a * b + i for i, (a, b) in enumerate(zip(x, x * 2, strict=True))]
        return list(itertools.chain(rows, itertools.islice(rows, 1)))

    return fn


@TABLE.function()
def star_arguments(w: World) -> Fn:
    def inner(*parts, scale=1, **named):
        return sum(parts) * scale + named["bias"]

    return lambda x: inner(*[x, x * 2], scale=3, **{"bias": x[0]})


@TABLE.program()
def async_function(w: World) -> Call:
    async def fn(x):
        y = x * 2
        await asyncio.sleep(0)
        w.log.append(y.sum())
        return y + 1

    call = w.compile(fn)
    return lambda i: asyncio.run(call(w.data(i, 3)))


@TABLE.function()
def coroutine_run_inside(w: World) -> Fn:
    async def double(x):
        await asyncio.sleep(0)
        return x * 2

    return lambda x: asyncio.run(double(x)) + 1


@TABLE.function()
def stop_iteration_by_hand(w: World) -> Fn:
    def fn(x):
        rows = iter([x, x * 2])
        total = x * 0
        while True:
            try:
                total = total + next(rows)
            except StopIteration:
                return total

    return fn


@TABLE.function()
def error_of_an_error_handler(w: World) -> Fn:
    def fn(x):
        try:
            raise ValueError("first")
        except ValueError:
            x.mul_(3)
            raise TypeError("second") from None

    return fn


@TABLE.function()
def return_in_finally_after_a_break(w: World) -> Fn:
    def fn(x):
        for i in range(3):
            try:
                x = x + 1
                if x.sum() > 6:
                    return x, i
            finally:
                x = x * 2
        return x

    return fn


@TABLE.function()
def exit_stack_of_the_standard_library(w: World) -> Fn:
    def fn(x):
        with contextlib.ExitStack() as stack:
            stack.callback(x.add_, 1)
            y = x * 2
        return y

    return fn


@TABLE.function()
def generator_is_closed(w: World) -> Fn:
    def steps(x):
        try:
            while True:
                x = x + 1
                yield x
        finally:
            w.log.append("closed")

    def fn(x):
        made = steps(x)
        first, second = next(made), next(made)
        made.close()
        return first, second

    return fn


@TABLE.program(variants=2)
def defaults_of_keywords_change(w: World) -> Call:
    def fn(x, *, k=2.0):
        return x * k

    call = w.compile(fn)

    def step(i):
        if i == 2:
            fn.__kwdefaults__ = {"k": 5.0}
        return call(w.data(i, 3))

    return step
