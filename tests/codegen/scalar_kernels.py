"""A flat kernel for every kind of scalar node, cast and function, and what NumPy says it stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_table import bf16, bit, compute, f32, sample, start
from ostinato.ir.dialects.kernel import FuncOp
from ostinato.ir.dtypes import DTYPES, DType
from ostinato.ir.scalar.expression import FUNCTIONS, KINDS, PRIMITIVES, Scalar, argument, cast, make
from ostinato.ir.scalar.functions import EXPANSIONS
from ostinato.ir.scalar.numpy import evaluate
from scalar_cases import domain

Array = NDArray[Any]
COUNT = 85
PLAIN = [kind for kind in PRIMITIVES if kind not in ("cast", "bitcast", "mulhi", "select")]


@dataclass(frozen=True)
class Row:
    """A kernel that stores the expression `root` of its inputs as `dtype`, and the inputs."""

    name: str
    root: Scalar
    inputs: tuple[DType, ...]
    dtype: DType
    arrays: list[Array]

    @property
    def kernel(self) -> FuncOp:
        """The kernel, of `COUNT` elements."""
        return pointwise(self.name, self.root, self.inputs, self.dtype)

    @property
    def empty(self) -> Array:
        """Memory for what it stores."""
        return np.zeros(COUNT, "uint16" if self.dtype is bf16 else self.dtype.numpy)

    @property
    def wanted(self) -> Array:
        """What NumPy makes of the inputs, as numbers."""
        arrays = [number(x, d) for x, d in zip(self.arrays, self.inputs, strict=True)]
        return evaluate([self.root], arrays)[0]


def pointwise(name: str, root: Scalar, inputs: Sequence[DType], result: DType) -> FuncOp:
    """A flat kernel that stores the expression `root` of its inputs."""
    buffers = {f"x{k}": d for k, d in enumerate(inputs)} | {"o": result}
    b = start(name, buffers, COUNT, vector=True)
    *sources, o = b.buffers
    values = [b.load(x, {b.index: 1}) for x in sources]
    b.store(compute(b, root, *values), o, {b.index: 1})
    return b.finish()


def kinds() -> Iterator[Row]:
    """Every kind of node that no other test has, of every dtype that kernels compute with."""
    for kind in PLAIN:
        for dtype in domain(kind):
            if dtype not in DTYPES or (kind == "rem" and dtype.is_floating_point):
                continue
            operands = [argument(k, dtype) for k in range(KINDS[kind].arity)]
            root = make(kind, *operands)
            arrays = [sample(dtype, COUNT, 7 * k + 1) for k in range(len(operands))]
            if dtype.is_integer and dtype.signed and len(arrays) == 2:
                # The one quotient that does not fit.
                arrays[0][-1], arrays[1][-1] = np.iinfo(dtype.numpy).min, -1
            inputs = (dtype,) * len(operands)
            yield Row(f"{kind}_{dtype.name}", root, inputs, root.dtype, arrays)


def casts() -> Iterator[Row]:
    """Every dtype to every dtype."""
    for a in DTYPES:
        for b in DTYPES:
            root, x = cast(argument(0, a), b), castable(a, b)
            yield Row(f"from_{a.name}_to_{b.name}", root, (a,), b, [x])


def functions(dtype: DType) -> Iterator[tuple[str, Row]]:
    """Every function that has an expansion, by its kind."""
    for kind in (k for k in FUNCTIONS if k in EXPANSIONS):
        arity = KINDS[kind].arity
        root = make(kind, *(argument(i, dtype) for i in range(arity)))
        arrays = [sample(dtype, COUNT, 3 + i) for i in range(arity)]
        yield kind, Row(f"{kind}_{dtype.name}", root, (dtype,) * arity, dtype, arrays)


def castable(source: DType, target: DType) -> Array:
    """Elements whose value a cast to `target` specifies."""
    x = sample(source, COUNT, 5)
    if source.is_floating_point and not target.is_floating_point and target is not bit:
        low = 0.0 if not target.signed else -100.0
        return stored(np.clip(sample(f32, COUNT, 5, finite=True), low, 100.0), source)
    return x


def stored(x: Array, dtype: DType) -> Array:
    """float32 numbers in the memory of a floating dtype."""
    if dtype is bf16:
        return (x.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return x.astype(dtype.numpy)


def number(x: Array, dtype: DType) -> Array:
    """Memory as the array of numbers that `ir/scalar/numpy.py` works on."""
    return (x.astype(np.uint32) << np.uint32(16)).view(np.float32) if dtype is bf16 else x
