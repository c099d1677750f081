"""Every op of the table gives on a CUDA device what it gives on the CPU."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from device_cases import (
    Place,
    assert_alike,
    misaligned,
    on_cpu,
    on_cuda,
    operands_of,
    results,
    spread,
    transposed,
)  # fmt: skip
from op_cases import TOLERANCE, Case, cases_of, dtype_name, flat, native_operand
from ostinato.ir.dtypes import BY_NAME
from ostinato.ir.errors import DTypeError
from ostinato.ir.op import OPS, Op
from ostinato.runtime import _C


def ops(keep: Callable[[Op], bool] = lambda op: True) -> list[Any]:
    """The ops of the table that `keep` holds for, as parameters; functions expand at the call."""
    chosen = (op for op in OPS.values() if op.kind != "function" and keep(op))
    return [pytest.param(op, id=op.name) for op in chosen]


@contextmanager
def naming(*what: object) -> Generator[None]:
    """Failures inside say what failed."""
    try:
        yield
    except BaseException as error:
        error.add_note(" ".join(map(str, what)))
        raise


def tolerance(op: Op) -> float | None:
    """Pointwise ops are the same arithmetic, so their bits are; None for what sums may round."""
    return 0.0 if op.is_pointwise else None


@pytest.mark.parametrize("op", ops())
def test_op_agrees_with_the_cpu(op: Op) -> None:
    for case in cases_of(op):
        with naming(case):
            assert_alike(results(case, on_cuda), results(case, on_cpu), tolerance(op))


def ignores_strides(op: Op) -> bool:
    """False for the views whose elements depend on the strides."""
    return op.name not in ("view", "as_strided")


@pytest.mark.parametrize("op", ops(ignores_strides))
def test_memory_layout_does_not_matter(op: Op) -> None:
    for case in cases_of(op):
        wanted = results(case, on_cpu)
        for place in (transposed, misaligned, spread):
            with naming(case, place):
                assert_alike(results(case, place), wanted, tolerance(op))


DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
          "float64")  # fmt: skip


def recast(case: Case, dtype: str) -> Iterator[dict[str, Any]]:
    """The operands on the CPU and on CUDA, those of float32 in `dtype`."""
    for place in (on_cpu, on_cuda):
        named: dict[str, Any] = {}
        for p, o in zip(case.op.operands, case.operands, strict=True):
            made = native_operand(p.kind, o, place)
            named[p.name] = [_cast(m, dtype) for m in made] if isinstance(made, list) else _cast(
                made, dtype
            )  # fmt: skip
        yield named


def _cast(value: Any, dtype: str) -> Any:
    is_single = getattr(value, "dtype", None) is BY_NAME["float32"]
    return _C.call("to", value, dtype=BY_NAME[dtype]) if is_single else value


def called(op: Op, named: dict[str, Any], attrs: dict[str, Any]) -> list[Any] | str:
    """The results, or the text of the refusal."""
    try:
        return flat(_C.call(op.name, **named, **attrs))
    except (DTypeError, TypeError) as error:
        return str(error)


def dtypes_of(op: Op) -> tuple[str, ...]:
    """The dtypes that mean something to `op`: gradients are of floats, attention's of one."""
    if op.name in ("attention_backward", "attention_backward_stacked"):
        return ("float32",)
    return DTYPES[-4:] if op.name.endswith("_backward") else DTYPES


@pytest.mark.parametrize("op", ops())
def test_every_dtype_agrees_with_the_cpu(op: Op) -> None:
    for case in cases_of(op):
        for dtype in dtypes_of(op):
            with naming(case, dtype):
                here, there = recast(case, dtype)
                wanted = called(op, here, case.attrs)
                with ot.device("cuda"):
                    found = called(op, there, case.attrs)
                if isinstance(wanted, str) or isinstance(found, str):
                    assert found == wanted
                else:
                    assert_alike(found, wanted, tolerance(op))


def is_differentiable(op: Op) -> bool:
    return op.vjp_rule is not None or op.kind == "composite"


def gradients(case: Case, place: Place) -> list[Any]:
    """The gradients of the float operands, for fixed weights of the results."""
    named = operands_of(case, place)
    leaves = [t for t in flat(list(named.values())) if isinstance(t, _C.Tensor)]
    leaves = [t.requires_grad_() for t in leaves if t.dtype.is_floating_point]
    with ot.device("cpu" if place is on_cpu else "cuda"):
        made = flat(_C.call(case.op.name, **named, **case.attrs))
    for i, r in enumerate(made):
        if r.requires_grad:
            weights = np.cos(np.arange(r.numel()) + i).reshape(r.shape)
            seed = place(weights.astype("float32"))
            r.backward(_C.call("to", seed, dtype=r.dtype), retain_graph=True)
    return [t.grad for t in leaves]


def rounding(case: Case) -> float:
    """The tolerance of the narrowest float among operands, which the others are converted to."""
    named = [dtype_name(o) for o in flat(case.operands) if isinstance(o, np.ndarray)]
    return max((TOLERANCE[n] for n in named if n in TOLERANCE), default=TOLERANCE["float32"])


@pytest.mark.parametrize("op", ops(is_differentiable))
def test_gradients_agree_with_the_cpu(op: Op) -> None:
    for case in cases_of(op):
        with naming(case):
            found, wanted = gradients(case, on_cuda), gradients(case, on_cpu)
            assert [g is None for g in found] == [g is None for g in wanted]
            ours, theirs = ([g for g in some if g is not None] for some in (found, wanted))
            assert_alike(ours, theirs, rounding(case))


def changed(case: Case, place: Place) -> Any:
    """The first operand after the op was done in place, or the text of the refusal."""
    first, *rest = operands_of(case, place).values()
    try:
        return [getattr(first, f"{case.op.name}_")(*rest, **case.attrs)]
    except (DTypeError, TypeError) as error:
        return str(error)


def changes_in_place(op: Op) -> bool:
    return op.is_pointwise and op.inplace


@pytest.mark.parametrize("op", ops(changes_in_place))
def test_ops_in_place_agree_with_the_cpu(op: Op) -> None:
    done = 0
    for case in cases_of(op):
        first = case.operands[0]
        if not isinstance(first, np.ndarray) or results(case, on_cpu)[0].shape != first.shape:
            continue
        wanted = changed(case, on_cpu)
        for place in (on_cuda, transposed, misaligned):
            with naming(case, place):
                found = changed(case, place)
                if isinstance(wanted, str) or isinstance(found, str):
                    assert found == wanted
                else:
                    assert_alike(found, wanted, 0.0)
                    done += 1
    assert done > 0
