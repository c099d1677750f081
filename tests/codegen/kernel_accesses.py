"""Kernels that gather, scatter and mask, with what NumPy says they store."""

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, IntegerType
from xdsl.ir.affine import AffineExpr, AffineMap

from kernel_table import Array, bit, case, compute, f32, f64, i64, start, u8
from ostinato.ir.dialects.kernel import FuncOp, LoadOp
from ostinato.ir.scalar.expression import argument, cast, constant, select

WORD = IntegerType(64)
X = argument(0, f32)


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


def twice(n: int) -> FuncOp:
    """Stores through one buffer what it loads through another one, which may be the same."""
    b = start("twice", {"x": f32, "same": f32}, n, vector=True, aliased=(0, 1))
    x, same = b.buffers
    at = {b.index: 1}
    b.store(compute(b, X * 2.0, b.load(same, at)), x, at)
    b.store(compute(b, X + 1.0, b.load(same, at)), x, at)
    return b.finish()
