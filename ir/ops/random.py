"""Random tensors: Philox4x32-10 lanes of an explicit (seed, offset) state.

Element i of a random tensor is lane i mod 4 of counter offset + i / 4 under the key seed, in
row-major order. Each op says how many elements it draws; `rng_advance` moves a state past them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dtypes import (
    DType,
    Fixed,
    FromAttr,
    Only,
    Same,
    bfloat16,
    float16,
    float32,
    float64,
    int32,
    int64,
)
from ..lazy import np
from ..op import Rng, Sample, Size, Sizes, Tensor, composite, primitive
from ..philox_numpy import drawn, lanes, normals, uniforms
from ..samples import floats, random_state, sample, without_gradient
from ..shapes import Constant, Counted, Given, SameShape
from ..shapes_index import Appended
from ..shapes_product import Fits
from .arithmetic import reciprocal
from .comparison import ge, lt
from .selection import to, where

_DRAWN = FromAttr("dtype")


def _draws() -> Iterator[Sample]:
    for size in ((2, 3), (), (9,), (0, 2)):
        yield sample(random_state(), size=size)
    for dtype in (float16, bfloat16, float64):
        yield sample(random_state(1 << 40, (1 << 32) - 1), size=(5, 2), dtype=dtype)
    yield sample(random_state(-1, 1 << 50), size=(4,))


@primitive(shape=Given("size"), dtype=Only(_DRAWN, "f", what="result"), method=False)
def rand(size: Sizes, dtype: DType | None = None, *, rng: Rng) -> Tensor:
    """Uniform numbers from [0, 1), float32 for dtype None.

    A float32 has the upper 24 bits of its lane, float64 all 32, float16 11 and bfloat16 8.
    """
    return uniforms(rng, size, dtype)


rand.sampled(_draws)


@primitive(shape=Given("size"), dtype=Only(_DRAWN, "f", what="result"), method=False)
def randn(size: Sizes, dtype: DType | None = None, *, rng: Rng) -> Tensor:
    """Normal numbers of mean 0 and variance 1, float32 for dtype None.

    Elements 2k and 2k + 1 are the Box-Muller pair of their two lanes a, b: sqrt(-2 ln u) times
    cos and sin of 2 pi v, with u in (0, 1] from a and v in [0, 1) from b.
    """
    return normals(rng, size, dtype)


randn.sampled(_draws)


@primitive(shape=Given("size"), dtype=FromAttr("dtype", Fixed(int64)), method=False)
def randint(low: Size, high: Size, size: Sizes, dtype: DType | None = None, *, rng: Rng) -> Tensor:
    """Uniform integers from `low` to `high` - 1, int64 for dtype None: low + lane * (high - low)
    / 2^32 rounded down. ValueError unless 0 < high - low <= 2^32."""
    span = high - low
    if not 0 < span <= 1 << 32:
        raise ValueError(
            f"randint: the range from {low} to {high} has {span} numbers; "
            "give from 1 to 2^32, low below high"
        )
    return low + ((lanes(rng, size) * np.uint64(span)) >> np.uint64(32)).astype(np.int64)


@randint.sampled
def _() -> Iterator[Sample]:
    for size in ((2, 3), (), (9,), (0, 2)):
        yield sample(random_state(), low=-3, high=8, size=size)
    yield sample(random_state(-7, 1 << 40), low=0, high=1 << 32, size=(5,))
    yield sample(random_state(), low=0, high=2, size=(5,), dtype=int32)


@primitive(shape=Counted("n"), dtype=FromAttr("dtype", Fixed(int64)), method=False)
def randperm(n: Size, dtype: DType | None = None, *, rng: Rng) -> Tensor:
    """The integers 0 to n - 1 in random order: that which sorts n lanes, equal ones in place."""
    return np.argsort(lanes(rng, (n,)), kind="stable")


@randperm.sampled
def _() -> Iterator[Sample]:
    yield sample(random_state(), n=7)
    yield sample(random_state(), n=0)
    yield sample(random_state(), n=1, dtype=int32)


@primitive(shape=Appended("num_samples", drop=1), dtype=Only(Fixed(int64), "f", of=Same()))
def multinomial(input: Tensor, num_samples: Size, replacement: bool = False, *, rng: Rng) -> Tensor:
    """Indices drawn with probability proportional to the weights of each row (the last axis).

    With replacement, sample j of a row is the first index whose running sum exceeds the uniform
    number of the sample times the sum of the row. Without, index k of a row has the key
    -ln(u) / weight of its own number u in (0, 1]; the smallest keys are drawn, in order.
    ValueError for negative weights, and where a row has too few that are positive.
    """
    return drawn(input, num_samples, replacement, rng)


@multinomial.sampled
def _() -> Iterator[Sample]:
    for replacement in (False, True):
        weights = floats(3, 5, low=0.0, high=1.0)
        yield sample(weights, random_state(), num_samples=4, replacement=replacement)
        yield sample(weights[0], random_state(), num_samples=1, replacement=replacement)
    yield sample(np.array([0, 0.5, 0, 0.5], "float64"), random_state(), num_samples=2)


@composite(shape=SameShape(), dtype=Only(Same(), "f"))
def bernoulli(input: Tensor, *, rng: Rng) -> Tensor:
    """1 with the probability that `input` holds, else 0: 1 where the uniform number is below."""
    wide = input.dtype if input.dtype.bits > 16 else float32
    return to(lt(rand(input.shape, dtype=wide, rng=rng), input), dtype=input.dtype)


@bernoulli.sampled
def _() -> Iterator[Sample]:
    for dtype in ("float32", "float64", "float16"):
        yield without_gradient(floats(3, 4, low=0.0, high=1.0, dtype=dtype), random_state())
    yield without_gradient(np.array([0, 1, 0, 1], "float32"), random_state())


@composite(shape=Fits(SameShape(), ((1, "p", Constant()),)), dtype=Only(Same(), "f"), native=True,
           method=False, namespace="nn.functional")  # fmt: skip
def dropout(
    input: Tensor,
    p: Tensor = 0.5,
    training: bool = True,
    *,
    rng: Rng,
) -> Tensor:
    """input / (1 - p) where the float32 uniform number of the element is at least p, else 0;
    input itself where not `training`."""
    if not training:
        return input
    wide = input.dtype if input.dtype.bits > 16 else float32
    scale = reciprocal(1.0 - to(p, dtype=wide))
    keep = ge(rand(input.shape, dtype=float32, rng=rng), p)
    return where(keep, input * scale, 0.0)


@dropout.vjp
def _(g: Tensor, out: Tensor, input: Tensor, p: Tensor, rng: Tensor, training: bool) -> Any:
    return dropout(g, p=p, training=training, rng=rng), None, None


@dropout.sampled
def _() -> Iterator[Sample]:
    for shape in ((3, 4), (), (0, 2)):
        yield sample(floats(*shape), 0.3, random_state())
    yield sample(floats(3, 4), 0.3, random_state(), training=False)
    yield sample(floats(3, 4, dtype="float64"), 0.5, random_state())
    yield sample(floats(3, 4, dtype="float16"), 0.1, random_state())
    yield without_gradient(floats(3, 4), 1.0, random_state())
    yield sample(floats(3, 4), 0.0, random_state())


@primitive(shape=Constant((2,)), dtype=Fixed(int64), method=False, namespace="internal")
def rng_advance(rng: Rng, count: Size) -> Tensor:
    """The state after `count` elements were drawn: the offset grown by count / 4, rounded up."""
    return rng + np.array([0, -(-count // 4)], dtype=np.int64)


@rng_advance.sampled
def _() -> Iterator[Sample]:
    yield sample(random_state(), count=7)
    yield sample(random_state(), count=8)
    yield sample(random_state(), count=0)
