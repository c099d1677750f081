"""Kernels that reduce, with what NumPy says they store."""

from typing import Any

import numpy as np
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IntegerType

from kernel_table import Array, bit, case, compute, f32, f64, i32, i64, start, u8
from ostinato.ir.dialects.kernel import FuncOp
from ostinato.ir.scalar.expression import argument, cast

X, Y = argument(0, f32), argument(1, f32)
WORD = IntegerType(64)


def lane_sum(x: Array) -> Any:
    """The sum of a 1-d array in the dialect's order, one element at a time."""
    zero = x.dtype.type(0)
    lanes = [zero] * 16
    for j, v in enumerate(x):
        lanes[j % 16] = lanes[j % 16] + v
    for half in (8, 4, 2, 1):
        lanes = [lanes[k] + lanes[k + half] for k in range(half)]
    return lanes[0]


def softmax_rows(n: int, m: list[Array]) -> dict[int, Array]:
    rows = m[0].reshape(4, n).astype(np.float64)
    e = np.exp(rows - rows.max(axis=1, keepdims=True))
    return {1: (e / e.sum(axis=1, keepdims=True)).ravel()}


@case(lambda n: [(f32, 4 * n), (f32, 4 * n)], softmax_rows, 2e-6, finite=True)
def softmax(n: int) -> FuncOp:
    b = start("softmax", {"x": f32, "o": f32}, 4, grain=2)
    x, o = b.buffers
    scratch = b.local(n, f32)
    with b.reduce(["max"], n, vector=True) as m:
        m.give(b.load(x, {b.index: n, m.index: 1}))
    with b.reduce(["sum"], n, vector=True) as s:
        v = b.load(x, {b.index: n, s.index: 1})
        e = b.insert(math.ExpOp(compute(b, X - Y, v, m.results[0]))).result
        b.store(e, scratch, {s.index: 1})
        s.give(e)
    with b.loop(n, vector=True) as j:
        b.store(compute(b, X / Y, b.load(scratch, {j: 1}), s.results[0]), o, {b.index: n, j: 1})
    return b.finish()


@case(
    lambda n: [(f32, 6 * n), (f32, 6), (f32, 6)],
    lambda n, m: {
        1: np.array([lane_sum(r) for r in m[0].reshape(6, n)]),
        2: np.array([lane_sum(r * r) for r in m[0].reshape(6, n)]),
    },
)
def moments(n: int) -> FuncOp:
    b = start("moments", {"x": f32, "s": f32, "q": f32}, 6)
    x, s, q = b.buffers
    with b.reduce(["sum", "sum"], n, vector=True) as r:
        v = b.load(x, {b.index: n, r.index: 1})
        r.give(v, compute(b, X * X, v))
    b.store(r.results[0], s, {b.index: 1})
    b.store(r.results[1], q, {b.index: 1})
    return b.finish()


def normed_rows(n: int, m: list[Array]) -> dict[int, Array]:
    rows = m[0].reshape(3, n)
    return {
        2: (
            (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 1e-5) * m[1]
        ).ravel()
    }


@case(lambda n: [(f64, 3 * n), (f64, n), (f64, 3 * n)], normed_rows, 1e-12, finite=True)
def layer_norm(n: int) -> FuncOp:
    b = start("layer_norm", {"x": f64, "w": f64, "o": f64}, 3)
    x, w, o = b.buffers
    a, c = argument(0, f64), argument(1, f64)
    with b.reduce(["sum"], n, vector=True) as s:
        s.give(b.load(x, {b.index: n, s.index: 1}))
    mean = compute(b, a / float(n), s.results[0])
    with b.reduce(["sum"], n, vector=True) as v:
        d = compute(b, a - c, b.load(x, {b.index: n, v.index: 1}), mean)
        v.give(compute(b, a * a, d))
    variance = compute(b, a / float(n) + 1e-5, v.results[0])
    with b.loop(n, vector=True, unroll=2) as j:
        d = compute(b, a - c, b.load(x, {b.index: n, j: 1}), mean)
        y = compute(b, a / c, d, b.insert(math.SqrtOp(variance)).result)
        b.store(compute(b, a * c, y, b.load(w, {j: 1})), o, {b.index: n, j: 1})
    return b.finish()


def running_sum(x: Array) -> Array:
    """Column sums, row after row."""
    total = np.zeros(x.shape[1:], x.dtype)
    for row in x:
        total = total + row
    return total


@case(lambda n: [(f32, 9 * n), (f32, n)], lambda n, m: {1: running_sum(m[0].reshape(9, n))})
def column_sum(n: int) -> FuncOp:
    b = start("column_sum", {"x": f32, "o": f32}, n, vector=True, unroll=4)
    x, o = b.buffers
    with b.reduce(["sum"], 9) as s:
        s.give(b.load(x, {s.index: n, b.index: 1}))
    b.store(s.results[0], o, {b.index: 1})
    return b.finish()


