"""Programs that ask tensors for values, or hand them to other code: NumPy, DLPack, text, copies.

Inner functions are as users write them, without annotations.
"""

# pyright: reportIndexIssue=none, reportArgumentType=none

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

import ostinato.nn.functional as F
from awkward import Call, Program, Table, World

TABLE = Table()
Fn = Callable[..., Any]


@TABLE.function(follows=True)
def item_of_a_sum(w: World) -> Fn:
    return lambda x: x * x.sum().item()


@TABLE.function(follows=True)
def float_int_and_bool(w: World) -> Fn:
    def fn(x):
        s = x.sum()
        return float(s), int(s), bool(s), x * float(s)

    return fn


@TABLE.function(follows=True)
def tensor_as_an_index(w: World) -> Fn:
    def fn(x):
        k = x.argmax()
        return [10, 20, 30][k], x[int(k)], range(5)[k]

    return fn


@TABLE.function(torch=False)
def text_of_a_tensor(w: World) -> Fn:
    return lambda x: (str(x > 0), repr((x > 0).sum()), x + 1)


@TABLE.function()
def formatted_values(w: World) -> Fn:
    return lambda x: (f"{x.sum().item():.3f}", format(x[0].item(), ".2e"), f"{float(x[1]):.2f}")


@TABLE.function()
def rounded_and_mathematical(w: World) -> Fn:
    return lambda x: (round(x[0].item(), 2), math.sqrt(x.abs().sum()), math.floor(x[1].item()))


@TABLE.function()
def sorted_by_value(w: World) -> Fn:
    return lambda x: (sorted(x.tolist()), sorted(x, key=float), max(x), min(x, key=abs))


@TABLE.function()
def tolist_and_back(w: World) -> Fn:
    return lambda x: w.lib.tensor([v * 2 for v in x.tolist()]) + x


@TABLE.function(4, 3)
def length_and_iteration(w: World) -> Fn:
    def fn(x):
        first, *rest = x
        a, b, c = first
        return len(x), [row.sum() for row in x], a + b * c, len(rest), list(reversed(rest))

    return fn


@TABLE.function()
def wrong_unpacking(w: World) -> Fn:
    def fn(x):
        try:
            a, b = x
        except ValueError as error:
            return str(error), x * 2
        return a, b

    return fn


@TABLE.function()
def membership_and_equality(w: World) -> Fn:
    def fn(x):
        s = x.sum()
        return s in [1.0, s], x is x, (x == x).all().item(), s == s, (x != x).any()

    return fn


@TABLE.function()
def tensors_as_keys(w: World) -> Fn:
    def fn(x):
        y = x * 2
        names = {x: "x", y: "y"}
        return names[x], names[y], len({x, x, y}), hash(x) == hash(x), y

    return fn


@TABLE.function(torch=False)
def truth_of_an_empty_or_long_tensor(w: World) -> Fn:
    def fn(x):
        try:
            return bool(x)
        except Exception as error:
            return type(error).__name__, x * 2

    return fn


@TABLE.function(4, 3)
def shape_dtype_and_stride(w: World) -> Fn:
    def fn(x):
        y = x.t() * 1
        n, m = x.shape
        about = x.dim(), x.numel(), x.stride(), x.is_contiguous(), x.is_floating_point()
        return tuple(x.shape), n * m, x.size(0), x.size(-1), about, y

    return fn


@TABLE.function()
def isinstance_of_a_tensor(w: World) -> Fn:
    return lambda x: (isinstance(x, w.lib.Tensor), callable(x), hasattr(x, "shape"), x * 2)


@TABLE.function()
def numpy_of_a_result(w: World) -> Fn:
    return lambda x: ((x * 2).numpy(), np.asarray(x + 1), np.sum((x * 3).numpy()))


@TABLE.function()
def numpy_round_trip(w: World) -> Fn:
    def fn(x):
        array = np.sort((x * 2).numpy())
        return w.lib.from_numpy(array) + x

    return fn


@TABLE.function()
def array_changed_after_the_tensor_was_made(w: World) -> Fn:
    def fn(x):
        array = np.ones(3, np.float32)
        y = w.lib.from_numpy(array)
        before = y + x
        array[0] = 5
        return before, y * 1

    return fn


@TABLE.function()
def memory_seen_by_numpy(w: World) -> Fn:
    def fn(x):
        seen = x.numpy()
        y = x + 1
        seen[0] = 7
        x.add_(10)
        return y, x * 1, float(seen[1])

    return fn


@TABLE.program()
def caller_changes_the_array(w: World) -> Call:
    array = np.zeros(3, np.float32)
    x = w.keep(w.lib.from_numpy(array))
    call = w.compile(lambda x: x * 2 + 1)

    def step(i):
        array[:] = i
        return call(x)

    return step


