"""How oracles see values: as torch tensors, and dtypes as torch's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def to_torch(value: Any) -> Any:
    """An array as a tensor (NumPy's float64 scalars too); all else as it is."""
    if isinstance(value, (np.ndarray, np.generic)):
        return torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape))
    if isinstance(value, tuple):
        return tuple(to_torch(v) for v in value)
    return value


def torch_dtype(dtype: Any) -> Any:
    """The torch dtype of the name of an element type of ours."""
    return None if dtype is None else getattr(torch, dtype.name)


def on_torch(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` on torch tensors, its attribute `dtype` as torch's."""

    def oracle(*operands: Any, **attrs: Any) -> Any:
        if "dtype" in attrs:
            attrs["dtype"] = torch_dtype(attrs["dtype"])
        return function(*(to_torch(o) for o in operands), **attrs)

    return oracle


def tensors(function: Callable[..., Any]) -> Callable[..., Any]:
    """`on_torch` of a function that takes no numbers: they become 0-d tensors of torch's dtypes."""
    return on_torch(
        lambda *xs, **attrs: function(
            *(torch.tensor(x) if isinstance(x, (bool, int, float)) else x for x in xs), **attrs
        )
    )
