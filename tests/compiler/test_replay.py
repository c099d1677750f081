"""Replays of captured regions: what is read again, what is kept, and what is given back."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato import nn
from ostinato.ir.errors import ShapeError
from ostinato.runtime import _C


class Holder:
    """An object whose attributes and items user code reads."""

    def __init__(self) -> None:
        self.rates = {"low": (0.5, 0.25)}


def program_of(compiled: Any) -> Any:
    return compiled.variants[-1].built.program


def test_a_path_reads_what_is_there_now() -> None:
    holder = Holder()
    path = _C.Path(holder).attribute("rates").item("low").item(1)
    assert path() == 0.25
    holder.rates = {"low": (1.0, 2.0)}
    assert path() == 2.0
    assert _C.Path.argument(1).item(0)([None, [7]]) == 7
    with pytest.raises(AttributeError, match="missing"):
        _C.Path(holder).attribute("missing")()


def test_a_closed_over_tensor_may_have_any_layout_and_is_written_in_place() -> None:
    base = ot.from_numpy(np.arange(12, dtype=np.float32).reshape(3, 4))
    turned = base.t()
    assert not _C.is_contiguous(turned)

    @ot.compile
    def grow(x: Any) -> Any:
        turned.add_(x)
        return turned * 2

    want = np.arange(12, dtype=np.float32).reshape(3, 4).T
    for i in range(3):
        want = want + i
        got = grow(ot.full((4, 3), float(i)))
        np.testing.assert_array_equal(got.numpy(), want * 2)
        np.testing.assert_array_equal(base.numpy(), want.T)


def test_layouts_of_arguments_may_change_from_call_to_call() -> None:
    double = ot.compile(lambda x: x * 2)
    square = ot.from_numpy(np.arange(9, dtype=np.float32).reshape(3, 3))
    wide = ot.from_numpy(np.arange(30, dtype=np.float32))
    for x in (square, square.t(), wide[1:10].reshape(3, 3), square.t(), square):
        np.testing.assert_array_equal(double(x).numpy(), x.numpy() * 2)
    assert len(double.variants) == 1


def test_an_input_that_is_returned_is_the_same_object() -> None:
    kept = ot.ones(3)
    both = ot.compile(lambda x: (x, kept, x + kept))
    for _ in range(2):
        x = ot.zeros(3)
        a, b, _ = both(x)
        assert a is x
        assert b is kept


def test_gradients_are_put_on_their_leaves_and_taken_off() -> None:
    w = ot.ones(3).requires_grad_()
    step = ot.compile(lambda x: (x * w).sum().backward())
    step(ot.ones(3))
    step(ot.ones(3))
    assert w.grad.tolist() == [2, 2, 2]
    w.grad = None
    step(ot.ones(3))
    grad: Any = w.grad
    assert grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize("fn", [lambda x: x * 2, lambda x: x @ x, lambda x: (x, x.t())])
def test_a_replay_holds_no_batch(fn: Any) -> None:
    compiled = ot.compile(fn)
    array = np.ones((4, 4), np.float32)
    seen = weakref.ref(array)
    compiled(ot.ones(4, 4))
    result = compiled(ot.from_numpy(array))
    del array, result
    assert seen() is None


def test_programs_refuse_inputs_that_do_not_fit() -> None:
    add = ot.compile(lambda x, y: x + y)
    add(ot.ones(3), ot.ones(3))
    program = program_of(add)
    with pytest.raises(ValueError, match="compiled: 1 inputs came; give 2"):
        program.run([ot.ones(3)])
    with pytest.raises(ValueError, match="compiled: 3 inputs came; give 2"):
        program.run([ot.ones(3)] * 3)
    with pytest.raises(ShapeError, match=r"input 1 has shape \(4,\) and dtype float32"):
        program.run([ot.ones(3), ot.ones(4)])
    with pytest.raises(ShapeError, match="input 1 is None"):
        program.run([ot.ones(3), None])


def test_a_model_that_holds_its_own_compiled_step_is_collected() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.step: Any = ot.compile(lambda x: self.layer(x))

    model = Model()
    model.step(ot.ones(2, 3))
    seen = weakref.ref(model)
    del model
    gc.collect()
    assert seen() is None
