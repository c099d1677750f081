"""Programs in company: threads, other compiled functions, finalizers, hooks.

Inner functions are as users write them, without annotations.
"""

# pyright: reportOptionalOperand=none, reportAttributeAccessIssue=none, reportOperatorIssue=none

from __future__ import annotations

import cProfile
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


@TABLE.program()
def threads_call_one_function(w: World) -> Call:
    call = w.compile(lambda x, n: x * n + 1)

    def step(i):
        made = [None] * 4

        def work(k):
            made[k] = call(w.lib.full((3,), float(k)), float(i))

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return made

    return step


@TABLE.program()
def threads_call_different_functions(w: World) -> Call:
    calls = [w.compile(lambda x: x * 2), w.compile(lambda x: x * x.sum().item())]

    def step(i):
        made = [None] * 4

        def work(k):
            made[k] = calls[k % 2](w.lib.full((3,), float(k + i)))

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return made

    return step


@TABLE.function()
def thread_is_started_inside(w: World) -> Fn:
    def fn(x):
        made = []
        y = x * 2
        thread = threading.Thread(target=lambda: made.append(len(made)))
        thread.start()
        thread.join()
        return y + len(made)

    return fn


@TABLE.function()
def lock_is_held(w: World) -> Fn:
    lock = threading.Lock()

    def fn(x):
        with lock:
            return x * 2, lock.locked()

    return fn


@TABLE.program()
def compiled_function_inside_another(w: World) -> Call:
    inner = w.compile(lambda x: x * 2)
    outer = w.compile(lambda x: inner(x) + inner(x + 1))
    return lambda i: (outer(w.data(i, 3)), inner(w.data(i, 3)))


@TABLE.program()
def inner_function_breaks(w: World) -> Call:
    inner = w.compile(lambda x: x * x.sum().item())
    outer = w.compile(lambda x: inner(x * 2) + 1)
    return lambda i: outer(w.data(i, 3))


@TABLE.program()
def compile_inside_a_compiled_function(w: World) -> Call:
    call = w.compile(lambda x: w.compile(lambda y: y * 2)(x) + 1)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def compiled_twice_over(w: World) -> Call:
    call = w.compile(w.compile(lambda x: x * 2))
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def method_of_a_module_calls_a_compiled_one(w: World) -> Call:
    class Net(w.lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = w.compile(lambda x: x * 2)

        def forward(self, x):
            return self.inner(x) + 1

    net = Net()
    call = w.compile(net)
    return lambda i: call(w.data(i, 3))


@TABLE.function()
def weak_reference_to_a_result(w: World) -> Fn:
    def fn(x):
        y = x * 2
        ref = weakref.ref(y)
        z = ref() + 1
        del y
        gc.collect()
        return z, ref() is None

    return fn


@TABLE.program()
def weak_cache_of_results(w: World) -> Call:
    cache = weakref.WeakValueDictionary()

    def fn(x, key):
        found = cache.get(key)
        if found is None:
            found = cache[key] = x * 2
        return found

    call = w.compile(fn)
    kept = []

    def step(i):
        kept.append(call(w.data(i, 3), i % 2))
        return kept[-1], len(cache)

    return step


@TABLE.program()
def finalizer_of_the_user(w: World) -> Call:
    class Noisy:
        def __init__(self, name):
            self.name = name

        def __del__(self):
            w.log.append(self.name)

    held = {}

    def fn(x):
        held.clear()
        return x * 2

    call = w.compile(fn)

    def step(i):
        held["it"] = Noisy(f"object {i}")
        return call(w.data(i, 3))

    return step


@TABLE.program()
def finalizer_runs_while_it_is_captured(w: World) -> Call:
    class Noisy:
        def __del__(self):
            w.log.append(len(w.log))

    call = w.compile(lambda parts: parts.pop(0) and parts[0] * 2)

    def step(i):
        return call([Noisy(), w.data(i, 3)])

    return step


@TABLE.function()
def garbage_is_collected_inside(w: World) -> Fn:
    def fn(x):
        y = x * 2
        gc.collect()
        return y + 1

    return fn


@TABLE.program()
def profiled_call(w: World) -> Call:
    call = w.compile(lambda x: (x * 2).tanh())

    def step(i):
        profile = cProfile.Profile()
        profile.enable()
        try:
            return call(w.data(i, 3))
        finally:
            profile.disable()

    return step


@TABLE.program()
def hook_of_the_user_stays(w: World) -> Call:
    seen = []

    def hook(frame, event, arg):
        if event == "call" and frame.f_code.co_name == "after":
            seen.append("after")

    def after():
        return None

    call = w.compile(lambda x: x * 2)

    def step(i):
        before = sys.getprofile()
        sys.setprofile(hook)
        try:
            y = call(w.data(i, 3))
            after()
        finally:
            sys.setprofile(before)
        return y, len(seen)

    return step


@TABLE.function()
def exit_is_asked_for(w: World) -> Fn:
    def fn(x):
        x.add_(1)
        try:
            raise SystemExit(3)
        except SystemExit as error:
            return x * 2, error.code

    return fn


@TABLE.program()
def exit_leaves_the_function(w: World) -> Call:
    def fn(x):
        x.add_(1)
        raise SystemExit(3)

    call = w.compile(fn)

    def step(i):
        x = w.data(i, 3)
        try:
            call(x)
        except SystemExit as error:
            return error.code, x

    return step


@TABLE.program()
def import_inside(w: World) -> Call:
    def fn(x):
        import math
        from collections import OrderedDict

        return x * math.pi, OrderedDict(b=x, a=x + 1)

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def code_is_executed_inside(w: World) -> Call:
    def fn(x):
        return eval("x * 2 + k", {"x": x, "k": len(w.log)})

    call = w.compile(fn)

    def step(i):
        w.log.append(i)
        return call(w.data(i, 3))

    return step
