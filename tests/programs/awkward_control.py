"""Programs whose flow of control is awkward: branches, loops, exceptions.

Inner functions are as users write them, without annotations.
"""

from __future__ import annotations

import contextlib
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
