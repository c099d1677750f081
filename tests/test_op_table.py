"""Every op means what its oracle says: shapes and dtypes by rule, elements by body."""

from typing import Any

import numpy as np
import pytest
import torch

from op_cases import (
    TOLERANCE,
    Case,
    all_cases,
    assert_same,
    called,
    dtype_name,
    expected,
    flat,
    to_array,
)
from oracles import ORACLE
from oracles_random import philox
from oracles_torch import to_torch, torch_dtype
from ostinato.ir.dims import Dim
from ostinato.ir.dtypes import DType, bfloat16, float16
from ostinato.ir.interpret_arrays import tensor
from ostinato.ir.op import OPS, Op, Type


def test_every_op_has_an_oracle_and_samples() -> None:
    assert sorted(ORACLE) == sorted(OPS)
    assert [op.name for op in OPS.values() if op.samples is None] == []


@pytest.mark.parametrize("case", all_cases())
def test_body_agrees_with_the_oracle(case: Case) -> None:
    found = flat(called(case.op, case.operands, case.attrs))
    for ours, theirs in zip(found, expected(case), strict=True):
        assert_same(ours, theirs)


def is_table_op(op: Op) -> bool:
    """False for functions, which expand at the call and have no rules."""
    return op.kind != "function"


@pytest.mark.parametrize("case", all_cases(is_table_op))
def test_rules_agree_with_the_oracle(case: Case) -> None:
    found = case.op.infer([_type_of(o) for o in case.operands], case.attrs)
    for ours, theirs in zip(found, expected(case), strict=True):
        assert (ours.shape, ours.dtype.name) == (tuple(theirs.shape), dtype_name(theirs))


def _type_of(operand: Any) -> Any:
    if operand is None:
        return None
    if isinstance(operand, tuple):
        return tuple(_type_of(o) for o in operand)  # pyright: ignore[reportUnknownVariableType]
    value = tensor(operand)
    return Type(value.shape, value.dtype, value.wrapped)


@pytest.mark.parametrize("case", all_cases(is_table_op))
def test_rules_on_symbols_give_the_same_sizes(case: Case) -> None:
    values: dict[Dim, int] = {}
    operands = [_symbolic(_type_of(o), str(i), values) for i, o in enumerate(case.operands)]
    attrs = {p.name: _symbolic_size(p.name, p.kind, case.attrs, values) for p in case.op.attrs}
    found = case.op.infer(operands, attrs)
    known = case.op.infer([_type_of(o) for o in case.operands], case.attrs)
    for ours, wanted in zip(found, known, strict=True):
        assert tuple(_evaluate(s, values) for s in ours.shape) == wanted.shape


def _symbol(name: str, axis: int, size: int, values: dict[Dim, int]) -> Dim:
    made = Dim("operand", (hash(name), axis))
    values[made] = size
    return made


def _symbolic(of: Any, name: str, values: dict[Dim, int]) -> Any:
    """A type with a symbol for every size but 1."""
    if of is None:
        return None
    if isinstance(of, tuple):
        return tuple(_symbolic(t, f"{name}.{i}", values) for i, t in enumerate(of))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    sizes = enumerate(of.shape)
    shape = tuple(1 if s == 1 else _symbol(name, i, s, values) for i, s in sizes)
    return Type(shape, of.dtype, of.wrapped)


def _symbolic_size(name: str, kind: str, attrs: dict[str, Any], values: dict[Dim, int]) -> Any:
    """Sizes become symbols, except a -1, which has a meaning of its own."""
    value = attrs[name]
    if kind == "size":
        return _symbol(name, -1, value, values)
    if kind == "sizes" and name not in ("shape", "size"):
        return tuple(_symbol(name, i, v, values) for i, v in enumerate(value))
    return value


def _evaluate(size: int | Dim, values: dict[Dim, int]) -> int:
    if isinstance(size, int):
        return size
    if size in values:
        return values[size]
    a, b = (_evaluate(s, values) for s in size.args)
    match size.kind:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "div":
            return a // b
        case "max":
            return max(a, b)
        case _:
            assert size.kind == "min"
            return min(a, b)


PHILOX_VECTORS = [
    # counter, key, result: the known answers that the Random123 library is tested on.
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "result"), PHILOX_VECTORS)
def test_the_oracle_of_random_ops_is_philox(counter: str, key: str, result: str) -> None:
    first, second = (tuple(int(w, 16) for w in text.split()) for text in (counter, key))
    assert philox(first, second) == tuple(int(w, 16) for w in result.split())  # pyright: ignore[reportArgumentType]


def is_single(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float32


# Their oracles compute in plain Python, or their operands are results that halves would round.
NOT_IN_HALF = {"multinomial", "bernoulli", "dropout"}


def half_cases() -> list[Any]:
    """Samples whose float operands are all float32."""
    return [
        case
        for case in all_cases(is_table_op)
        if any(is_single(o) for o in flat(case.values[0].operands))
        and all(is_single(o) or _kind(o) != "f" for o in flat(case.values[0].operands))
        and case.values[0].op.name not in NOT_IN_HALF
        and not case.values[0].op.name.endswith("_backward")
    ]


def _kind(value: Any) -> str:
    return value.dtype.kind if isinstance(value, np.ndarray) else ""


@pytest.mark.parametrize("dtype", [bfloat16, float16], ids=str)
@pytest.mark.parametrize("case", half_cases())
def test_half_types_are_no_worse_than_torchs(case: Case, dtype: DType) -> None:
    """As near to the float64 result of the same operands as torch comes, or within a rounding."""
    halves = mapped(case.operands, lambda x: to_torch(x).to(torch_dtype(dtype)))
    exact = mapped(halves, lambda x: x.double())
    ours = flat(called(case.op, halves, case.attrs, wrap=lambda x: from_torch(x, dtype)))
    theirs = flat(ORACLE[case.op.name](*halves, **case.attrs))
    truths = flat(ORACLE[case.op.name](*exact, **case.attrs))
    for found, wanted, truth in zip(ours, theirs, truths, strict=True):
        assert (found.shape, dtype_name(found)) == (tuple(wanted.shape), dtype_name(wanted))
        exactly, nearly = to_array(truth), to_array(wanted)
        if exactly.dtype.kind != "f":
            np.testing.assert_array_equal(to_array(found), nearly)
            continue
        with np.errstate(invalid="ignore"):
            off = np.abs(nearly - exactly)
        largest = np.abs(exactly[np.isfinite(exactly)]).max(initial=1.0)
        allowed = off[np.isfinite(off)].max(initial=TOLERANCE[dtype.name] * largest)
        np.testing.assert_allclose(to_array(found), exactly, rtol=0, atol=allowed)


def mapped(values: Any, change: Any) -> Any:
    """`values` with float32 arrays and float tensors changed."""
    return tuple(
        mapped(v, change)
        if isinstance(v, tuple)
        else change(v)
        if is_single(v) or (isinstance(v, torch.Tensor) and v.is_floating_point())
        else v
        for v in values
    )


def from_torch(value: Any, dtype: DType) -> Any:
    """A half tensor as one of our values; all else as it is."""
    halves = isinstance(value, torch.Tensor)
    return tensor(value.float().numpy(), dtype) if halves else tensor(value)
