"""Oracles of random ops: Philox4x32-10 word by word on Python integers, checked on its vectors."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from oracles_torch import torch_dtype

WORD = 1 << 32


def philox(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """Four words from a counter of four and a key of two, after Salmon et al., section 3.3."""
    left, right = key
    words = list(counter)
    for _ in range(10):
        high0, low0 = divmod(words[0] * 0xD2511F53, WORD)
        high1, low1 = divmod(words[2] * 0xCD9E8D57, WORD)
        words = [high1 ^ words[1] ^ left, low1, high0 ^ words[3] ^ right, low0]
        left, right = (left + 0x9E3779B9) % WORD, (right + 0xBB67AE85) % WORD
    return tuple(words)


def lane(rng: Any, i: int) -> int:
    """The word of element `i`."""
    seed, offset = (int(v) % WORD**2 for v in rng)
    at = offset + i // 4
    return philox((at % WORD, at // WORD % WORD, 0, 0), (seed % WORD, seed // WORD))[i % 4]


def _tensor(values: list[Any], size: Any, dtype: Any) -> torch.Tensor:
    wide = torch.tensor(values, dtype=torch.float64 if dtype.is_floating_point else torch.int64)
    return wide.reshape(size).to(dtype)


def uniform(rng: Any, i: int, bits: int = 24) -> float:
    """The number of element `i` in [0, 1)."""
    return (lane(rng, i) >> (32 - bits)) / 2**bits


_BITS = {torch.float16: 11, torch.bfloat16: 8, torch.float32: 24, torch.float64: 32}


def _rand(rng: Any, size: Any, dtype: Any) -> Any:
    of = torch_dtype(dtype) or torch.float32
    return _tensor([uniform(rng, i, _BITS[of]) for i in range(math.prod(size))], size, of)


def _normal(rng: Any, i: int, bits: int) -> float:
    u, v = uniform(rng, i - i % 2, bits) + 2.0**-bits, uniform(rng, i - i % 2 + 1, bits)
    return math.sqrt(-2 * math.log(u)) * (math.sin if i % 2 else math.cos)(2 * math.pi * v)


def _randn(rng: Any, size: Any, dtype: Any) -> Any:
    of = torch_dtype(dtype) or torch.float32
    bits = 32 if of is torch.float64 else 24
    return _tensor([_normal(rng, i, bits) for i in range(math.prod(size))], size, of)


def _randint(rng: Any, low: int, high: int, size: Any, dtype: Any) -> Any:
    values = [low + lane(rng, i) * (high - low) // WORD for i in range(math.prod(size))]
    return _tensor(values, size, torch_dtype(dtype) or torch.int64)


def _randperm(rng: Any, n: int, dtype: Any) -> Any:
    order = sorted(range(n), key=lambda i: lane(rng, i))
    return _tensor(order, (n,), torch_dtype(dtype) or torch.int64)


def _multinomial(weights: Any, rng: Any, num_samples: int, replacement: bool) -> Any:
    rows = np.atleast_2d(np.asarray(weights, "float64"))
    drawn = [_draw(row, rng, r, num_samples, replacement) for r, row in enumerate(rows)]
    return np.array(drawn, "int64").reshape(*weights.shape[:-1], num_samples)


def _draw(row: Any, rng: Any, r: int, count: int, replacement: bool) -> list[int]:
    if not replacement:
        keys = [
            -math.log(uniform(rng, r * len(row) + k) + 2.0**-24) / w if w else math.inf
            for k, w in enumerate(row)
        ]
        return sorted(range(len(row)), key=lambda k: keys[k])[:count]
    sums = [sum(row[: k + 1]) for k in range(len(row))]
    levels = [uniform(rng, r * count + j) * sums[-1] for j in range(count)]
    return [next(k for k, s in enumerate(sums) if s > level) for level in levels]


def _bernoulli(p: Any, rng: Any) -> Any:
    p = torch.as_tensor(p)
    bits = 32 if p.dtype is torch.float64 else 24
    flat = [uniform(rng, i, bits) < float(v) for i, v in enumerate(p.reshape(-1))]
    return torch.tensor(flat).reshape(p.shape).to(p.dtype)


def _dropout(x: Any, p: float, rng: Any, training: bool) -> Any:
    x = torch.as_tensor(np.asarray(x)) if not isinstance(x, torch.Tensor) else x
    if not training:
        return x
    single = np.float32(p) if x.dtype is not torch.float64 else p
    kept = [uniform(rng, i) >= np.float32(p) for i in range(x.numel())]
    scale = 1 / (1 - float(single)) if p < 1 else 0.0
    return x * (torch.tensor(kept).reshape(x.shape) * torch.tensor(scale, dtype=x.dtype))


ORACLE: dict[str, Callable[..., Any]] = {
    "rand": _rand,
    "randn": _randn,
    "randint": _randint,
    "randperm": _randperm,
    "multinomial": _multinomial,
    "bernoulli": _bernoulli,
    "dropout": _dropout,
    "rng_advance": lambda rng, count: np.array([rng[0], rng[1] + math.ceil(count / 4)], "int64"),
}
