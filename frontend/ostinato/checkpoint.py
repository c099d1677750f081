"""Tensors in safetensors files, bfloat16 included."""

# safetensors has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import Tensor, bfloat16, device, float32, from_numpy

_NUMPY = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
}
_Array = np.ndarray[Any, np.dtype[Any]]


def save_safetensors(
    tensors: Mapping[str, Tensor],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write `tensors` and `metadata` to `path`, which holds either the old file or all of the new.

    Raises OSError where the file cannot be written.
    """
    from safetensors import TensorSpec, serialize

    # A TensorSpec holds a bare address, so the arrays outlive it here.
    arrays = {name: _to_array(t) for name, t in tensors.items()}
    specs = {
        name: TensorSpec(
            dtype="bfloat16" if tensors[name].dtype == bfloat16 else array.dtype.name,
            shape=array.shape,
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, array in arrays.items()
    }
    write_atomically(Path(path), serialize(specs, dict(metadata) if metadata else None))


def load_safetensors(
    path: str | os.PathLike[str], device: device | str = "cpu"
) -> dict[str, Tensor]:
    """The tensors of a file, by name, on `device`.

    Raises ValueError where the file is damaged or holds a dtype that Ostinato lacks.
    """
    return {name: t.to(device) for name, t in read_safetensors(path)[0].items()}


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file and its metadata; raises as `load_safetensors`."""
    from safetensors import SafetensorError, deserialize, safe_open

    try:
        with safe_open(path, framework="np") as opened:
            metadata: dict[str, str] = opened.metadata() or {}
        found: list[tuple[str, dict[str, Any]]] = deserialize(Path(path).read_bytes())
    except SafetensorError as error:
        raise ValueError(
            f"load_safetensors: {path} came ({error}); give a whole safetensors file"
        ) from error
    return {name: _to_tensor(name, entry) for name, entry in found}, metadata


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside `path` and rename, so that no reader and no crash sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _to_array(t: Tensor) -> _Array:
    t = t.detach().cpu()
    if t.dtype != bfloat16:
        return np.require(t.numpy(), requirements="C")
    # A bfloat16 is the upper half of the float32 of the same value.
    bits = np.require(t.to(float32).numpy(), requirements="C").view(np.uint32)
    return (bits >> 16).astype(np.uint16)


def _to_tensor(name: str, entry: dict[str, Any]) -> Tensor:
    kind, shape, data = entry["dtype"], entry["shape"], entry["data"]
    if kind == "BF16":
        bits = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return from_numpy(bits.view(np.float32).reshape(shape)).to(bfloat16)
    if kind not in _NUMPY:
        raise ValueError(
            f"load_safetensors: '{name}' of type {kind} came; "
            f"Ostinato has {', '.join(_NUMPY)} and BF16"
        )
    return from_numpy(np.frombuffer(data, _NUMPY[kind]).reshape(shape).copy())
