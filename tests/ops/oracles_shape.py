"""Oracles of creation, views, slices and joins."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from oracles_torch import on_torch


def _squeeze(x: Any, dim: Any) -> Any:
    return torch.squeeze(x) if dim is None else torch.squeeze(x, dim)


def _slice(x: Any, dim: int, start: int, stop: int, step: int) -> Any:
    return x.movedim(dim, 0)[start:stop:step].movedim(0, dim)


def _slice_scatter(x: Any, src: Any, dim: int, start: int, stop: int, step: int) -> Any:
    y = x.clone()
    part = y.movedim(dim, 0)[start:stop:step].movedim(0, dim)
    part.copy_(src)
    return y


def _select_scatter(x: Any, src: Any, dim: int, index: int) -> Any:
    y = x.clone()
    y.select(dim, index).copy_(src)
    return y


def _iota(start: Any, step: Any, length: int, dtype: Any) -> Any:
    floats = any(isinstance(v, float) or getattr(v, "ndim", None) == 0 for v in (start, step))
    dtype = dtype or (torch.float32 if floats else torch.int64)
    rows = [start + i * step for i in range(length)]
    if any(isinstance(v, torch.Tensor) for v in rows):
        return torch.stack(rows)
    return torch.tensor(rows, dtype=dtype)


def _full(value: Any, size: Any, dtype: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.expand(size).to(dtype or value.dtype)
    return torch.full(size, value, dtype=dtype)


def _arange(start: Any, end: Any, step: Any, dtype: Any) -> Any:
    return torch.arange(*((0, start) if end is None else (start, end)), step, dtype=dtype)


def _eye(n: int, m: int | None, dtype: Any) -> Any:
    return torch.eye(n, n if m is None else m, dtype=dtype)


def _split(x: Any, split_size_or_sections: Any, dim: int) -> Any:
    return torch.split(x, split_size_or_sections, dim)


ORACLE: dict[str, Callable[..., Any]] = {
    "full": on_torch(_full),
    "iota": on_torch(_iota),
    "size_tensor": lambda size: np.array(size, "int64"),
    "zeros": on_torch(torch.zeros),
    "ones": on_torch(torch.ones),
    "full_like": on_torch(lambda x, v, dtype: torch.full_like(x, v, dtype=dtype)),
    "zeros_like": on_torch(torch.zeros_like),
    "ones_like": on_torch(torch.ones_like),
    "arange": on_torch(_arange),
    "eye": on_torch(_eye),
    "to_device": on_torch(lambda x, device, source, non_blocking: x),
    "reshape": on_torch(torch.reshape),
    "view": on_torch(lambda x, shape: x.view(shape)),
    "permute": on_torch(torch.permute),
    "transpose": on_torch(torch.transpose),
    "expand": on_torch(lambda x, size: x.expand(size)),
    "squeeze": on_torch(_squeeze),
    "unsqueeze": on_torch(torch.unsqueeze),
    "detach": on_torch(torch.detach),
    "flatten": on_torch(torch.flatten),
    "unflatten": on_torch(torch.unflatten),
    "t": on_torch(torch.t),
    "slice": on_torch(_slice),
    "select": on_torch(torch.select),
    "narrow": on_torch(torch.narrow),
    "slice_scatter": on_torch(_slice_scatter),
    "select_scatter": on_torch(_select_scatter),
    "pad": on_torch(F.pad),
    "split": on_torch(_split),
    "chunk": on_torch(torch.chunk),
    "unbind": on_torch(torch.unbind),
    "cat": on_torch(lambda tensors, dim: torch.cat(tensors, dim)),
    "stack": on_torch(lambda tensors, dim: torch.stack(tensors, dim)),
    "flip": on_torch(torch.flip),
    "tril": on_torch(torch.tril),
    "triu": on_torch(torch.triu),
}
