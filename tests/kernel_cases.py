"""Kernels with what NumPy says they store: the table that compiled kernels are tested by."""

from typing import Any

import numpy as np
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IntegerAttr, IntegerType
from xdsl.ir.affine import AffineExpr, AffineMap

from kernel_table import CASES as CASES
from kernel_table import Array, bit, case, compute, f32, f64, i32, i64, start, u8
from ostinato.ir.dialects.kernel import FuncOp, LoadOp
from ostinato.ir.scalar import argument, cast, constant, select

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


X, Y, Z = (argument(k, f32) for k in range(3))


@case(
    lambda n: [(f32, n), (f32, n), (f32, n), (bit, n)],
    lambda n, m: {2: (m[0] + m[1]) * m[0], 3: m[0] < m[1]},
)
def flat(n: int) -> FuncOp:
    b = start("flat", {"x": f32, "y": f32, "o": f32, "p": bit}, n, vector=True, unroll=2)
    x, y, o, p = b.buffers
    u, v = b.load(x, {b.index: 1}), b.load(y, {b.index: 1})
    b.store(compute(b, (X + Y) * X, u, v), o, {b.index: 1})
    b.store(compute(b, X < Y, u, v), p, {b.index: 1})
    return b.finish()


@case(
    lambda n: [(f32, 5 * n), (f32, n), (f32, 5), (f32, 5 * n)],
    lambda n, m: {3: (m[0].reshape(5, n) + m[1] + m[2][:, None]).ravel()},
)
def broadcast(n: int) -> FuncOp:
    b = start("broadcast", {"x": f32, "c": f32, "r": f32, "o": f32}, 5)
    x, c, r, o = b.buffers
    with b.loop(n, vector=True, unroll=4) as j:
        v, w = b.load(x, {b.index: n, j: 1}), b.load(c, {j: 1})
        b.store(compute(b, X + Y + Z, v, w, b.load(r, {b.index: 1})), o, {b.index: n, j: 1})
    return b.finish()


@case(lambda n: [(f32, n), (f32, 1), (f32, n)], lambda n, m: {2: m[0] * m[1] + m[1]})
def scaled(n: int) -> FuncOp:
    """A live number, read from memory once."""
    b = start("scaled", {"x": f32, "s": f32, "o": f32}, n, vector=True)
    x, s, o = b.buffers
    v = compute(b, X * Y + Y, b.load(x, {b.index: 1}), b.load(s, {}))
    b.store(v, o, {b.index: 1})
    return b.finish()


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


def in_range(tokens: Array) -> Array:
    return tokens.view(np.uint64) % np.uint64(10)


@case(
    lambda n: [(i64, 7), (f32, 10 * n), (f32, 7 * n)],
    lambda n, m: {2: m[1].reshape(10, n)[in_range(m[0])].ravel()},
)
def embedding(n: int) -> FuncOp:
    b = start("embedding", {"t": i64, "w": f32, "o": f32}, 7)
    t, w, o = b.buffers
    token = b.load(t, {b.index: 1})
    ten = b.insert(arith.ConstantOp(IntegerAttr(10, 64))).result
    row = b.insert(arith.RemUIOp(token, ten)).result
    with b.loop(n, vector=True, unroll=2) as j:
        b.store(b.load(w, {j: 1, row: n}), o, {b.index: n, j: 1})
    return b.finish()


@case(
    lambda n: [(i64, n), (f32, 30), (f32, n)],
    lambda n, m: {2: m[1][in_range(m[0]) * np.uint64(3) + np.uint64(2)]},
)
def gather(n: int) -> FuncOp:
    b = start("gather", {"t": i64, "w": f32, "o": f32}, n, vector=True)
    t, w, o = b.buffers
    ten = b.insert(arith.ConstantOp(IntegerAttr(10, 64))).result
    row = b.insert(arith.RemUIOp(b.load(t, {b.index: 1}), ten)).result
    b.store(b.load(w, {row: 3}, 2), o, {b.index: 1})
    return b.finish()


