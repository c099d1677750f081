"""The meaning of ops on NumPy arrays: bodies of primitives, scalar bodies, bodies of composites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import BY_NAME, DType, bool_, float32, float64, int64
from ..op import Builder, Op, Type, Value, building
from ..scalar import expression as s
from ..scalar.numpy import evaluate, numpy_dtype

Array = NDArray[Any]

_NUMBERS = {bool: bool_, int: int64, float: float64}


class ArrayTensor(Value):
    """A value: `array` holds its elements, those of bfloat16 as the float32 numbers they are."""

    def __init__(self, array: Array, dtype: DType, wrapped: bool = False) -> None:
        assert array.dtype == numpy_dtype(dtype), f"{array.dtype} cannot hold {dtype}"
        self.array, self.dtype, self.wrapped = array, dtype, wrapped
        self.shape = array.shape

    def __repr__(self) -> str:
        return f"ArrayTensor({self.array!r}, {self.dtype})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.array, dtype=dtype, copy=copy)

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The result, or the tuple of results, of `op`."""
        results = apply(op, operands, attrs)
        return results[0] if len(results) == 1 else tuple(results)


class ArrayBuilder(Builder):
    """Applies ops that have numbers for operands, or none."""

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The result, or the tuple of results, of `op`."""
        results = apply(op, operands, attrs)
        return results[0] if len(results) == 1 else tuple(results)


def tensor(value: Any, dtype: DType | None = None) -> ArrayTensor:
    """A number (then wrapped) or an array as a value, converted where `dtype` is given."""
    if isinstance(value, ArrayTensor):
        return value if dtype is None else ArrayTensor(convert(value.array, dtype), dtype)
    if dtype is None and type(value) in _NUMBERS:
        of = _NUMBERS[type(value)]
        return ArrayTensor(np.asarray(value, of.numpy), of, wrapped=True)
    array = np.asarray(value)
    if dtype is None:
        return ArrayTensor(array, BY_NAME[array.dtype.name])
    return ArrayTensor(convert(array, dtype), dtype)


def convert(array: Array, dtype: DType) -> Array:
    """`array` converted as `to` does, into an array that holds `dtype`."""
    given = s.argument(0, BY_NAME.get(array.dtype.name, int64))
    return evaluate([s.cast(given, dtype)], [array])[0]


def apply(op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> list[ArrayTensor]:
    """The results of `op`, each of the shape and dtype that its rules say.

    `operands` has an entry for each operand of the schema: an ArrayTensor, an array or a number,
    None for an absent one, a sequence for a list. Raises what the rules raise; AssertionError where
    a body contradicts the shape rule.
    """
    given = [_lift(o) for o in operands]
    types = op.infer(given, attrs)
    if op.is_pointwise:
        arrays = [_pointwise(op, given, attrs, types[0])]
    elif op.kind == "primitive":
        with np.errstate(all="ignore"):
            arrays = _results(op.body(**_named(op, [_plain(o) for o in given]), **attrs))
    else:
        with building(ArrayBuilder()):
            arrays = _results(op.body(**_named(op, given), **attrs))
    return [_checked(op, a, t) for a, t in zip(arrays, types, strict=True)]


def _lift(operand: Any) -> Any:
    if operand is None:
        return None
    if isinstance(operand, (list, tuple)):
        return tuple(tensor(o) for o in operand)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return tensor(operand)


def _named(op: Op, values: Sequence[Any]) -> dict[str, Any]:
    return {p.name: v for p, v in zip(op.operands, values, strict=True)}


def _plain(operand: Any) -> Any:
    """What bodies of primitives compute with: arrays, of half types in float32."""
    if isinstance(operand, tuple):
        return tuple(_plain(o) for o in operand)  # pyright: ignore[reportUnknownVariableType]
    if operand is None:
        return None
    return operand.array.astype(np.float32) if _is_half(operand.dtype) else operand.array


def _is_half(dtype: DType) -> bool:
    return dtype.is_floating_point and dtype.bits == 16


def _results(result: Any) -> list[Any]:
    values: list[Any] = list(result) if isinstance(result, tuple) else [result]  # pyright: ignore[reportUnknownArgumentType]
    return [v.array if isinstance(v, ArrayTensor) else np.asarray(v) for v in values]


def _pointwise(op: Op, operands: Sequence[Any], attrs: dict[str, Any], of: Type) -> Array:
    compute = op.compute(operands, attrs)
    compute = float32 if _is_half(compute) else compute
    dtypes = [t.dtype if i in op.uncast else compute for i, t in enumerate(operands)]
    arguments = [s.argument(i, d) for i, d in enumerate(dtypes)]
    root = s.cast(op.scalar_body(*arguments, **attrs), of.dtype)
    arrays = [convert(t.array, d) for t, d in zip(operands, dtypes, strict=True)]
    shape: Any = of.shape
    return np.broadcast_to(evaluate([root], arrays)[0], shape)


def _checked(op: Op, array: Array, of: Type) -> ArrayTensor:
    assert array.shape == of.shape, f"{op.name}: the body gives {array.shape}, the rule {of.shape}"
    return ArrayTensor(convert(array, of.dtype), of.dtype)
