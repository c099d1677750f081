"""The samples of the op table as test cases, and results in a form that can be compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
from oracles import ORACLE
from ostinato.ir import ops as ops
from ostinato.ir.interpret.arrays import ArrayBuilder, ArrayTensor, tensor
from ostinato.ir.op import OPS, Op, building
from ostinato.ir.samples import WithoutGradient

# Rounding errors in the oracle's own dtype, as multiples of the spacing of numbers at 1.
TOLERANCE = {"float64": 2.0**-46, "float32": 2.0**-19, "float16": 2.0**-9, "bfloat16": 2.0**-6}


@dataclass(frozen=True, eq=False)
class Case:
    """One sample of an op, every attribute filled in."""

    op: Op
    index: int
    operands: tuple[Any, ...]
    attrs: dict[str, Any]
    has_gradient: bool

    def __str__(self) -> str:
        return f"{self.op.name}-{self.index}"


def native_operand(kind: str, value: Any, place: Callable[[Any], Any]) -> Any:
    """An operand for a native call; numbers stay, random states become generators, and `place`
    makes tensors of arrays."""
    if kind == "rng":
        seed, offset = (int(v) for v in value)
        generator = ot.Generator(seed)
        generator.offset = offset
        return generator
    if isinstance(value, tuple):
        return [native_operand("tensor", v, place) for v in value]
    return place(value) if isinstance(value, (np.ndarray, np.generic)) else value


def is_table_op(op: Op) -> bool:
    """False for functions, which expand at the call: they have neither rules nor a native op."""
    return op.kind != "function"


def cases_of(op: Op) -> Iterator[Case]:
    """The samples of `op`."""
    assert op.samples is not None, f"{op.name} has no samples"
    for index, sample in enumerate(op.samples()):
        operands, given = sample
        attrs = {p.name: given.get(p.name, p.default) for p in op.attrs}
        yield Case(op, index, operands, attrs, not isinstance(sample, WithoutGradient))


def all_cases(keep: Callable[[Op], bool] = lambda op: True) -> list[Any]:
    """Every sample of the ops that `keep` holds for, as parameters of a test."""
    chosen = (op for op in OPS.values() if keep(op))
    return [pytest.param(case, id=str(case)) for op in chosen for case in cases_of(op)]


def flat(values: Any) -> list[Any]:
    """A value, or the values of a tuple or list and of those in it."""
    if isinstance(values, (list, tuple)):
        return [w for v in values for w in flat(v)]  # pyright: ignore[reportUnknownVariableType]
    return [values]


def expected(case: Case) -> list[Any]:
    """What the oracle gives."""
    return flat(ORACLE[case.op.name](*case.operands, **case.attrs))


def called(op: Op, operands: Any, attrs: dict[str, Any], wrap: Callable[..., Any] = tensor) -> Any:
    """`op` on values that `wrap` makes of the arrays among `operands`."""
    wrapped = [
        tuple(wrap(v) for v in o) if isinstance(o, tuple) else o if o is None else wrap(o)  # pyright: ignore[reportUnknownVariableType]
        for o in operands
    ]
    named = {p.name: o for p, o in zip(op.operands, wrapped, strict=True)}
    with building(ArrayBuilder()):
        return op(**named, **attrs)


def dtype_name(value: Any) -> str:
    """The name of the dtype of one of our values, a torch tensor or an array."""
    if isinstance(value, ArrayTensor):
        return value.dtype.name
    return str(value.dtype).removeprefix("torch.")


def to_array(value: Any) -> Any:
    """The elements as an array, floats in float64."""
    if isinstance(value, torch.Tensor):
        value = value.detach()
        return (value.double() if value.dtype.is_floating_point else value).numpy()
    array = np.asarray(value)
    return array.astype("float64") if array.dtype.kind == "f" else array


def assert_same(found: Any, wanted: Any, tolerance: float | None = None) -> None:
    """Shape and dtype are those of `wanted`, and the elements but for rounding."""
    assert found.shape == tuple(wanted.shape)
    assert dtype_name(found) == dtype_name(wanted)
    assert_close(to_array(found), to_array(wanted), tolerance or TOLERANCE.get(dtype_name(wanted)))


def assert_close(found: Any, wanted: Any, tolerance: float | None) -> None:
    """The elements are equal, or as far apart as `tolerance` times the largest of them."""
    if tolerance is None:
        np.testing.assert_array_equal(found, wanted)
        return
    finite = np.abs(wanted[np.isfinite(wanted)])
    scale = max(1.0, finite.max(initial=0.0))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale)