@TABLE.program()
def closure_over_an_array(w: World) -> Call:
    array = np.zeros(3, np.float32)
    t = w.lib.from_numpy(array)
    call = w.compile(lambda x: x + t)

    def step(i):
        array[i % 3] += 1
        return call(w.data(i, 3))

    return step


@TABLE.function()
def function_of_numpy_on_scalars(w: World) -> Fn:
    return lambda x: x * np.sqrt(2.0) + np.float32(0.5) + np.pi


@TABLE.function()
def round_trip_through_dlpack(w: World) -> Fn:
    def fn(x):
        y = w.lib.from_dlpack(x * 2) if hasattr(w.lib, "from_dlpack") else x * 2
        return y + 1

    return fn


@TABLE.function()
def shallow_and_deep_copies(w: World) -> Fn:
    def fn(x):
        y = x * 2
        deep, shallow = copy.deepcopy(y), copy.copy([y])
        deep.add_(1)
        shallow[0].mul_(3)
        return y, deep, shallow

    return fn


@TABLE.function(torch=False)
def pickled_inside(w: World) -> Fn:
    return lambda x: pickle.loads(pickle.dumps(x * 2)) + x


@TABLE.function()
def result_of_python_sum_and_max(w: World) -> Fn:
    return lambda x: (sum(x), max(x.sum(), x.mean()), abs(x), pow(x, 2), divmod(7, 2))


@TABLE.function()
def bool_tensor_masks(w: World) -> Fn:
    def fn(x):
        mask = x > 0
        return mask, ~mask & (x < 2), w.lib.where(mask, x, -x), mask.sum(), (mask * 1.5)

    return fn


@TABLE.function(torch=False)
def index_by_a_mask(w: World) -> Fn:
    def fn(x):
        try:
            return x[x > 0] * 2
        except Exception as error:
            return type(error).__name__

    return fn


@TABLE.function()
def zero_dimensional_arithmetic(w: World) -> Fn:
    def fn(x):
        s = x.sum()
        return 2 * s + 1, s**2, -s, s / 3, s > 0, x * s, tuple(s.shape), s.dim()

    return fn


@TABLE.program()
def zero_dimensional_argument(w: World) -> Call:
    call = w.compile(lambda x, s: (x * s, s + 1))
    return lambda i: call(w.data(i, 3), w.data(i))


@TABLE.function()
def promotion_of_dtypes(w: World) -> Fn:
    def fn(x):
        n = w.lib.arange(3)
        return x + n, n + 1, n * 0.5, n / 2, n // 2, (x > 0) + n, x.double() + x

    return fn


@TABLE.function()
def division_by_zero_and_nan(w: World) -> Fn:
    return lambda x: (x / 0, (x - x) / (x - x), x.abs().log() * float("inf"), x // 1e-30)


@TABLE.function()
def integer_overflow_and_shifts(w: World) -> Fn:
    return lambda x: ((x * 100).to(w.lib.int32) * 70000, (x * 10).long() % 7, (x * 10).long() // 3)


@TABLE.function()
def float_of_a_changed_input(w: World) -> Fn:
    def fn(x):
        x.add_(1)
        before = float(x[0])
        x.add_(1)
        return before, float(x[0]), x * before

    return fn


@TABLE.function()
def value_that_is_not_used(w: World) -> Fn:
    def fn(x):
        x.sum().item()
        (x * 2).tolist()
        return x + 1

    return fn


def indexed(name: str, choose: Callable[[Any, Any], Any]) -> None:
    """Adds a program whose third and fifth call have an index that is out of range."""

    def make(w: World) -> Call:
        call = w.compile(choose)
        given = ([0, 1], [2, 0], [5, 1], [1, 0], [1, -9])
        return lambda i: call(w.data(i, 3), w.lib.tensor([given[i], [0, 0]]))

    make.__name__ = name
    TABLE.programs.append(Program(make, torch=False))


indexed("index_is_out_of_range", lambda x, at: x[at] * 2)
indexed("part_of_the_indices_counts", lambda x, at: x[at[:, 1:].t().flatten()] * 2)
indexed("gathered_out_of_range", lambda x, at: x.gather(0, at[0]) * 2)
indexed("class_is_out_of_range", lambda x, at: F.cross_entropy(x.expand(2, 3), at[0]))
indexed("class_that_is_ignored",
        lambda x, at: F.cross_entropy(x.expand(2, 3), at[0], ignore_index=5))  # fmt: skip
indexed("index_after_a_break", lambda x, at: x[at] * x.sum().item())
