"""Samples of the op table on a CUDA device and on the CPU, in a form that can be compared."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import ostinato as ot
from op_cases import Case, assert_same, flat, native_operand
from ostinato.ir.dtypes import bfloat16, float32
from ostinato.ir.interpret.arrays import ArrayTensor
from ostinato.runtime import _C

Place = Callable[[Any], Any]
"""From an array to a tensor somewhere."""


def on_cpu(array: Any) -> Any:
    """A CPU tensor of its own memory."""
    return _C.from_array(np.array(array))


def on_cuda(array: Any) -> Any:
    """A dense CUDA tensor."""
    return on_cpu(array).to("cuda")


def transposed(array: Any) -> Any:
    """A CUDA tensor of which the first axis is the innermost."""
    axes = tuple(reversed(range(np.ndim(array))))
    dense = on_cuda(np.array(np.transpose(array, axes), order="C"))
    return _C.call("permute", dense, dims=axes) if axes else dense


def misaligned(array: Any) -> Any:
    """A dense CUDA tensor that begins one element behind an aligned address."""
    flat_array = np.asarray(array).reshape(-1)
    longer = on_cuda(np.concatenate([np.zeros(1, flat_array.dtype), flat_array]))
    rest = _C.call("slice", longer, dim=0, start=1, stop=len(flat_array) + 1)
    return _C.call("view", rest, shape=np.shape(array))


def spread(array: Any) -> Any:
    """A CUDA tensor of which every second element of the last axis counts."""
    if np.ndim(array) == 0:
        return misaligned(array)
    last = np.ndim(array) - 1
    doubled = on_cuda(np.repeat(array, 2, axis=last))
    return _C.call("slice", doubled, dim=last, start=0, stop=doubled.shape[last], step=2)


def operands_of(case: Case, place: Place) -> dict[str, Any]:
    """The operands by name."""
    return {
        p.name: native_operand(p.kind, o, place)
        for p, o in zip(case.op.operands, case.operands, strict=True)
    }


def results(case: Case, place: Place) -> list[Any]:
    """The results of the native op, where `place` puts its operands."""
    with ot.device("cpu" if place is on_cpu else "cuda"):
        return flat(_C.call(case.op.name, **operands_of(case, place), **case.attrs))


def value_of(t: Any) -> ArrayTensor:
    """A tensor of any device as a value of the interpreter, which holds bfloat16 as float32."""
    wide = _C.call("to", t, dtype=float32) if t.dtype is bfloat16 else t
    return ArrayTensor(np.array(_C.to_numpy(wide.to("cpu"))), t.dtype)


def assert_alike(
    found: Sequence[Any], wanted: Sequence[Any], tolerance: float | None = None
) -> None:
    """The tensors have the same dtypes, shapes and, but for rounding, elements."""
    for ours, theirs in zip(found, wanted, strict=True):
        assert_same(value_of(ours), value_of(theirs), tolerance)
