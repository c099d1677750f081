"""Matrix products."""

from __future__ import annotations

from ..dtypes import Agreed, Only
from ..lazy import np
from ..op import Tensor, composite, primitive
from ..shapes_product import Linear, MatMul
from .arithmetic import add
from .view import transpose


@primitive(shape=MatMul(), dtype=Only(Agreed((0, 1)), "if"))
def matmul(x: Tensor, y: Tensor) -> Tensor:
    """The matrix product: 1-d operands are vectors, leading axes broadcast. Half types are
    multiplied and added up in float32."""
    return np.matmul(x, y)


@composite(shape=Linear(), dtype=Only(Agreed((0, 1, 2)), "f"), native=True, method=False,
           namespace="nn.functional")  # fmt: skip
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input (..., k) times weight (n, k) transposed, plus bias (n,): (..., n)."""
    product = matmul(input, transpose(weight, dim0=0, dim1=1))
    return product if bias is None else add(product, bias)