@case(
    lambda n: [(f32, 3 * n), (f32, 3 * n), (f64, 3 * n), (u8, 3 * n)],
    lambda n, m: {
        1: m[0].reshape(n, 3).T.ravel()[::-1],
        2: np.repeat(m[0].astype(np.float64)[:n], 3),
        3: np.roll((m[0] > 0).astype(np.uint8).reshape(n, 3), 1, 1).ravel(),
    },
)
def strided(n: int) -> FuncOp:
    """Gathers with strides -n, 1 / 3 and a modulo, scatters with stride 3."""
    b = start("strided", {"x": f32, "o": f32, "p": f64, "q": u8}, 3)
    x, o, p, q = b.buffers
    with b.loop(n, vector=True) as j:
        v = b.load(x, {b.index: 1, j: 3})
        b.store(v, o, {b.index: -n, j: -1}, 3 * n - 1)
        d0, d1 = AffineExpr.dimension(0), AffineExpr.dimension(1)
        third = AffineMap(2, 0, ((d0 * n + d1) // 3,))
        w = b.insert(LoadOp(x, third, [b.index, j])).value
        b.store(compute(b, cast(X, f64), w), p, {b.index: n, j: 1})
        turned = AffineMap(2, 0, (d1 * 3 + (d0 + 2) % 3,))
        t = b.insert(LoadOp(x, turned, [b.index, j])).value
        b.store(compute(b, cast(X > 0.0, u8), t), q, {b.index: 1, j: 3})
    return b.finish()


def padded(n: int, m: list[Array]) -> dict[int, Array]:
    x, _, p = m
    lower = np.tril(x.reshape(n, n)) if n > 1 else x.reshape(1, 1)
    return {
        1: np.pad(x.reshape(n, n), 1, constant_values=7.0).ravel(),
        2: np.where(np.tri(n, dtype=bool), lower, p.reshape(n, n)).ravel(),
    }


@case(lambda n: [(f32, n * n), (f32, (n + 2) ** 2), (f32, n * n)], padded)
def masked(n: int) -> FuncOp:
    """Pads by one with 7.0 through masked loads; stores a lower triangle through a mask."""
    b = start("masked", {"x": f32, "o": f32, "p": f32}, n + 2)
    x, o, p = b.buffers
    seven = compute(b, constant(7.0, f32))
    i = b.insert(arith.IndexCastOp(b.index, WORD)).result
    a, c = argument(0, i64), argument(1, i64)
    inside = (a >= 1) & (a <= n)
    with b.loop(n + 2, vector=True, unroll=2) as j:
        k = b.insert(arith.IndexCastOp(j, WORD)).result
        both = compute(b, inside & (c >= 1) & (c <= n), i, k)
        v = b.load(x, {b.index: n, j: 1}, -n - 1, mask=both, other=seven)
        b.store(v, o, {b.index: n + 2, j: 1})
        lower = compute(b, inside & (c >= 1) & (c <= a), i, k)
        b.store(v, p, {b.index: n, j: 1}, -n - 1, mask=lower)
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
        9: np.array([lane_product(r | 1) for r in k.reshape(3, n)]),
    }


def lane_product(x: Array) -> Any:
    return np.multiply.reduce(x, dtype=x.dtype)


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


@case(
    lambda n: [(f32, n), (i64, n), (f64, n)],
    lambda n, _: {
        1: np.arange(n) * 3 + np.arange(n) // 4,
        2: np.where(np.arange(n) % 2 == 0, 0.5, -1.0),
    },
)
def positions(n: int) -> FuncOp:
    """The vector index as data."""
    b = start("positions", {"x": f32, "o": i64, "p": f64}, n, vector=True)
    _, o, p = b.buffers
    k = b.insert(arith.IndexCastOp(b.index, WORD)).result
    a = argument(0, i64)
    b.store(compute(b, a * 3 + a // 4, k), o, {b.index: 1})
    even = (a % 2).eq(0)
    b.store(compute(b, select(even, constant(0.5, f64), -1.0), k), p, {b.index: 1})
    return b.finish()


@case(
    lambda n: [(bit, 4), (f32, 4), (f32, 4 * n), (f32, 4)],
    lambda n, m: {
        2: np.repeat(np.where(m[0], m[1], -1.0).astype(np.float32), n),
        3: np.where(m[0], m[1], m[3]),
    },
)
def guarded_scalars(n: int) -> FuncOp:
    """Masked accesses outside the vector axis."""
    b = start("guarded_scalars", {"c": bit, "x": f32, "o": f32, "p": f32}, 4)
    c, x, o, p = b.buffers
    condition = b.load(c, {b.index: 1})
    other = compute(b, constant(-1.0, f32))
    v = b.load(x, {b.index: 1}, mask=condition, other=other)
    b.store(v, p, {b.index: 1}, mask=condition)
    with b.loop(n, vector=True) as j:
        b.store(v, o, {b.index: n, j: 1})
    return b.finish()
