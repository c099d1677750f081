"""Every op means what its oracle says: shapes and dtypes by rule, elements by body."""

from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
from op_cases import (
    TOLERANCE,
    Case,
    all_cases,
    assert_same,
    called,
    dtype_name,
    expected,
    flat,
    is_table_op,
    to_array,
)
from oracles import ORACLE
from oracles_random import philox
from oracles_torch import to_torch, torch_dtype
from ostinato.ir.dims import Dim
from ostinato.ir.dtypes import DType, bfloat16, float16
from ostinato.ir.errors import DTypeError, ShapeError
from ostinato.ir.interpret.arrays import tensor
from ostinato.ir.op import OPS, Type
from ostinato.runtime import _C
from symbolic_cases import size_of


def test_every_op_has_an_oracle_and_samples() -> None:
    assert sorted(ORACLE) == sorted(OPS)
    assert [op.name for op in OPS.values() if op.samples is None] == []


@pytest.mark.parametrize("case", all_cases())
def test_body_agrees_with_the_oracle(case: Case) -> None:
    found = flat(called(case.op, case.operands, case.attrs))
    for ours, theirs in zip(found, expected(case), strict=True):
        assert_same(ours, theirs)


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
        assert tuple(size_of(s, values) for s in ours.shape) == wanted.shape


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


def _native(operand: Any) -> Any:
    if isinstance(operand, tuple):
        return [_native(o) for o in operand]
    is_array = isinstance(operand, (np.ndarray, np.generic))
    return ot.from_numpy(np.asarray(operand)) if is_array else operand


