"""Matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dims import product
from ..dtypes import Agreed, Only
from ..lazy import np
from ..op import Sample, Tensor, composite, primitive
from ..samples import floats, ints, sample
from ..shapes_product import Linear, MatMul
from .arithmetic import add
from .view import reshape, squeeze, transpose, unsqueeze


@primitive(shape=MatMul(), dtype=Only(Agreed((0, 1)), "if"), autocast="low")
def matmul(x: Tensor, y: Tensor) -> Tensor:
    """The matrix product: 1-d operands are vectors, leading axes broadcast. Half types are
    multiplied and added up in float32."""
    return np.matmul(x, y)


@matmul.vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Any:
    if x.ndim == 1 and y.ndim == 1:
        return g * y, g * x
    if x.ndim == 1:
        column = unsqueeze(g, dim=-1)
        return squeeze(matmul(y, column), dim=(-1,)), unsqueeze(x, dim=-1) * unsqueeze(g, dim=-2)
    if y.ndim == 1:
        column = unsqueeze(g, dim=-1)
        return column * y, squeeze(matmul(_transposed(x), column), dim=(-1,))
    x_g = matmul(g, _transposed(y))
    if y.ndim == 2:
        return x_g, matmul(_transposed(_matrix(x)), _matrix(g))
    return x_g, matmul(_transposed(x), g)


@matmul.sampled
def _() -> Iterator[Sample]:
    shapes = [
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3,)),
        ((2, 2, 3), (3, 4)),
        ((2, 1, 2, 3), (3, 3, 4)),
        ((2, 3), (2, 3, 4)),
        ((3,), (2, 3, 4)),
        ((2, 2, 3), (3,)),
        ((2, 0), (0, 3)),
        ((0, 2), (2, 3)),
        ((1, 1), (1, 1)),
        ((0, 2, 3), (3, 2)),
    ]
    for first, second in shapes:
        yield sample(floats(*first), floats(*second, seed=1))
    yield sample(floats(3, 2).T, floats(4, 3, seed=1).T)
    yield sample(ints(2, 3), ints(3, 2, seed=1))
    yield sample(floats(2, 3, dtype="float16"), floats(3, 2, dtype="float16", seed=1))


def _transposed(x: Any) -> Any:
    return transpose(x, dim0=-2, dim1=-1)


def _matrix(x: Any) -> Any:
    """x with all axes but the last made one."""
    return x if x.ndim == 2 else reshape(x, shape=(product(x.shape[:-1]), x.shape[-1]))


@composite(shape=Linear(), dtype=Only(Agreed((0, 1, 2)), "f"), native=True, method=False,
           namespace="nn.functional", autocast="low")  # fmt: skip
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input (..., k) times weight (n, k) transposed, plus bias (n,): (..., n)."""
    product = matmul(input, transpose(weight, dim0=0, dim1=1))
    return product if bias is None else add(product, bias)


@linear.vjp
def _(g: Tensor, out: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
    weight_g = matmul(_transposed(_matrix(g)), _matrix(input))
    return matmul(g, weight), weight_g, None if bias is None else g


@linear.sampled
def _() -> Iterator[Sample]:
    yield sample(floats(2, 3), floats(4, 3, seed=1), floats(4, seed=2))
    yield sample(floats(2, 2, 3), floats(4, 3, seed=1), floats(4, seed=2))
    yield sample(floats(3), floats(4, 3, seed=1), None)
    yield sample(floats(0, 3), floats(4, 3, seed=1), floats(4, seed=2))
    yield sample(floats(2, 3, dtype="float16"), floats(1, 3, dtype="float16", seed=1), None)
