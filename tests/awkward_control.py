"""Programs whose flow of control is awkward: branches, loops, exceptions, recursion, generators.

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


@TABLE.function(follows=True)
def branch_on_a_sum(w: World) -> Fn:
    def fn(x):
        if x.sum() > 0:
            return x * 2
        return x - 1

    return fn


@TABLE.function(follows=True)
def early_return_by_data(w: World) -> Fn:
    def fn(x):
        y = x.exp()
        if y.amax() > 2:
            return y, "large"
        y = y + 1
        if y.amin() < 1.5:
            return y, "small"
        return y * 3, "between"

    return fn


@TABLE.function(follows=True)
def while_on_a_tensor(w: World) -> Fn:
    def fn(x):
        steps = 0
        while x.abs().amax() > 0.25:
            x = x / 2
            steps += 1
        return x, steps

    return fn


@TABLE.function(follows=True)
def loop_of_data_dependent_length(w: World) -> Fn:
    def fn(x):
        n = int(x.abs().sum().item()) + 1
        total = x * 0
        for i in range(n):
            total = total + x * i
        return total

    return fn


@TABLE.function(follows=True)
def break_out_of_a_loop(w: World) -> Fn:
    def fn(x):
        for i in range(10):  # noqa: B007
            x = x * 1.5
            if x.abs().sum() > 5:
                break
        else:
            return x, -1
        return x, i

    return fn


@TABLE.function(follows=True)
def continue_in_a_loop(w: World) -> Fn:
    def fn(x):
        total = x.sum() * 0
        for row in x:
            if row < 0:
                continue
            total = total + row
        return total

    return fn


@TABLE.function(follows=True)
def conditional_expression(w: World) -> Fn:
    return lambda x: x * 2 if x[0] > 0 else -x


@TABLE.function(follows=True)
def boolean_operators(w: World) -> Fn:
    return lambda x: (x > 9).any() or (x < 0).all() or x.sum()


@TABLE.function(follows=True)
def not_of_a_tensor(w: World) -> Fn:
    return lambda x: (not x.sum() > 0, x + 1)


@TABLE.function(follows=True)
def any_and_all_of_python(w: World) -> Fn:
    return lambda x: (any(v > 1 for v in x), all(v > -3 for v in x), x * 2)


@TABLE.function(follows=True)
def assert_on_data(w: World) -> Fn:
    def fn(x):
        y = x + 1
        assert y.sum() > 2, "too small"
        return y

    return fn


@TABLE.function(follows=True)
def match_on_a_value(w: World) -> Fn:
    def fn(x):
        match int((x > 0).sum()):
            case 0:
                return x
            case 1 | 2:
                return x * 10
            case n:
                return x + n

    return fn


@TABLE.function(follows=True)
def walrus_in_a_condition(w: World) -> Fn:
    def fn(x):
        if (s := x.sum()) > 0:
            return s * x
        return s + x

    return fn


@TABLE.program(variants=2)
def python_flag_flips(w: World) -> Call:
    call = w.compile(lambda x, flag: x * 2 if flag else x - 1)
    return lambda i: call(w.data(i, 3), i % 2 == 0)


@TABLE.program()
def branch_on_a_number(w: World) -> Call:
    call = w.compile(lambda x, n: x * n if n > 2 else x - n)
    return lambda i: call(w.data(i, 3), i)


@TABLE.program()
def trip_count_is_an_argument(w: World) -> Call:
    def fn(x, n):
        for _ in range(n):
            x = x * 1.1
        return x

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3), 1 + i % 3)


@TABLE.program(variants=2)
def branch_on_none(w: World) -> Call:
    call = w.compile(lambda x, mask=None: x if mask is None else x * mask)
    return lambda i: call(w.data(i, 3), *([w.data(9 + i, 3)] if i % 2 else []))


@TABLE.program()
def exception_of_the_user_half_way(w: World) -> Call:
    class TooLarge(ValueError):
        pass

    def fn(x, seen):
        x.add_(1)
        seen.append(x.sum())
        if x.sum() > 6:
            raise TooLarge(f"sum of {len(seen)}")
        x.mul_(2)
        return x * 3

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3), w.log)


@TABLE.program()
def exception_without_a_break(w: World) -> Call:
    def fn(x, wrong):
        x.add_(1)
        if wrong:
            raise KeyError("half-way")
        return x * 3

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3), i % 2 == 1)


@TABLE.function()
def exception_caught_inside(w: World) -> Fn:
    def fn(x):
        try:
            x.add_(1)
            raise ValueError("inside")
        except ValueError as error:
            return x * 2, str(error)

    return fn


@TABLE.function()
def finally_around_ops(w: World) -> Fn:
    def fn(x):
        try:
            return x * 2
        finally:
            x.add_(1)

    return fn


@TABLE.function()
def finally_around_a_break(w: World) -> Fn:
    def fn(x):
        try:
            y = x * 2
            if y.sum() > 0:
                raise RuntimeError("positive")
            return y
        finally:
            x.add_(1)
            w.log.append(x.clone())

    return fn


@TABLE.function()
def exception_raised_from_another(w: World) -> Fn:
    def fn(x):
        try:
            {}["key"]
        except KeyError as error:
            if x.sum() > 0:
                raise LookupError("outer") from error
        return x + 1

    return fn


@TABLE.function(torch=False)
def wrong_shape_raises_in_the_middle(w: World) -> Fn:
    def fn(x):
        x.mul_(2)
        return x + w.lib.ones(4)

    return fn


@TABLE.function()
def wrong_shape_is_caught(w: World) -> Fn:
    def fn(x):
        y = x * 2
        try:
            return y + w.lib.ones(4)
        except Exception:
            return y - 1

    return fn


@TABLE.function()
def except_base_exception_around_a_break(w: World) -> Fn:
    def fn(x):
        try:
            value = (x * 2).sum().item()
        except BaseException:
            return x
        return x * value

    return fn


@TABLE.function()
def bare_except_around_a_print(w: World) -> Fn:
    def fn(x):
        try:
            print("inside")
            y = x * 2
        except:  # noqa: E722
            print("caught")
            return x
        return y

    return fn


@TABLE.function()
def finally_that_counts_around_a_break(w: World) -> Fn:
    def fn(x):
        try:
            return x * (x * 2).sum().item()
        finally:
            w.log.append(len(w.log))

    return fn


@TABLE.function()
def suppressed_exception(w: World) -> Fn:
    def fn(x):
        with contextlib.suppress(ZeroDivisionError):
            x = x * 2
            x = x * (1 / 0)
        return x

    return fn


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
        parts = filter(lambda p: p.shape[0] > 0, map(lambda i: x[i:], range(4)))
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
