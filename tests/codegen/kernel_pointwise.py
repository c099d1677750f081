"""Kernels without loops of their own or sums, with what NumPy says they store."""

from kernel_table import bit, case, compute, f32, start
from ostinato.ir.dialects.kernel import FuncOp
from ostinato.ir.scalar.expression import argument

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
