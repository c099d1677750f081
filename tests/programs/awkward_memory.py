"""Programs whose memory is awkward: views, overlapping arguments, what is changed in place.

Inner functions are as users write them, without annotations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


@TABLE.function(variants=1)
def input_changed_in_place(w: World) -> Fn:
    def fn(x):
        x.add_(1)
        return x * 2

    return fn


@TABLE.function(variants=1)
def input_is_returned(w: World) -> Fn:
    return lambda x: x


@TABLE.function(variants=1)
def input_changed_and_returned(w: World) -> Fn:
    return lambda x: (x.mul_(2), x, x + 1)


@TABLE.function(4, 3, variants=1)
def view_of_input_is_returned(w: World) -> Fn:
    return lambda x: (x[1], x.t(), x.view(-1)[2:5])


@TABLE.function(4, 3, variants=1)
def view_of_input_is_changed(w: World) -> Fn:
    def fn(x):
        x[1:3].mul_(2)
        x.t()[0].add_(5)
        return x.sum()

    return fn


@TABLE.function(4, 4, variants=1)
def view_with_gaps_is_changed(w: World) -> Fn:
    def fn(x):
        part = x[::2, 1::2]
        part.add_(10)
        return part * 2, x

    return fn


@TABLE.function(4, 3)
def rows_written_in_a_loop(w: World) -> Fn:
    def fn(x):
        out = w.lib.zeros(4, 3)
        for i in range(4):
            out[i] = x[i] * i
        return out

    return fn


@TABLE.function(3, 3, variants=1)
def transposed_write(w: World) -> Fn:
    def fn(x):
        x.t().copy_(x.clone())
        return x

    return fn


@TABLE.function(variants=1)
def expanded_tensor_is_read(w: World) -> Fn:
    return lambda x: x.expand(2, 3) * 2 + x.unsqueeze(1).expand(3, 3)[:2]


@TABLE.function(variants=1)
def expanded_view_is_returned(w: World) -> Fn:
    return lambda x: x.expand(4, 3)


@TABLE.function(8)
def windows_that_overlap(w: World) -> Fn:
    def fn(x):
        windows = x.as_strided((3, 4), (2, 1), 0)
        return windows * 2, windows.sum(1)

    return fn


@TABLE.function(torch=False)
def expanded_tensor_is_written(w: World) -> Fn:
    def fn(x):
        y = x.expand(2, 3)
        y.add_(1)
        return y

    return fn


@TABLE.program()
def overlapping_slices_as_arguments(w: World) -> Call:
    def fn(a, b):
        a.add_(1)
        b.mul_(2)
        return a + b

    call = w.compile(fn)

    def step(i):
        base = w.data(i, 8)
        return call(base[:4], base[2:6]), base

    return step


@TABLE.program()
def sometimes_overlapping_arguments(w: World) -> Call:
    def fn(a, b):
        a.add_(1)
        return a * b

    call = w.compile(fn)

    def step(i):
        base = w.data(i, 8)
        return call(base[:4], base[4:] if i % 2 else base[2:6]), base

    return step


@TABLE.program()
def same_tensor_twice(w: World) -> Call:
    def fn(a, b):
        a.add_(1)
        return a * b

    call = w.compile(fn)

    def step(i):
        x = w.data(i, 3)
        return call(x, x if i % 2 == 0 else w.data(i + 9, 3))

    return step


@TABLE.program()
def whole_and_part_as_arguments(w: World) -> Call:
    def fn(whole, part):
        part.add_(1)
        return whole * 2

    call = w.compile(fn)

    def step(i):
        x = w.data(i, 2, 3)
        return call(x, x[i % 2])

    return step


@TABLE.program()
def argument_is_also_in_a_closure(w: World) -> Call:
    kept = w.data(7, 3)

    def fn(x):
        x.add_(1)
        return kept * 2

    call = w.compile(fn)
    return lambda i: call(kept if i % 2 else w.data(i, 3))


@TABLE.program()
def view_of_a_closure_tensor_as_argument(w: World) -> Call:
    kept = w.data(7, 4)

    def fn(x):
        x.add_(1)
        return kept * 2

    call = w.compile(fn)
    return lambda i: call(kept[1:3] if i % 2 else w.data(i, 2))


@TABLE.program()
def strides_change_between_calls(w: World) -> Call:
    call = w.compile(lambda x: (x * 2, x.t() + 1, x.reshape(-1)))
    return lambda i: call(w.data(i, 3, 3).t() if i % 2 else w.data(i, 3, 3))


@TABLE.program()
def offset_changes_between_calls(w: World) -> Call:
    base = w.data(0, 12)
    call = w.compile(lambda x: (x * 2, x.add_(1)))
    return lambda i: call(base[i : i + 3])


@TABLE.program()
def overlapping_slices_are_scaled(w: World) -> Call:
    def fn(x, y, z):
        x.add_(1)
        return w.lib.add(y, z, alpha=3.0), w.lib.sub(z, y, alpha=2.0)

    call = w.compile(fn)

    def step(i):
        x = w.data(i, 8)
        return call(x[:4], x[2:6], w.data(i + 9, 4))

    return step


@TABLE.program()
def array_of_what_is_changed(w: World) -> Call:
    total = w.data(7, 3)
    array = total.detach().numpy()

    def fn(x):
        total.add_(x)
        w.log.append(float(array.sum()))
        total.mul_(2)
        return total + 1, total.detach() * 3

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))