@case(
    lambda n: [(f32, 36 * n), (f32, 4 * n)],
    lambda n, m: {1: np.concatenate([running_sum(p) for p in m[0].reshape(4, 9, n)])},
)
def column_sums(n: int) -> FuncOp:
    b = start("column_sums", {"x": f32, "o": f32}, 4)
    x, o = b.buffers
    with b.loop(n, vector=True, unroll=4) as j:
        with b.reduce(["sum"], 9) as s:
            s.give(b.load(x, {b.index: 9 * n, s.index: n, j: 1}))
        b.store(s.results[0], o, {b.index: n, j: 1})
    return b.finish()


def extremes(n: int, m: list[Array]) -> dict[int, Array]:
    x, k, u = m[:3]
    rows = x.reshape(3, n)
    reached = k.reshape(3, n).astype(np.int64) + 2**31 >= np.arange(3)[:, None] * 2**31
    return {
        3: rows.max(1),
        4: rows.min(1),
        5: k.reshape(3, n).max(1),
        6: u.reshape(3, n).max(1),
        7: np.any(reached, axis=1),
        8: np.all(reached, axis=1),
        9: np.array([np.multiply.reduce(r | 1, dtype=r.dtype) for r in k.reshape(3, n)]),
    }


@case(
    lambda n: [
        (f32, 3 * n),
        (i32, 3 * n),
        (u8, 3 * n),
        (f32, 3),
        (f32, 3),
        (i32, 3),
        (u8, 3),
        (bit, 3),
        (bit, 3),
        (i32, 3),
    ],
    extremes,
)
def reductions(n: int) -> FuncOp:
    """Every combiner at once, over a vector axis."""
    b = start(
        "reductions",
        {
            "x": f32,
            "k": i32,
            "u": u8,
            "a": f32,
            "b": f32,
            "c": i32,
            "d": u8,
            "e": bit,
            "f": bit,
            "g": i32,
        },
        3,
    )
    x, k, u, *outputs = b.buffers
    with b.reduce(["max", "min", "max", "umax", "any", "all", "prod"], n, vector=True) as r:
        at = {b.index: n, r.index: 1}
        v, w = b.load(x, at), b.load(k, at)
        # Every element of the first row reaches its limit, and none of the last.
        row = b.insert(arith.IndexCastOp(b.index, WORD)).result
        limit = argument(0, i64) * 2**31
        reached = compute(b, cast(argument(1, i32), i64) + 2**31 >= limit, row, w)
        odd = compute(b, argument(0, i32) | 1, w)
        r.give(v, v, w, b.load(u, at), reached, reached, odd)
    for result, output in zip(r.results, outputs, strict=True):
        b.store(result, output, {b.index: 1})
    return b.finish()


@case(
    lambda n: [(i32, 6 * n), (i64, n), (u8, n), (f32, n)],
    lambda n, m: {
        1: m[0].reshape(6, n).astype(np.int64).sum(0),
        2: m[0].reshape(6, n).view(np.uint32).min(0).astype(np.uint8),
    },
)
def serial_reductions(n: int) -> FuncOp:
    """Serial reductions in the lanes of a loop, and a vector reduction in a serial loop."""
    b = start("serial_reductions", {"k": i32, "s": i64, "u": u8, "m": f32}, 1)
    k, s, u, _ = b.buffers
    with b.loop(n, vector=True, unroll=2) as j:
        with b.reduce(["sum", "umin"], 6) as r:
            v = b.load(k, {r.index: n, j: 1})
            r.give(compute(b, cast(argument(0, i32), i64), v), v)
        b.store(r.results[0], s, {j: 1})
        b.store(compute(b, cast(argument(0, i32), u8), r.results[1]), u, {j: 1})
    return b.finish()


def nested_sums(n: int, m: list[Array]) -> dict[int, Array]:
    return {1: np.array([[lane_sum(r) for r in p] for p in m[0].reshape(2, 3, n)]).ravel()}


@case(lambda n: [(f32, 6 * n), (f32, 6)], nested_sums)
def nested(n: int) -> FuncOp:
    b = start("nested", {"x": f32, "o": f32}, 2)
    x, o = b.buffers
    with b.loop(3) as k:
        with b.reduce(["sum"], n, vector=True) as s:
            s.give(b.load(x, {b.index: 3 * n, k: n, s.index: 1}))
        b.store(s.results[0], o, {b.index: 3, k: 1})
    return b.finish()


def doubled_and_summed(n: int, m: list[Array]) -> dict[int, Array]:
    y = (m[0] * 2.0 + 1.0).astype(np.float32)
    return {0: y, 1: np.array([lane_sum(r) for r in y.reshape(4, n)])}


@case(lambda n: [(f32, 4 * n), (f32, 4)], doubled_and_summed)
def in_place(n: int) -> FuncOp:
    """Stores to what it loads, and loads what it stored."""
    b = start("in_place", {"x": f32, "s": f32}, 4)
    x, s = b.buffers
    with b.loop(n, vector=True, unroll=4) as j:
        at = {b.index: n, j: 1}
        b.store(compute(b, X * 2.0 + 1.0, b.load(x, at)), x, at)
    with b.reduce(["sum"], n, vector=True) as r:
        r.give(b.load(x, {b.index: n, r.index: 1}))
    b.store(r.results[0], s, {b.index: 1})
    return b.finish()
