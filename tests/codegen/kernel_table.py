"""What a table of kernels is made of: how one is built, and what NumPy says that it stores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, StringAttr
from xdsl.ir import SSAValue

from ostinato.ir import dtypes
from ostinato.ir.dialects.kernel import FuncOp
from ostinato.ir.dtypes import DType
from ostinato.ir.kernel_builder import KernelBuilder
from ostinato.ir.scalar.arith import emit
from ostinato.ir.scalar.expression import Scalar

Array = NDArray[Any]
Buffers = list[tuple[DType, int]]
Builder = Callable[[int], FuncOp]
Oracle = Callable[[int, list[Array]], dict[int, Array]]
f32, f64, i64 = dtypes.float32, dtypes.float64, dtypes.int64
bf16, f16, u8, i32 = dtypes.bfloat16, dtypes.float16, dtypes.uint8, dtypes.int32
bit = dtypes.bool_
PLACE = FileLineColLoc(StringAttr("step.py"), IntAttr(7), IntAttr(3))


@dataclass(frozen=True)
class Case:
    """A kernel of size n, its buffers, and what NumPy says some of them hold afterwards.

    The oracle gets n and the buffers as they were; `tolerance` 0 asks for the same bits.
    """

    build: Builder
    buffers: Callable[[int], Buffers]
    oracle: Oracle
    tolerance: float = 0.0
    finite: bool = False

    @property
    def name(self) -> str:
        """What a failing test is called."""
        return self.build.__name__

    def sampled(self, n: int) -> list[Array]:
        """Buffers of random elements."""
        return [sample(d, k, seed, self.finite) for seed, (d, k) in enumerate(self.buffers(n))]

    def check(self, n: int, before: list[Array], after: list[Array]) -> None:
        """Asserts that the kernel left `after` of what was `before`."""
        with np.errstate(all="ignore"):
            wanted = self.oracle(n, before)
        for i, value in wanted.items():
            if self.tolerance:
                np.testing.assert_allclose(after[i], value, self.tolerance, self.tolerance)
            else:
                assert same_bits(after[i], value), f"buffer {i} differs from NumPy's"


def sample(dtype: DType, count: int, seed: int, finite: bool = False) -> Array:
    """Random elements; with extremes among integers, zeros, infinities and NaN among floats, or
    the largest last."""
    rng = np.random.default_rng(seed)
    if dtype is bit:
        return rng.integers(0, 2, count).astype(bool)
    if dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        x = rng.integers(info.min, info.max, count, dtype=dtype.numpy, endpoint=True)
        x[::5] = rng.choice([0, 1, 2, info.min, info.max], x[::5].size)
        return x
    x = rng.standard_normal(count) * 10.0 ** rng.integers(-3, 3, count)
    if finite:
        x[-1:] = 8000.0
    else:
        x[3::11] = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan], x[3::11].size)
    if dtype is bf16:
        return (x.astype(np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return x.astype(dtype.numpy)


def same_bits(a: Array, b: Array) -> bool:
    """Equal elements; any NaN equals any other, but 0.0 is not -0.0."""
    if a.dtype.kind == "f":
        nan = np.isnan(a) & np.isnan(b)
        return bool(np.all(nan | ((a == b) & (np.signbit(a) == np.signbit(b)))))
    return bool(np.array_equal(a, b))


CASES: list[Case] = []


def case(
    buffers: Callable[[int], Buffers], oracle: Oracle, tolerance: float = 0.0, finite: bool = False
) -> Callable[[Builder], Builder]:
    """Puts the decorated builder into the table."""

    def keep(build: Builder) -> Builder:
        CASES.append(Case(build, buffers, oracle, tolerance, finite))
        return build

    return keep


def compute(b: KernelBuilder, root: Scalar, *operands: SSAValue) -> SSAValue:
    """The scalar expression `root` at the builder's cursor."""
    return emit([root], operands, b.builder, b.location)[0]


def start(
    name: str,
    buffers: dict[str, DType],
    extent: int,
    *,
    vector: bool = False,
    unroll: int | None = None,
    grain: int | None = None,
    aliased: Sequence[int] = (),
) -> KernelBuilder:
    """A builder whose ops all have a location."""
    return KernelBuilder(
        name,
        buffers,
        extent,
        vector=vector,
        unroll=unroll,
        grain=grain,
        aliased=aliased,
        location=PLACE,
    )
