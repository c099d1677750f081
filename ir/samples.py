"""What test samples of ops are made of: small arrays that are the same on every run.

A sample is (operands, attributes): an array, a Python number or None for each operand in schema
order, and the attributes that are not to have their defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .lazy import np
from .op import Sample

Samples = Callable[[], Iterator[Sample]]


class WithoutGradient(tuple[tuple[Any, ...], dict[str, Any]]):
    """A sample at a kink, where differences do not approach the gradient."""

    __slots__ = ()


def without_gradient(*operands: Any, **attrs: Any) -> Sample:
    """A sample that tests of gradients leave out."""
    return WithoutGradient((operands, attrs))


def sample(*operands: Any, **attrs: Any) -> Sample:
    """A sample."""
    return operands, attrs


def _spread(shape: tuple[int, ...], seed: int) -> Any:
    """Distinct numbers from (0, 1): the fractional parts of multiples of the golden ratio."""
    count = int(np.prod(shape))
    return ((np.arange(1, count + 1) + 17 * seed) * 0.6180339887498949 % 1.0).reshape(shape)


def floats(
    *shape: int, low: float = -2.0, high: float = 2.0, dtype: str = "float32", seed: int = 0
) -> Any:
    """Distinct numbers between `low` and `high`."""
    return np.asarray(low + (high - low) * _spread(shape, seed), dtype)


def ints(*shape: int, low: int = -4, high: int = 5, dtype: str = "int64", seed: int = 0) -> Any:
    """Integers from `low` to `high` - 1."""
    return np.asarray(np.floor(low + (high - low) * _spread(shape, seed)), dtype)


def bools(*shape: int, seed: int = 0) -> Any:
    """True and False."""
    return np.asarray(_spread(shape, seed) < 0.5)


def random_state(seed: int = 5, offset: int = 3) -> Any:
    """The operand of random ops."""
    return np.array([seed, offset], "int64")


def unary(low: float = -2.0, high: float = 2.0, kinds: str = "fib") -> Samples:
    """Samples of one operand from (low, high), and of the `kinds` f, i, b that the op takes."""

    def samples() -> Iterator[Sample]:
        if "f" in kinds:
            for shape in ((2, 3), (), (0, 2), (1, 3)):
                yield sample(floats(*shape, low=low, high=high))
            yield sample(floats(4, 3, low=low, high=high, dtype="float64").T)
            yield sample(floats(5, low=low, high=high, dtype="float16"))
        if "i" in kinds:
            for dtype in ("int64", "int8", "uint8"):
                first = max(int(low), 0) if dtype == "uint8" else int(np.ceil(low))
                yield sample(ints(2, 3, low=first, high=first + 4, dtype=dtype))
        if "b" in kinds:
            yield sample(bools(2, 3))

    return samples


def binary(
    low: float = -2.0, high: float = 2.0, kinds: str = "fib", seed: int = 1, number: Any = 1.5
) -> Samples:
    """Samples of two operands, the second from (low, high): broadcasts, promotions, numbers."""

    def samples() -> Iterator[Sample]:
        if "f" in kinds:
            yield from _float_pairs(low, high, seed, number)
        if "i" in kinds:
            y = ints(2, 3, low=1, high=6, seed=seed)
            yield sample(ints(2, 3, low=-8, high=9), y)
            yield sample(ints(2, 3, low=0, high=9, dtype="uint8"), y.astype("int8"))
            yield sample(ints(2, 3, dtype="int32"), 2)
        if "fi" in kinds:
            yield sample(ints(2, 3), number)
            yield sample(ints(2, 3), floats(3, low=low, high=high, dtype="float16", seed=seed))
        if "b" in kinds:
            yield sample(bools(2, 3), bools(2, 3, seed=3))
            yield sample(bools(2, 3), ints(3, low=1, high=4, dtype="int16"))

    return samples


def _float_pairs(low: float, high: float, seed: int, number: Any) -> Iterator[Sample]:
    shapes = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 3)), ((0, 3), (1, 3))]
    for first, second in shapes:
        yield sample(floats(*first, low=0.2), floats(*second, low=low, high=high, seed=seed))
    half = floats(2, 3, low=low, high=high, dtype="float16", seed=seed)
    yield sample(floats(2, 3, low=0.2, dtype="float16"), half)
    yield sample(floats(3, low=0.2, dtype="float16"), floats(2, 3, low=low, high=high, seed=seed))
    wide = floats(low=low, high=high, dtype="float64", seed=seed)
    yield sample(floats(2, 3, low=0.2), wide)
    yield sample(floats(3, 2, low=0.2, dtype="float64").T, floats(2, 3, low=low, high=high))
    yield sample(floats(2, 3, low=0.2), number)


def reduction(kinds: str = "fib", empty: bool = True) -> Samples:
    """Samples of reductions with `dim` and `keepdim`; `empty` ones where the op has a neutral."""

    def samples() -> Iterator[Sample]:
        x = floats(2, 3, 4)
        for dim in (None, (1,), (-1,), (0, 2)):
            for keepdim in (False, True):
                yield sample(x, dim=dim, keepdim=keepdim)
        yield sample(floats())
        yield sample(floats(), dim=(0,))
        yield sample(floats(3, 1, dtype="float64"), dim=(1,))
        yield sample(floats(4, 3).T, dim=(0,))
        yield sample(floats(3, 4, dtype="float16"), dim=(1,))
        yield sample(floats(3, 0), dim=(0,))
        if empty:
            yield sample(floats(0, 3), dim=(0,), keepdim=True)
        if "i" in kinds:
            yield sample(ints(2, 3, dtype="int32"), dim=(1,))
            yield sample(ints(5, low=100, high=120, dtype="uint8"))
        if "b" in kinds:
            yield sample(bools(2, 4), dim=(0,))

    return samples
