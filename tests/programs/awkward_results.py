"""Programs whose results are awkward: kept, fed back, shared, very many, empty, of other shapes.

Inner functions are as users write them, without annotations.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


@TABLE.program(variants=1)
def results_feed_the_next_call(w: World) -> Call:
    call = w.compile(lambda x: x * 2 + 1)
    x = w.data(0, 3)

    def step(i):
        nonlocal x
        x = call(call(x))
        return x

    return step


@TABLE.program(variants=1)
def ten_results_kept_over_a_hundred_replays(w: World) -> Call:
    call = w.compile(lambda x, n: (x * n, x + n))

    def step(i):
        kept = []
        for n in range(20):
            made = call(w.data(100 * i + n, 3), float(n))
            if n % 10 < 2:
                kept += made
        return kept

    return step


@TABLE.program()
def result_is_changed_by_the_caller(w: World) -> Call:
    call = w.compile(lambda x: (x * 2, x[1:]))

    def step(i):
        y, part = call(w.data(i, 3))
        y.add_(100)
        part.mul_(0)
        return y, part

    return step


@TABLE.function(variants=1)
def one_result_twice(w: World) -> Fn:
    def fn(x):
        y = x * 2
        return y, y, {"y": y}

    return fn


@TABLE.function(4, 3, variants=1)
def result_and_views_of_it(w: World) -> Fn:
    def fn(x):
        y = x * 2
        return y, y[0], y.t(), y.view(-1)[3:6]

    return fn


@TABLE.function(variants=1)
def constant_is_returned(w: World) -> Fn:
    return lambda x: (w.lib.ones(2), w.lib.zeros(0, 3), x + 1)


@TABLE.function(variants=1)
def tensor_made_from_numbers(w: World) -> Fn:
    return lambda x: x + w.lib.tensor([1.0, 2.0, 3.0])


@TABLE.function(variants=1)
def closure_tensor_is_returned(w: World) -> Fn:
    kept = w.data(9, 3)
    return lambda x: (kept, kept[1:], x + 1)


@TABLE.function()
def closure_tensor_is_changed(w: World) -> Fn:
    total = w.data(9, 3)

    def fn(x):
        total.add_(x)
        return total * 1

    return fn


@TABLE.function(variants=1)
def detached_shares_memory(w: World) -> Fn:
    def fn(x):
        y = x.detach()
        y.add_(1)
        return x * 2, y

    return fn


@TABLE.function(variants=1)
def clone_does_not_share(w: World) -> Fn:
    def fn(x):
        y = x.clone()
        y.add_(1)
        return x * 2, y

    return fn


@TABLE.function(4, 3, variants=1)
def chunks_are_changed(w: World) -> Fn:
    def fn(x):
        a, b = x.chunk(2)
        a.add_(1)
        b.mul_(a)
        return x.split(1)[3], a

    return fn


@TABLE.function(4, 3, variants=1)
def unbound_rows_are_changed(w: World) -> Fn:
    def fn(x):
        rows = x.unbind(0)
        rows[0].add_(1)
        rows[3].copy_(rows[0])
        return rows[1], x * 1

    return fn


@TABLE.function(4, 3, variants=1)
def write_by_mask_and_index(w: World) -> Fn:
    def fn(x):
        x[1] = 0
        x[:, 0] = x[:, 1]
        x.masked_fill_(x > 1, -1.0)
        return x + 1

    return fn


@TABLE.function(4, 3, torch=False)
def contiguous_of_what_is(w: World) -> Fn:
    def fn(x):
        same, other = x.contiguous(), x.t().contiguous()
        same.add_(1)
        other.add_(2)
        return x * 1, same, other

    return fn


@TABLE.function(4, 3)
def reshape_is_a_view_or_not(w: World) -> Fn:
    def fn(x):
        x.reshape(12).add_(1)
        x.t().reshape(12).add_(100)
        return x * 1

    return fn


@TABLE.function(variants=1)
def to_of_the_same_dtype(w: World) -> Fn:
    def fn(x):
        y = x.to(w.lib.float32)
        y.add_(1)
        return y, x.float(), x.to(w.lib.float64)

    return fn


@TABLE.program()
def data_of_a_tensor_is_changed(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        p.data.add_(x)
        return p * 2

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3)).detach()


@TABLE.program()
def data_of_a_tensor_is_set(w: World) -> Call:
    p = w.data(5, 3)

    def fn(x):
        p.data = x * 2
        return p + 1

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), p)


@TABLE.program()
def caller_swaps_the_data(w: World) -> Call:
    p = w.data(5, 3)
    call = w.compile(lambda x: x + p)

    def step(i):
        if i in (1, 3):
            p.data = w.data(20 + i, 3)
        return call(w.data(i, 3))

    return step


@TABLE.function(follows=True)
def views_across_a_break(w: World) -> Fn:
    def fn(x):
        y = x * 2
        part = y[1:]
        n = y.sum().item()
        part.add_(n)
        return y, part

    return fn


@TABLE.function(follows=True)
def input_view_across_breaks(w: World) -> Fn:
    def fn(x):
        part = x[:2]
        for _ in range(3):
            part.add_(1)
            if x.sum() > 100:
                break
            x.mul_(2)
        return part, x[1:]

    return fn


@TABLE.program()
def list_of_tensors_grows(w: World) -> Call:
    cache = []

    def fn(x):
        cache.append(x)
        return w.lib.cat(cache)

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def cache_is_an_argument_that_grows(w: World) -> Call:
    def fn(cache, x):
        cache = [*cache, x * 2]
        return cache, w.lib.stack(cache).sum(0)

    call = w.compile(fn)
    cache = []

    def step(i):
        nonlocal cache
        cache, y = call(cache, w.data(i, 3))
        return y

    return step


@TABLE.program(variants=1)
def very_many_inputs(w: World) -> Call:
    call = w.compile(lambda parts: sum(parts))
    return lambda i: call([w.data(100 * i + k, 2) for k in range(100)])


@TABLE.program(variants=1)
def very_many_results(w: World) -> Call:
    call = w.compile(lambda x: [x + 1 for _ in range(20)])
    return lambda i: call(w.data(i, 2))


@TABLE.program()
def buffer_is_reused_by_the_caller(w: World) -> Call:
    x = w.data(0, 3)
    call = w.compile(lambda x: x * 2)

    def step(i):
        x.copy_(w.data(i, 3))
        return call(x)

    return step


@TABLE.program()
def written_into_what_is_given(w: World) -> Call:
    def fn(x, out):
        out.copy_(x * 2)
        out[0] = 7

    call = w.compile(fn)

    def step(i):
        out = w.lib.zeros(3)
        return call(w.data(i, 3), out), out

    return step


@TABLE.program()
def swap_of_two_tensors(w: World) -> Call:
    def fn(a, b):
        old = a.clone()
        a.copy_(b)
        b.copy_(old)
        return b, a

    call = w.compile(fn)
    a, b = w.data(0, 3), w.data(1, 3)
    return lambda i: call(a, b)


@TABLE.program()
def results_die_in_the_middle(w: World) -> Call:
    call = w.compile(lambda x: [x * k for k in (1.0, 2.0, 3.0)])

    def step(i):
        first, _, third = call(w.data(i, 3))
        gc.collect()
        again = call(w.data(i + 9, 3))
        return first, third, again[1]

    return step


@TABLE.function(0, 3, variants=1)
def empty_tensor(w: World) -> Fn:
    return lambda x: (x * 2, x.sum(), x.sum(0), w.lib.cat([x, w.lib.ones(1, 3)]))


@TABLE.program()
def sometimes_empty(w: World) -> Call:
    call = w.compile(lambda x: (x.sum(), x * 2))
    return lambda i: call(w.data(i, i % 3, 2))


@TABLE.program()
def shapes_change(w: World) -> Call:
    call = w.compile(lambda x: x.reshape(-1, x.shape[0]).sum(0) / x.shape[1])
    return lambda i: call(w.data(i, 2 + i, 3))


@TABLE.program()
def rank_and_dtype_change(w: World) -> Call:
    call = w.compile(lambda x: x + x)
    return lambda i: call([w.data(i, 3), w.data(i, 2, 2), w.data(i).double(), w.data(i, 3).long(),
                           w.data(i, 3) > 0][i])  # fmt: skip


@TABLE.program()
def size_from_an_argument(w: World) -> Call:
    call = w.compile(lambda x, n: w.lib.zeros(n, 3) + x[:n].sum())
    return lambda i: call(w.data(i, 4), 1 + i % 3)


@TABLE.program()
def size_from_another_tensor(w: World) -> Call:
    call = w.compile(lambda x, y: x[: len(y)] * y.shape[-1] + y.numel())
    return lambda i: call(w.data(i, 4), w.data(i, 2 + i % 2))
