"""Native ops mean what their oracles say and refuse what their rules refuse, in the same words."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from op_cases import (
    Case,
    all_cases,
    assert_same,
    cases_of,
    expected,
    flat,
    is_table_op,
    native_operand,
)
from ostinato.ir.dtypes import DTYPES, bfloat16, float32
from ostinato.ir.errors import DTypeError, ShapeError
from ostinato.ir.interpret.arrays import ArrayTensor, tensor
from ostinato.ir.op import OPS, Op
from ostinato.runtime import _C

CASES = all_cases(is_table_op)
TABLE = [pytest.param(op, id=op.name) for op in OPS.values() if is_table_op(op)]


def given(kind: str, value: Any, place: Callable[[Any], Any] = np.asarray) -> Any:
    """An operand for a native call; `place` chooses the memory of arrays."""
    return native_operand(kind, value, lambda array: _C.from_array(place(array)))


def native(case: Case, place: Callable[[Any], Any] = np.asarray) -> list[Any]:
    """The results of the native op, as values of the interpreter."""
    operands = {
        p.name: given(p.kind, o, place)
        for p, o in zip(case.op.operands, case.operands, strict=True)
    }
    return [value_of(t) for t in flat(_C.call(case.op.name, **operands, **case.attrs))]


def value_of(t: Any) -> ArrayTensor:
    """A native tensor as a value of the interpreter, which holds bfloat16 as float32."""
    wide = _C.call("to", t, dtype=float32) if t.dtype is bfloat16 else t
    return ArrayTensor(np.array(_C.to_numpy(wide)), t.dtype)


def test_the_native_table_is_the_table() -> None:
    found = {s[0]: (s[1], s[2], s[3]) for s in _C.schemas()}
    wanted = {
        op.name: (
            [(p.name, p.kind, p.required) for p in op.params],
            op.results,
            op.native,
        )
        for op in OPS.values()
        if is_table_op(op)
    }
    assert found == wanted


def test_every_op_that_is_said_to_be_native_has_a_kernel() -> None:
    assert [s[0] for s in _C.schemas() if s[3] and not s[4]] == []


@pytest.mark.parametrize("case", CASES)
def test_native_op_agrees_with_the_oracle(case: Case) -> None:
    for ours, theirs in zip(native(case), expected(case), strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("case", CASES)
def test_both_forms_of_a_rule_agree(case: Case) -> None:
    by_rule = case.op.infer([_lifted(o) for o in case.operands], case.attrs)
    for ours, theirs in zip(by_rule, native(case), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)


def backwards(x: Any) -> Any:
    """`x` in memory that runs backwards along every axis, the first axis innermost."""
    around = tuple(slice(None, None, -1) for _ in range(x.ndim))
    return np.array(x[around], order="F")[around] if x.ndim else x


def ignores_strides(op: Op) -> bool:
    """False for the views whose elements depend on the strides."""
    return is_table_op(op) and op.name not in ("view", "as_strided")


@pytest.mark.parametrize("case", all_cases(ignores_strides))
def test_strides_do_not_matter(case: Case) -> None:
    for ours, theirs in zip(native(case, backwards), native(case), strict=True):
        assert_same(ours, theirs)


MOVES = (
    "cat", "pad", "flip", "tril", "triu", "gather", "index_select", "slice_scatter",
    "select_scatter", "as_strided_scatter", "permute", "reshape", "expand", "slice", "select",
    "clone", "where",
)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", MOVES)
def test_elements_of_every_dtype_move_alike(name: str, dtype: Any) -> None:
    op = OPS[name]
    for case in cases_of(op):
        named = {
            p.name: _small_floats(p.name, o)
            for p, o in zip(op.operands, case.operands, strict=True)
        }
        wide = _C.call(name, **named, **case.attrs)
        cast = {key: _cast(o, dtype) for key, o in named.items()}
        found = value_of(_C.call(name, **cast, **case.attrs))
        assert_same(found, value_of(_C.call("to", wide, dtype=dtype)), 0.0)


def _small_floats(name: str, operand: Any) -> Any:
    """Elements become float32 numbers that every dtype holds; indices and conditions stay."""
    if isinstance(operand, tuple):
        return [_small_floats(name, o) for o in operand]
    array = np.asarray(operand)
    if name not in ("index", "condition"):
        array = np.abs(np.round(np.asarray(operand, "float64") * 8)).astype("float32")
    return _C.from_array(array)


def _cast(operand: Any, dtype: Any) -> Any:
    if isinstance(operand, list):
        return [_cast(o, dtype) for o in operand]
    return _C.call("to", operand, dtype=dtype) if operand.dtype is float32 else operand


def _converted(operand: Any, dtype: str) -> Any:
    with np.errstate(all="ignore"):
        return operand.astype(dtype)


def spoiled(case: Case) -> Iterator[Case]:
    """The case with one operand of another dtype or shape, or one axis out of range."""
    for i, operand in enumerate(case.operands):
        if not isinstance(operand, np.ndarray) or case.op.operands[i].kind == "rng":
            continue
        others = [_converted(operand, d) for d in ("bool", "int32", "float16", "float64")]
        others += [np.stack([operand] * 7), np.stack([operand] * 7, axis=-1)]
        others += [operand.reshape(-1), operand[..., :1] if operand.ndim else operand]
        others += [np.asarray(operand[0])] if operand.ndim and len(operand) else []
        for other in others:
            operands = (*case.operands[:i], other, *case.operands[i + 1 :])
            yield dataclasses.replace(case, operands=operands)
    for name, value in case.attrs.items():
        wrong = {"dim": 99, "dim0": -99, "dim1": 7, "index": 99, "step": 0, "length": -1, "n": -2}
        if name in wrong:
            other = (wrong[name],) if isinstance(value, tuple) else wrong[name]
            yield dataclasses.replace(case, attrs={**case.attrs, name: other})
        elif isinstance(value, tuple) and name in (
            "size",
            "shape",
            "pad",
            "dims",
            "normalized_shape",
        ):
            for other in ((*value, 5), (*value, -2), (7,)):
                yield dataclasses.replace(case, attrs={**case.attrs, name: other})


def _lifted(operand: Any) -> Any:
    if isinstance(operand, tuple):
        return tuple(tensor(o) for o in operand)  # pyright: ignore[reportUnknownVariableType]
    return None if operand is None else tensor(operand)


@pytest.mark.parametrize("op", TABLE)
def test_bad_calls_are_refused_with_the_text_of_the_rule(op: Op) -> None:
    for case in cases_of(op):
        for bad in spoiled(case):
            try:
                op.infer([_lifted(o) for o in bad.operands], bad.attrs)
            except (ShapeError, DTypeError) as error:
                with pytest.raises(type(error)) as refusal:
                    native(bad)
                assert str(refusal.value) == str(error)


def test_bad_calls_are_found() -> None:
    refused = 0
    for op in OPS.values():
        if is_table_op(op):
            for case in cases_of(op):
                for bad in spoiled(case):
                    try:
                        op.infer([_lifted(o) for o in bad.operands], bad.attrs)
                    except (ShapeError, DTypeError):
                        refused += 1
    assert refused > 500


INDEXED = [
    ("index_select", ("x", "index"), {"dim": 0}),
    ("gather", ("x", "index"), {"dim": 0}),
    ("index_add", ("x", "index", "x"), {"dim": 0}),
    ("scatter_add", ("x", "index", "x"), {"dim": 0}),
    ("index_select_backward", ("x", "index"), {"dim": 0, "size": (4,)}),
]


@pytest.mark.parametrize("wrong", [4, 40, -1])
@pytest.mark.parametrize(("name", "operands", "attrs"), INDEXED)
def test_indices_out_of_range(name: str, operands: Any, attrs: Any, wrong: int) -> None:
    values = {"x": np.ones(4, "float32"), "index": np.array([0, 3, wrong, 1])}
    named = [_C.from_array(values[o]) for o in operands]
    keyed = {p.name: o for p, o in zip(OPS[name].operands, named, strict=True)}
    text = f"{name}: index {wrong} is out of range for 4 rows; give indices from 0 to 3"
    with pytest.raises(IndexError) as refusal:
        _C.call(name, **keyed, **attrs)
    assert str(refusal.value) == text


REFUSED = [
    ("full", {"size": (2,), "fill_value": np.ones(2)}, ShapeError,
     "full: fill_value has shape (2,); give a number or a 0-d tensor"),
    ("randint", {"low": 3, "high": 3, "size": (2,)}, ValueError,
     "randint: the range from 3 to 3 has 0 numbers; give from 1 to 2^32, low below high"),
    ("randint", {"low": 3, "high": 1, "size": (2,)}, ValueError,
     "randint: the range from 3 to 1 has -2 numbers; give from 1 to 2^32, low below high"),
    ("multinomial", {"input": np.array([0.0, 1.0]), "num_samples": 2}, ValueError,
     "multinomial: a row has negative weights or too few positive ones; give weights from 0, as "
     "many positive ones as samples (one with replacement)"),
    ("slice_scatter", {"x": np.ones((4, 2)), "src": np.ones(3), "dim": 0, "start": 0, "stop": 2},
     ShapeError, "slice_scatter: src (3,) does not broadcast to (2, 2), the shape of what it "
     "replaces; give sizes equal or 1"),
    ("as_strided_scatter", {"x": np.ones(4), "src": np.ones(2), "size": (2,), "stride": (4,)},
     IndexError, "as_strided_scatter: elements 0 to 4 of memory that has 4; give a size, stride "
     "and offset that stay inside"),
    ("sgd_step", {"param": np.ones(2), "grad": np.ones(3), "lr": 0.1, "weight_decay": 0.0},
     ShapeError, "sgd_step: grad has shape (3,), param (2,); give tensors of one shape"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "call", "kind", "text"), REFUSED)
def test_what_kernels_refuse(name: str, call: dict[str, Any], kind: Any, text: str) -> None:
    named = {key: given("tensor", value) for key, value in call.items() if key != "rng"}
    named |= {k: v for k, v in call.items() if isinstance(v, tuple)}
    with pytest.raises(kind) as refusal:
        _C.call(name, **named)
    assert str(refusal.value) == text


BIG = 70001
"""Enough elements for several threads and a last part that is not whole."""


def test_random_numbers_do_not_depend_on_the_threads() -> None:
    def drawn() -> list[Any]:
        calls = [("rand", {"size": (BIG,)}), ("randn", {"size": (BIG,)}), ("randperm", {"n": BIG})]
        calls += [("randn", {"size": (BIG,), "dtype": ot.float64})]
        return [value_of(_C.call(n, **c, rng=ot.Generator(3))).array for n, c in calls]

    threads = _C.num_threads()
    several = drawn()
    _C.set_num_threads(1)
    try:
        for one, other in zip(drawn(), several, strict=True):
            np.testing.assert_array_equal(one, other)
    finally:
        _C.set_num_threads(threads)
    assert abs(several[0].mean() - 0.5) < 0.01
    assert abs(several[1].std() - 1) < 0.02
    np.testing.assert_array_equal(np.sort(several[2]), np.arange(BIG))


# Many small operands, two that are no multiple of what a thread takes, and one among small ones.
@pytest.mark.parametrize("lengths", [[40] * 33, [3, 700, 0, 41], [9000, *[5] * 20], [1]])
@pytest.mark.parametrize("axis", [0, 1])
def test_parts_are_joined_whatever_their_number(lengths: list[int], axis: int) -> None:
    numbers = np.random.default_rng(0)
    shapes = [(n, 90) if axis == 0 else (90, n) for n in lengths]
    parts = [numbers.standard_normal(shape).astype("float32") for shape in shapes]
    found = _C.call("cat", [_C.from_array(p) for p in parts], dim=axis)
    np.testing.assert_array_equal(_C.to_numpy(found), np.concatenate(parts, axis))


def test_a_large_adamw_step_is_that_of_numpy() -> None:
    numbers = np.random.default_rng(0)
    x, g, m = (numbers.standard_normal(BIG).astype("float32") for _ in range(3))
    v = numbers.random(BIG).astype("float32")
    found = _C.call("adamw_step", *map(_C.from_array, (x, g, m, v)), 3, 0.1, 0.9, 0.99, 1e-8, 0.2)
    x64, g64, m64, v64 = (a.astype("float64") for a in (x, g, m, v))
    mean, square = 0.9 * m64 + 0.1 * g64, 0.99 * v64 + 0.01 * g64 * g64
    root = np.sqrt(square / (1 - 0.99**3)) + 1e-8
    wanted = x64 * (1 - 0.1 * 0.2) - 0.1 / (1 - 0.9**3) * mean / root, mean, square
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(_C.to_numpy(ours), theirs, rtol=1e-5, atol=1e-6)


def test_large_sums_at_indices_are_those_of_numpy() -> None:
    numbers = np.random.default_rng(0)
    index = numbers.integers(0, 50, 3000)
    source = numbers.standard_normal((3000, 70))
    wanted = np.zeros((50, 70))
    np.add.at(wanted, index, source)
    arguments = _C.from_array(source), _C.from_array(index)
    found = _C.call("index_select_backward", *arguments, dim=0, size=(50, 70))
    np.testing.assert_allclose(_C.to_numpy(found), wanted, rtol=1e-12, atol=1e-12)


def test_contiguous_copies_only_what_is_not() -> None:
    x = ot.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert x.contiguous() is x
    turned = x.t().contiguous()
    assert turned.is_contiguous() and not x.t().is_contiguous()
    np.testing.assert_array_equal(turned.numpy(), x.numpy().T)
    assert x.bfloat16().dtype is ot.bfloat16
