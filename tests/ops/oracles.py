"""An independent meaning for every op: PyTorch, NumPy or plain Python, never the op's own body.

`ORACLE[name](*operands, **attrs)` takes one value for each operand of the schema (an array, a torch
tensor, a number, None, a tuple for a list) and every attribute, and gives a tensor, an array, or a
tuple of them. Oracles that are built on torch are differentiable by torch.
"""

from collections.abc import Callable
from typing import Any

import oracles_index
import oracles_nn
import oracles_pointwise
import oracles_random
import oracles_reduce
import oracles_shape

ORACLE: dict[str, Callable[..., Any]] = {
    **oracles_pointwise.ORACLE,
    **oracles_reduce.ORACLE,
    **oracles_shape.ORACLE,
    **oracles_index.ORACLE,
    **oracles_random.ORACLE,
    **oracles_nn.ORACLE,
}
