"""What text, verifiers and stages refuse."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import UNKNOWN_LOC, ModuleOp
from xdsl.ir import Block, Operation, Region
from xdsl.utils.exceptions import VerifyException

from fusion_cases import random_region
from graph_cases import SEED, Graph, graph
from ostinato.ir.dialects.ot import FusionOp, GradientOp, YieldOp
from ostinato.ir.dialects.ot.types import to_ir_type
from ostinato.ir.dtypes import float32, float64, int64
from ostinato.ir.errors import IRError
from ostinato.ir.graph import main_of
from ostinato.ir.locations import MOST_LINES, line_location
from ostinato.ir.op import OPS, Type
from ostinato.ir.stages import STAGES, is_at, stage_of, verify
from ostinato.ir.text import parse_module, print_module
from ostinato.passes.pipeline import run_passes

AT = line_location("here.py", 7)
X = np.arange(6, dtype="float32").reshape(2, 3)


def step() -> Graph:
    """A graph with every kind of op of the stage `captured`."""

    def build(w: Any, x: Any, lr: Any) -> Any:
        loss = OPS["mse_loss"](OPS["softmax"](x * w, dim=-1), x)
        seed = OPS["full"]((), 1.0, dtype=float32)
        (g,) = w.builder.gradient([loss], [seed], [w])
        return loss, w - g * lr

    return graph(build, X, X + 1, 0.5)


# Text that is wrong.

GOOD = """builtin.module {
  func.func @main(%x: tensor<2x3xf32> loc("a.py":1:0)) -> tensor<2xf32> {
    %0 = ot.sum %x {dim = array<i64: 1>, keepdim = false} : (tensor<2x3xf32>) -> tensor<2xf32> \
loc("a.py":2:0)
    func.return %0 : tensor<2xf32> loc("a.py":3:0)
  } loc("a.py":1:0)
} loc("a.py":1:0)
"""
MALFORMED = [
    ("ot.sum", "ot.sun", "t.mlir:3: Operation ot.sun is not registered"),
    ("%x {", "%y {", "t.mlir:3: values used but not defined: [%y]"),
    ("%x {", "{", "t.mlir:3: operand 'x' of ot.sum expected"),
    ("(tensor<2x3xf32>) ->", "(tensor<2x4xf32>) ->",
     "t.mlir:3: operand is used with type tensor<2x4xf32>, but has been previously used or "
     "defined with type tensor<2x3xf32>"),
    ("(tensor<2x3xf32>) ->", "() ->", "t.mlir:3: expected 0 operand types but had 1"),
    ("%0 = ot", "%0, %1 = ot",
     "t.mlir:3: Operation has 1 results, but was given 2 to bind."),
    ('loc("a.py":2:0)', 'loc("a.py:2:0)',
     "t.mlir:3: End of file reached before closing string literal."),
    ('loc("a.py":2:0)', 'loc("a\\qpy":2:0)',
     "t.mlir:3: End of file reached before closing string literal."),
    ('loc("a.py":2:0)', "loc(nowhere)", "t.mlir:3: Unsupported location type."),
    ("tensor<2x3xf32> loc", "!ot.number<f32> loc",
     "t.mlir:2: !ot.number<f32>; it must be of f64, i64 or i1"),
    ("%0 = ot.sum %x {", "%0 = ot.constant {",
     "t.mlir:3: {dim = array<i64: 1>, keepdim = false} is no number; it must be a bool, an i64 "
     "or an f64"),
    ("\n} loc", "\n loc", "t.mlir:6: Operation loc is not registered"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MALFORMED)
def test_malformed_text_names_the_line(old: str, new: str, message: str) -> None:
    assert print_module(parse_module(GOOD)) == GOOD
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    with pytest.raises(IRError) as caught:
        parse_module(text, "t.mlir")
    assert str(caught.value) == message


def test_text_with_random_damage_is_refused_or_a_module() -> None:
    good = print_module(step().module)
    chooser = random.Random(SEED)
    refused = 0
    for _ in range(300):
        at, length = chooser.randrange(len(good)), chooser.randrange(1, 12)
        twice, other = good[at : at + length] * 2, chooser.choice('{}()<>%!@:,=0x-"')
        middle = chooser.choice(["", twice, other])
        try:
            parse_module(good[:at] + middle + good[at + length :])
        except IRError as error:
            assert re.match(r"text:\d+: ", str(error))
            refused += 1
    assert refused > 200


def stage_texts() -> dict[str, str]:
    """A region of random ops as text, at every stage."""
    g = random_region(7)
    texts = {"captured": print_module(g.module)}

    def note(stage: str, module: ModuleOp) -> None:
        texts[stage] = print_module(module)

    run_passes(g.module, verify=True, after=note)
    return texts


def damaged(good: str, chooser: random.Random) -> str:
    """`good` cut short, without a line, with another number, or with a few letters changed."""
    at, kind = chooser.randrange(len(good)), chooser.randrange(4)
    if kind == 0:
        return good[:at]
    if kind == 1:
        lines = good.splitlines(keepends=True)
        del lines[chooser.randrange(len(lines))]
        return "".join(lines)
    if kind == 2:
        number = chooser.choice(list(re.finditer(r"\d+", good)))
        other = chooser.choice(["0", "-1", "3", "999999999999", "18446744073709551616"])
        return good[: number.start()] + other + good[number.end() :]
    middle = chooser.choice(["", "f16", "i64", "tensor<2xf32>", *'{}()<>%!@:,=0x-"'])
    return good[:at] + middle + good[at + chooser.randrange(12) :]


def test_damaged_text_of_any_stage_is_refused_with_a_line_or_a_stage() -> None:
    chooser = random.Random(SEED)
    for stage, good in stage_texts().items():
        refused = 0
        for _ in range(60):
            text = damaged(good, chooser)
            try:
                stage_of(parse_module(text))
            except IRError as error:
                assert re.match(r"text:\d+: |stage '", str(error)), (stage, str(error))
                refused += 1
        assert refused > 30, stage


# What verifiers refuse.

REFUSED = [
    ("tensor<2xf32>", "tensor<3xf32>",
     "ot.sum: results of type tensor<3xf32>, but its operands and attributes make tensor<2xf32>"),
    ("tensor<2xf32>", "tensor<2xf64>",
     "ot.sum: results of type tensor<2xf64>, but its operands and attributes make tensor<2xf32>"),
    ("array<i64: 1>", "array<i64: 2>", "sum: dim 2 is out of range for shape (2, 3); "
     "give a dim from -2 to 1"),
    (", keepdim = false", "", "ot.sum: attribute 'keepdim' is missing"),
    ("keepdim = false", "keepdim = 0 : i64",
     "attribute 'keepdim' is 0 : i64; it must be of kind bool"),
    ("array<i64: 1>", "1 : i64", "attribute 'dim' is 1 : i64; it must be of kind ints"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), REFUSED)
def test_an_op_that_contradicts_the_table_is_refused(old: str, new: str, message: str) -> None:
    text = GOOD.replace(old, new)
    with pytest.raises(IRError) as caught:
        verify(parse_module(text), "captured")
    first, _, rest = str(caught.value).partition("\n")
    assert first == f"stage 'captured': {message}"
    assert "ot.sum" in rest and 'loc("a.py":2:0)' in rest


def unlocate(module: ModuleOp) -> None:
    """One op loses its source line."""
    next(op for op in module.walk() if op.name == "ot.mul").location = UNKNOWN_LOC


def use_before_definition(module: ModuleOp) -> None:
    """The first op of the body goes to its end."""
    block = main_of(module).body.block
    op = next(op for op in block.ops if op.name == "ot.mul")
    op.detach()
    assert block.last_op is not None
    block.insert_op_before(op, block.last_op)


def without_end(module: ModuleOp) -> None:
    """The function ends without func.return."""
    block = main_of(module).body.block
    assert block.last_op is not None
    block.erase_op(block.last_op)


def wrong_result(module: ModuleOp) -> None:
    """func.return hands over another type than the function says."""
    end = main_of(module).body.block.last_op
    assert end is not None
    end.operands[0] = main_of(module).args[0]


def too_many_lines(module: ModuleOp) -> None:
    """One op names nine lines."""
    op = next(op for op in module.walk() if op.name == "ot.mul")
    lines = [line_location("a.py", i) for i in range(MOST_LINES)]
    from xdsl.dialects.builtin import FusedLoc, NoneAttr

    op.location = FusedLoc((*lines, AT), NoneAttr())


def nest_fusions(module: ModuleOp) -> None:
    """A fusion in a fusion in front of everything."""
    inner = FusionOp([], Region(_ending(YieldOp([]))))
    outer = FusionOp([], Region(_ending(inner, YieldOp([]))))
    outer.location = inner.location = AT
    block = main_of(module).body.block
    assert block.first_op is not None
    block.insert_op_before(outer, block.first_op)


def _ending(*ops: Operation) -> Block:
    for op in ops:
        op.location = AT
    return Block(ops)


STAGE_REFUSALS: list[tuple[str, Callable[[ModuleOp], None], str]] = [
    ("captured", unlocate, "ot.mul has no source line; passes must keep the lines of what they "
     "replace"),
    ("captured", use_before_definition, "ot.softmax uses a value that is not defined before it"),
    ("captured", without_end, "func.func must have one block, which ends in func.return"),
    ("captured", wrong_result, "func.return hands over other types than the function declares"),
    ("captured", too_many_lines, "ot.mul names 9 lines; at most 8"),
    ("captured", nest_fusions, "ot.fusion is not an op of the graph"),
    ("fused", nest_fusions, "an ot.fusion inside an ot.fusion"),
    ("differentiated", lambda m: None, "ot.gradient is left; run the pass 'autodiff'"),
    ("kernels", lambda m: None, "ot.constant outside of a kernel; the program launches kernels and "
     "calls native ops"),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "damage", "message"), STAGE_REFUSALS)
def test_stages_refuse(stage: str, damage: Callable[[ModuleOp], None], message: str) -> None:
    module = step().module
    verify(module, "captured")
    damage(module)
    with pytest.raises(IRError) as caught:
        verify(module, stage)
    assert str(caught.value).startswith(f"stage '{stage}': {message}\n  in: ")
    assert not is_at(module, stage)


def test_stages_tell_composites_and_dead_code() -> None:
    module = graph(lambda x: [OPS["softmax"](x, dim=0)], X).module
    assert stage_of(module) == "differentiated"
    message = "ot.softmax is a composite that nothing claims; run the pass 'decompose'"
    with pytest.raises(IRError, match=re.escape(message)):
        verify(module, "decomposed")
    module = graph(lambda x: [x + x, x * x][:1], X).module
    assert is_at(module, "decomposed") and not is_at(module, "simplified")
    with pytest.raises(IRError, match=re.escape("nothing uses ot.mul; run the pass 'simplify'")):
        verify(module, "simplified")


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(IRError, match="no stage is called 'fast'; there are captured, "):
        verify(step().module, "fast")
    assert stage_of(step().module) == STAGES[0]


def gradient_op(output: Any, cotangent: Any, wrt: Any) -> Operation:
    """An `ot.gradient` of values of these types, outside of any module."""
    block = Block(arg_types=[to_ir_type(t) for t in (output, cotangent, wrt)])
    return GradientOp(block.args[:1], block.args[1:2], block.args[2:])


def test_gradient_refuses_what_has_no_gradient() -> None:
    of = Type((), float32)
    gradient_op(of, of, Type((2,), float64)).verify_()
    with pytest.raises(
        VerifyException, match="cotangents of type tensor<f64> for outputs of type tensor<f32>"
    ):
        gradient_op(of, Type((), float64), of).verify_()
    with pytest.raises(VerifyException, match="a value of dtype int64; only floating-point"):
        gradient_op(of, of, Type((), int64)).verify_()