X23 = np.zeros((2, 3), "float32")
REFUSED = [
    # op, operands, attributes, what is said
    ("add", (X23, np.zeros(2)), {},
     "add: shapes (2, 3) and (2,) do not broadcast; sizes must be equal or 1, counted from the "
     "last"),
    ("sub", (X23 > 0, True), {},
     "sub: input has dtype bool; give an integer or floating-point dtype"),
    ("where", (X23, X23, X23), {}, "where: condition has dtype float32; give bool"),
    ("bitwise_and", (X23, X23), {},
     "bitwise_and: input has dtype float32; give bool or an integer dtype"),
    ("matmul", (X23, X23.astype("float64").T), {},
     "matmul: dtypes float32 and float64 differ; convert one of the operands with `.to(dtype)`"),
    ("gather", (X23, X23), {"dim": 0}, "gather: index has dtype float32; give an integer dtype"),
    ("gather", (X23, np.zeros((3, 3), "int64")), {"dim": 1},
     "gather: index (3, 3) does not fit input (2, 3); give an index of the same rank, no longer "
     "along any other axis"),
    ("scatter_add", (X23, np.zeros((2, 3), "int64"), X23[:1]), {"dim": 1},
     "scatter_add: index (2, 3) does not fit src (1, 3); give an index of the same rank, no longer "
     "along any other axis"),
    ("select", (X23,), {"dim": 1, "index": 3},
     "select: index 3 is out of range for dim 1 of shape (2, 3); give an index from -3 to 2"),
    ("select", (X23[0, 0],), {"dim": 0, "index": 0},
     "select: shape () has no axis to index; give a tensor with axes"),
    ("topk", (X23,), {"k": 4},
     "topk: k 4 is out of range for dim 1 of shape (2, 3); give one from 0 to 3"),
    ("topk", (X23,), {"k": -1, "dim": 0},
     "topk: k -1 is out of range for dim 0 of shape (2, 3); give one from 0 to 2"),
    ("topk", (X23[0, 0],), {"k": 0},
     "topk: shape () has no axis to index; give a tensor with axes"),
    ("topk", (X23 > 0,), {"k": 1},
     "topk: input has dtype bool; give an integer or floating-point dtype"),
    ("softmax", (X23[0, 0],), {"dim": 1},
     "softmax: dim 1 is out of range for shape (); give a dim from -1 to 0"),
    ("sum", (X23,), {"dim": (1, -1)},
     "sum: dim (1, -1) names an axis twice; give each axis once"),
    ("permute", (X23,), {"dims": (1, 1)},
     "permute: dims (1, 1) do not order the axes of shape (2, 3); name each axis once"),
    ("full", (1.0,), {"size": (2, -1)},
     "full: size (2, -1) is negative; give sizes from 0"),
    ("randperm", (None,), {"n": -1}, "randperm: size -1 is negative; give a size from 0"),
    ("reshape", (X23,), {"shape": (4, -1)},
     "reshape: shape (2, 3) has 6 elements, which do not fit (4, -1); give sizes with the same "
     "product (one may be -1)"),
    ("reshape", (X23,), {"shape": (-1, -1)},
     "reshape: shape (2, 3) has 6 elements, which do not fit (-1, -1); give sizes with the same "
     "product (one may be -1)"),
    ("reshape", (X23,), {"shape": (-3, -2)},
     "reshape: shape (2, 3) has 6 elements, which do not fit (-3, -2); give sizes with the same "
     "product (one may be -1)"),
    ("reshape", (X23[:0],), {"shape": (0, -1)},
     "reshape: shape (0, 3) has 0 elements, which do not fit (0, -1); give sizes with the same "
     "product (one may be -1)"),
    ("expand", (X23,), {"size": (2, 4)},
     "expand: shape (2, 3) does not expand to (2, 4); only axes of size 1 and new axes in front "
     "can grow"),
    ("expand", (X23[0],), {"size": (-1, 3)},
     "expand: shape (3,) does not expand to (-1, 3); only axes of size 1 and new axes in front "
     "can grow"),
    ("expand", (X23,), {"size": (3,)},
     "expand: shape (2, 3) does not expand to (3,); only axes of size 1 and new axes in front "
     "can grow"),
    ("cat", ((X23, X23.T),), {"dim": 0},
     "cat: shapes (2, 3) and (3, 2) differ outside dim 0; give tensors that agree in every other "
     "size"),
    ("cat", ((X23, X23, X23.T),), {"dim": -1},
     "cat: shapes (2, 3) and (3, 2) differ outside dim 1; give tensors that agree in every other "
     "size"),
    ("cat", ((X23, X23[0]),), {"dim": 0},
     "cat: shapes (2, 3) and (3,) differ outside dim 0; give tensors that agree in every other "
     "size"),
    ("slice", (X23,), {"dim": 0, "start": 0, "stop": 1, "step": 0},
     "slice: step 0 is not positive; give a step from 1, then flip"),
    ("slice", (X23[0, 0],), {"dim": 0, "start": 0, "stop": 1},
     "slice: shape () has no axis to slice; give a tensor with axes"),
    ("pad", (X23,), {"pad": (1, 1, 1, 1, 1, 1)},
     "pad: pad (1, 1, 1, 1, 1, 1) does not fit shape (2, 3); give (before, after) pairs for the "
     "last axes"),
    ("pad", (X23,), {"pad": (1,)},
     "pad: pad (1,) does not fit shape (2, 3); give (before, after) pairs for the last axes"),
    ("pad", (X23,), {"pad": (-2, -2)}, "pad: pad (-2, -2) cuts more than there is; pad less"),
    ("matmul", (X23, X23), {},
     "matmul: shapes (2, 3) and (2, 3) do not multiply; the last size of the first must equal the "
     "second to last (or only) size of the second"),
    ("matmul", (X23[0, 0], X23), {},
     "matmul: shapes () and (2, 3) do not multiply; the last size of the first must equal the "
     "second to last (or only) size of the second"),
    ("linear", (X23, X23.T, None), {},
     "linear: input (2, 3) does not fit weight (3, 2); the last size of the input must equal the "
     "last size of the (out, in) weight"),
    ("attention", (X23, X23, X23.T, None), {"is_causal": False, "scale": 1.0},
     "attention: query (2, 3), key (2, 3) and value (3, 2) do not fit; give (..., L, E), "
     "(..., S, E) and (..., S, Ev)"),
    ("attention", (X23[None], X23, X23, None), {"is_causal": False, "scale": 1.0},
     "attention: query (1, 2, 3), key (2, 3) and value (2, 3) do not fit; give (..., L, E), "
     "(..., S, E) and (..., S, Ev)"),
    ("attention", (X23[0], X23, X23, None), {"is_causal": False, "scale": 1.0},
     "attention: query (3,), key (2, 3) and value (2, 3) do not fit; give (..., L, E), "
     "(..., S, E) and (..., S, Ev)"),
    ("attention", (X23, X23, X23, X23), {"is_causal": False, "scale": 1.0},
     "attention: attn_mask (2, 3) does not broadcast to (2, 2); give sizes equal or 1, counted "
     "from the last"),
    ("attention", (X23, X23, X23, X23[None, :, :2]), {"is_causal": False, "scale": 1.0},
     "attention: attn_mask (1, 2, 2) does not broadcast to (2, 2); give sizes equal or 1, counted "
     "from the last"),
    ("select", (np.zeros((4, 3)),), {"dim": 1, "index": 3},
     "select: index 3 is out of range for dim 1 of shape (4, 3); give an index from -3 to 2"),
    ("reshape", (np.zeros((1, 1)),), {"shape": (-1, -1)},
     "reshape: shape (1, 1) has 1 elements, which do not fit (-1, -1); give sizes with the same "
     "product (one may be -1)"),
    ("reshape", (np.zeros(4),), {"shape": (-2, -2)},
     "reshape: shape (4,) has 4 elements, which do not fit (-2, -2); give sizes with the same "
     "product (one may be -1)"),
    ("multinomial", (X23[0, 0], None), {"num_samples": 1},
     "multinomial: shape () has too few axes; give a tensor with at least 1"),
    ("softmax", (X23,), {"dim": 2},
     "softmax: dim 2 is out of range for shape (2, 3); give a dim from -2 to 1"),
    ("tril", (X23[0],), {},
     "tril: shape (3,) has too few axes; give a tensor with at least 2"),
    ("one_hot", (np.zeros(2, "int64"),), {"num_classes": -1},
     "one_hot: size -1 is negative; give a size from 0"),
    ("layer_norm", (X23, None, None), {"normalized_shape": (2,)},
     "layer_norm: shape (3,) is not the normalized shape (2,); give the last sizes of the input, "
     "and weight and bias of that shape"),
    ("layer_norm", (X23, X23, None), {"normalized_shape": (3,)},
     "layer_norm: shape (2, 3) is not the normalized shape (3,); give the last sizes of the input, "
     "and weight and bias of that shape"),
    ("cross_entropy", (X23, np.zeros(3, "int64")), {},
     "cross_entropy: input (2, 3) does not fit target (3,); give (N, C, ...) and (N, ...), or (C,) "
     "and ()"),
    ("cross_entropy", (X23, X23[:, 0]), {},
     "cross_entropy: target has dtype float32; give an integer dtype"),
    ("mse_loss", (X23, X23), {"reduction": "avg"},
     "mse_loss: 'avg' is not known for reduction; give 'none', 'mean' or 'sum'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "operands", "attrs", "text"), REFUSED)
def test_refusals(name: str, operands: Any, attrs: dict[str, Any], text: str) -> None:
    """The rules and the native call say the same."""
    op = OPS[name]
    attrs = {p.name: attrs.get(p.name, p.default) for p in op.attrs}
    with pytest.raises((ShapeError, DTypeError, ValueError)) as by_rule:
        op.infer([_type_of(o) for o in operands], attrs)
    given = [_native(o) for o in operands]
    named = {p.name: o for p, o in zip(op.operands, given, strict=True)}
    with pytest.raises((ShapeError, DTypeError, ValueError)) as by_call:
        _C.call(name, **named, **attrs)
    assert (str(by_rule.value), str(by_call.value)) == (text, text)
    assert by_rule.type is by_call.type


def test_help_says_what_the_table_says() -> None:
    in_python = {"to", "copy_"}  # which take more than the ops do
    ops = [op for op in OPS.values() if op.kind != "function"]
    assert len(ops) > 100
    for op in ops:
        assert getattr(_C.ops, op.name).__doc__ == op.doc
        if op.method and op.name not in in_python:
            assert getattr(_C.Tensor, op.name).__doc__ == op.doc
        if op.inplace and f"{op.name}_" not in in_python:
            assert getattr(_C.Tensor, f"{op.name}_").__doc__ == f"In place: {op.doc}"
