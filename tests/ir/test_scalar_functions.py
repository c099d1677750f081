"""The written-out functions of the scalar language, within their stated bounds of the truth."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
# (mpmath and torch's from_numpy are unannotated.)

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import torch

from ostinato.ir.dtypes import DType, float32, float64, int64
from ostinato.ir.scalar import expression as s
from ostinato.ir.scalar.expression import FUNCTIONS, Scalar, argument, constant, make, uint32
from ostinato.ir.scalar.functions import BOUNDS, EXPANSIONS, expand
from ostinato.ir.scalar.numpy import evaluate, numpy_dtype
from ostinato.ir.scalar.random import normal, philox, random_bits, uniform
from ostinato.ir.scalar.trig import LARGEST_DOUBLE
from scalar_cases import Array, edges, pairs

FLOATS = (float32, float64)
UNARY = [name for name, kind in FUNCTIONS.items() if kind.arity == 1]
CASES = [(name, dtype) for name in UNARY for dtype in FLOATS]
IDS = [f"{name}-{dtype.name}" for name, dtype in CASES]


def _exact_erf(x: Array) -> Array:
    with mpmath.workprec(80):
        # Two doubles hold what a longdouble can.
        high = [mpmath.erf(v) for v in x.astype(np.float64).tolist()]
        low = [float(v - float(v)) for v in high]
    total = np.array([float(v) for v in high], np.longdouble) + np.array(low, np.longdouble)
    return np.copysign(total, x)


def _exact_sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, np.longdouble(1)) / (1 + e)


def _exact_rsqrt(x: Array) -> Array:
    return 1 / np.sqrt(x)


TRUTH: dict[str, Callable[..., Array]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh,
    "sigmoid": _exact_sigmoid, "erf": _exact_erf, "rsqrt": _exact_rsqrt,
    "pow": np.power,
}  # fmt: skip


def truth(kind: str, *operands: Array) -> Array:
    """`kind` in extended precision."""
    with np.errstate(all="ignore"):
        return TRUTH[kind](*(x.astype(np.longdouble) for x in operands))


def ulps(got: Array, want: Array) -> Array:
    """|got - want| in units of the last place of `want` rounded; 0 or infinite at NaN, infinity
    and where a zero has the other sign."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        special = ~np.isfinite(rounded) | ~np.isfinite(got) | (rounded == 0)
        alike = (got == rounded) & (np.signbit(got) == np.signbit(rounded))
        alike |= np.isnan(got) & np.isnan(rounded)
        unit = np.spacing(np.abs(rounded)).astype(np.longdouble)
        error = np.abs(got.astype(np.longdouble) - want) / unit
        return np.where(special & ~((rounded == 0) & (got != 0)), np.where(alike, 0, np.inf), error)


def samples(kind: str, dtype: DType, count: int) -> Array:
    """Edge values, random bits, and numbers of the sizes at which `kind` does something."""
    rng = np.random.default_rng(sum(map(ord, kind)))
    t = numpy_dtype(dtype)
    bits = rng.integers(0, 1 << dtype.bits, count, np.uint64 if dtype.bits == 64 else np.uint32)
    top = 1100.0 if dtype is float64 else 160.0
    sizes = np.exp2(rng.uniform(-30, 40, count)) * rng.choice([-1, 1], count)
    parts = [edges(dtype), bits.view(t), sizes, rng.uniform(-top, top, count)]
    parts += [rng.uniform(-6, 6, 2 * count), 1.0 + rng.uniform(-0.5, 0.5, count)]
    parts += [np.arange(-40, 40) * math.pi / 4, _ends(dtype)]
    with np.errstate(over="ignore"):
        return np.concatenate([p.astype(t) for p in parts])


def _ends(dtype: DType) -> Array:
    """Where results overflow, become subnormal or zero, for exp, exp2 and expm1."""
    powers = (128.0, -126.0, -150.0) if dtype is float32 else (1024.0, -1022.0, -1075.0)
    at = np.array([*powers, *(p * math.log(2) for p in powers)])
    return (at[:, None] * (1 + np.arange(-20, 21) * 1e-7)).ravel()


def in_domain(kind: str, x: Array) -> Array:
    """`x` without what the written-out `kind` gives up on."""
    limited = kind in ("sin", "cos", "tan") and x.dtype == np.float64
    return x[~(np.abs(x) > LARGEST_DOUBLE)] if limited else x


@pytest.mark.parametrize(("kind", "dtype"), CASES, ids=IDS)
def test_expansion_keeps_its_bound(kind: str, dtype: DType) -> None:
    x = in_domain(kind, samples(kind, dtype, 400 if kind == "erf" else 20_000))
    got = evaluate([expand(make(kind, argument(0, dtype)))], [x])[0]
    assert got.dtype == x.dtype
    error = ulps(got, truth(kind, x))
    worst = int(np.argmax(error))
    assert error[worst] <= BOUNDS[kind][dtype.name], (x[worst], got[worst])


@pytest.mark.parametrize(("kind", "dtype"), CASES, ids=IDS)
def test_reference_meaning(kind: str, dtype: DType) -> None:
    """What the interpreter runs does not come from the expansions, and is nearly exact."""
    x = samples(kind, dtype, 300)
    got = evaluate([make(kind, argument(0, dtype))], [x])[0]
    assert float(ulps(got, truth(kind, x)).max()) <= (0.51 if dtype is float32 else 2.5)


@pytest.mark.parametrize("kind", ["sin", "cos", "tan"])
def test_large_angles_are_nan_not_wrong(kind: str) -> None:
    x = np.array([LARGEST_DOUBLE, -LARGEST_DOUBLE, np.nextafter(LARGEST_DOUBLE, 1e10), -1e300])
    got = evaluate([expand(make(kind, argument(0, float64)))], [x])[0]
    assert np.isnan(got).tolist() == [False, False, True, True]


