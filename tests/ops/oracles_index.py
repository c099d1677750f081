"""Oracles of indexing, and of matrix products."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from oracles_torch import on_torch


def _index_select(x: Any, index: Any, dim: int) -> Any:
    flat = torch.index_select(x, dim, index.reshape(-1).int())
    dim %= x.ndim
    return flat.reshape(*x.shape[:dim], *index.shape, *x.shape[dim + 1 :])


def _index_add(x: Any, index: Any, source: Any, dim: int) -> Any:
    dim %= x.ndim
    flat = source.reshape(*x.shape[:dim], -1, *x.shape[dim + 1 :]) if index.numel() else None
    return x if flat is None else torch.index_add(x, dim, index.reshape(-1).int(), flat)


def _index_select_backward(g: Any, index: Any, dim: int, size: Any) -> Any:
    x = torch.zeros(size, dtype=g.dtype, requires_grad=True)
    return torch.autograd.grad(_index_select(x, index, dim), x, g)[0]


def _one_hot(x: Any, num_classes: int) -> Any:
    # torch asks for a class even where there is nothing to be one.
    return F.one_hot(x.long(), num_classes) if num_classes else x.new_zeros((*x.shape, 0)).long()


def _as_strided_scatter(x: Any, src: Any, size: Any, stride: Any, storage_offset: int) -> Any:
    y = x.clone()
    y.as_strided(size, stride, storage_offset).copy_(src)
    return y


ORACLE: dict[str, Callable[..., Any]] = {
    "gather": on_torch(lambda x, index, dim: torch.gather(x, dim, index)),
    "scatter_add": on_torch(
        lambda x, index, src, dim: torch.scatter_add(x, dim, index.long(), src)
    ),
    "index_select": on_torch(_index_select),
    "index_add": on_torch(_index_add),
    "index_select_backward": on_torch(_index_select_backward),
    "embedding": on_torch(lambda x, weight: F.embedding(x, weight)),
    "one_hot": on_torch(_one_hot),
    "as_strided": on_torch(torch.as_strided),
    "as_strided_scatter": on_torch(_as_strided_scatter),
    "matmul": on_torch(torch.matmul),
    "linear": on_torch(F.linear),
}