def test_tables_agree() -> None:
    assert set(BOUNDS) == set(EXPANSIONS) == set(FUNCTIONS) == set(TRUTH)
    for row in BOUNDS.values():
        assert set(row) == {"float32", "float64"}


def test_expansion_keeps_what_it_is_told() -> None:
    x = argument(0, float32)
    root = s.sigmoid(x) + s.tanh(x)

    def kinds(node: Scalar) -> set[str]:
        return {n.kind for n in s.postorder([node])} & set(FUNCTIONS)

    assert kinds(expand(root)) == set()
    assert kinds(expand(root, frozenset(["exp"]))) == {"exp"}
    assert kinds(expand(root, frozenset(["tanh"]))) == {"tanh"}
    assert expand(root, frozenset(FUNCTIONS)) is root


@pytest.mark.parametrize("dtype", FLOATS, ids=repr)
def test_pow_of_edge_values(dtype: DType) -> None:
    a, b = pairs(dtype)
    got = evaluate([expand(make("pow", argument(0, dtype), argument(1, dtype)))], [a, b])[0]
    error = ulps(got, truth("pow", a, b))
    worst = int(np.argmax(error))
    assert error[worst] <= BOUNDS["pow"][dtype.name], (a[worst], b[worst], got[worst])


@pytest.mark.parametrize("dtype", FLOATS, ids=repr)
def test_pow_keeps_its_bound(dtype: DType) -> None:
    rng, n = np.random.default_rng(8), 20_000
    top = 1020 if dtype is float64 else 125
    base = np.concatenate(
        [
            np.exp2(rng.uniform(-top, top, n)),
            rng.uniform(0, 3, n),
            1 + rng.uniform(-1e-4, 1e-4, n),
            -rng.uniform(0, 9, n),
        ]
    )
    exponent = np.concatenate(
        [
            rng.uniform(-3, 3, n),
            rng.uniform(-40, 40, n),
            rng.uniform(-1e6, 1e6, n),
            rng.integers(-60, 60, n),
        ]
    )
    a, b = base.astype(numpy_dtype(dtype)), exponent.astype(numpy_dtype(dtype))
    got = evaluate([expand(make("pow", argument(0, dtype), argument(1, dtype)))], [a, b])[0]
    error = ulps(got, truth("pow", a, b))
    worst = int(np.argmax(error))
    assert error[worst] <= BOUNDS["pow"][dtype.name], (a[worst], b[worst], got[worst])


def test_pow_of_integers_is_written_out() -> None:
    for dtype in (int64, uint32):
        a, b = pairs(dtype)
        node = make("pow", argument(0, dtype), argument(1, dtype))
        got, want = evaluate([expand(node), node], [a, b])
        assert got.tolist() == want.tolist()


# Random123's known answers for philox4x32-10 (kat_vectors): counter, key, block.
KNOWN_BLOCKS = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN_BLOCKS)
def test_philox(counter: tuple[int, ...], key: tuple[int, int], block: str) -> None:
    k0, k1 = (constant(k, uint32) for k in key)
    lanes = philox(tuple(constant(c, uint32) for c in counter), (k0, k1))
    assert " ".join(f"{int(x):08x}" for x in evaluate(lanes, [])) == block


RNG = [argument(i, int64) for i in range(3)]


def _plain_philox(seed: int, counter: int) -> list[int]:
    c, k, mask = [counter & 0xFFFFFFFF, counter >> 32 & 0xFFFFFFFF, 0, 0], seed, 0xFFFFFFFF
    k0, k1 = seed & mask, k >> 32 & mask
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k0, q & mask, p >> 32 ^ c[3] ^ k1, p & mask]
        k0, k1 = k0 + 0x9E3779B9 & mask, k1 + 0xBB67AE85 & mask
    return c


@pytest.mark.parametrize(("seed", "offset"), [(0, 0), (-2, 2**32 - 1), (2**62 + 5, 2**40)])
def test_elements_are_lanes_of_blocks(seed: int, offset: int) -> None:
    index = np.arange(40, dtype=np.int64)
    bits = evaluate([random_bits(*RNG)], [np.array(seed), np.array(offset), index])[0]
    expected = [x for i in range(10) for x in _plain_philox(seed, offset + i)]
    assert bits.dtype == np.uint32 and bits.tolist() == expected


def test_uniforms_are_24_bits() -> None:
    bits = np.array([0, 255, 256, 2**31, 2**32 - 1], np.uint32)
    got = evaluate([uniform(argument(0, uint32))], [bits])[0]
    assert got.dtype == np.float32
    assert got.tolist() == [0.0, 0.0, 2.0**-24, 0.5, 1.0 - 2.0**-24]


def test_normals_are_box_and_mullers() -> None:
    index = np.arange(100_000, dtype=np.int64)
    rng = [np.array(11), np.array(3), index]
    got, bits = evaluate([normal(*RNG), random_bits(*RNG)], rng)
    first, second = (bits >> np.uint32(8)).astype(np.float64).reshape(-1, 2).T
    radius = np.sqrt(-2 * np.log((first + 1) / 2**24))
    angle = 2 * np.pi * second / 2**24
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()
    written = evaluate([expand(normal(*RNG))], rng)[0]
    for values in (got, written):
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected, rtol=4e-7, atol=0)
    moments = torch.from_numpy(got).double()
    assert abs(moments.mean()) < 0.01 and abs(moments.var() - 1) < 0.02
