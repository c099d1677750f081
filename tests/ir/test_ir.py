"""The graph dialect: built from the table, printed and parsed, verified by stage, interpreted."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import UNKNOWN_LOC, ModuleOp, StringAttr
from xdsl.ir import Block, Region
from xdsl.utils.exceptions import VerifyException

from graph_cases import IR_OPS, Graph, bound, graph, same_bits, sample_graph
from ostinato.ir.dialects.elements import dtype_of, element_type
from ostinato.ir.dialects.ot import ConstantOp, FusionOp, YieldOp, class_of
from ostinato.ir.dialects.ot.types import from_property, to_ir_type, to_property, to_table_type
from ostinato.ir.dtypes import DTYPES, bfloat16, float32, float64, uint8
from ostinato.ir.errors import IRError, ShapeError
from ostinato.ir.graph import NAME, close_main, main_of, open_main, writes_of
from ostinato.ir.interpret.arrays import apply
from ostinato.ir.interpret.module import run
from ostinato.ir.locations import MOST_LINES, fuse_locations, line_location, lines_of
from ostinato.ir.op import OPS, Op, Type, building
from ostinato.ir.stages import stage_of, verify
from ostinato.ir.text import parse_module, print_module

AT = line_location("here.py", 7)
X = np.arange(6, dtype="float32").reshape(2, 3)


@pytest.mark.parametrize("op", IR_OPS, ids=lambda op: op.name)
def test_samples_survive_the_ir(op: Op) -> None:
    assert op.samples is not None
    for operands, attrs in op.samples():
        g = sample_graph(op, operands, attrs)
        verify(g.module, "captured")
        text = print_module(g.module)
        parsed = parse_module(text)
        verify(parsed, "captured")
        assert print_module(parsed) == text
        assert g.module.is_structurally_equivalent(parsed)
        expected = apply(op, *bound(op, operands, attrs))
        same_bits(run(parsed, g.inputs), [r.array for r in expected])


def test_the_text_of_a_module() -> None:
    module, builder, (x, lr) = open_main(
        [Type((2, 3), float32), Type((), float64, wrapped=True)],
        [{NAME: StringAttr("h.0.weight")}, {}],
        [line_location("a.py", 1), line_location("a.py", 2, 4)],
    )
    builder.location = fuse_locations([line_location("a.py", 3), line_location("b.py", 4)])
    with building(builder):
        y = OPS["clamp"](OPS["cat"]([x, x], dim=0) * lr, max=1)
    close_main(module, [y], [(0, 0)], line_location("a.py", 9))
    verify(module, "captured")
    assert writes_of(main_of(module)) == [(0, 0)]
    assert print_module(module) == TEXT


TEXT = """\
builtin.module {
  func.func @main(%h_0_weight: tensor<2x3xf32> {ot.name = "h.0.weight"} loc("a.py":1:0), \
%0: !ot.number<f64> loc("a.py":2:4)) -> tensor<4x3xf32> \
attributes {ot.writes = [array<i64: 0, 0>]} {
    %1 = ot.constant 1 : i64 loc(fused["a.py":3:0, "b.py":4:0])
    %2 = ot.cat [%h_0_weight, %h_0_weight] {dim = 0 : i64} : \
(tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<4x3xf32> loc(fused["a.py":3:0, "b.py":4:0])
    %3 = ot.mul %2, %0 : (tensor<4x3xf32>, !ot.number<f64>) -> tensor<4x3xf32> \
loc(fused["a.py":3:0, "b.py":4:0])
    %4 = ot.clamp %3, none, %1 : (tensor<4x3xf32>, !ot.number<i64>) -> tensor<4x3xf32> \
loc(fused["a.py":3:0, "b.py":4:0])
    func.return %4 : tensor<4x3xf32> loc("a.py":9:0)
  } loc("a.py":9:0)
} loc("a.py":9:0)
"""


@pytest.mark.parametrize("name", ["layer_0", "a_1_2", "_3", "7", "x.y z-é", "", "weight_0_", "%"])
def test_names_of_arguments_survive_the_text(name: str) -> None:
    types = [Type((), float32)] * 2
    module, _, values = open_main(types, [{NAME: StringAttr(name)}] * 2, [AT, AT])
    close_main(module, values, location=AT)
    text = print_module(module)
    assert print_module(parse_module(text)) == text


ATTRIBUTES = [
    ("int", -(2**63)), ("int", 0), ("bool", True), ("bool", False), ("str", 'a"\\\n\té'),
    ("str", "é"), ("str", ""),
    ("float", 0.1), ("float", -0.0), ("float", 1e300), ("float", 5e-324), ("float", math.inf),
    ("float", -math.inf), ("float", 1e22), ("float", 123456789.0), ("ints", ()), ("ints", (0, -1)),
    ("sizes", (2, 0)), ("size", 2**40), *(("dtype", d) for d in DTYPES),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), ATTRIBUTES)
def test_attributes_survive_the_ir(kind: str, value: Any) -> None:
    read = from_property(kind, "a", to_property(kind, value))
    assert read == value and type(read) is type(value)
    assert math.copysign(1, read) == math.copysign(1, value) if kind == "float" else True
    module = ModuleOp([], {"a": to_property(kind, value)})
    parsed = parse_module(print_module(module))
    assert parsed.attributes["a"] == module.attributes["a"]


def test_nan_survives_the_ir() -> None:
    assert math.isnan(from_property("float", "a", to_property("float", math.nan)))
    g = graph(lambda x: x * math.nan, X)
    assert np.isnan(run(parse_module(print_module(g.module)), [X])[0]).all()


@pytest.mark.parametrize("kind", ["int", "float", "bool", "str", "ints", "dtype"])
def test_an_attribute_of_another_kind_is_refused(kind: str) -> None:
    wrong = to_property("str" if kind != "str" else "int", "1")
    with pytest.raises(VerifyException, match=f"attribute 'a' is .*; it must be of kind {kind}"):
        from_property(kind, "a", wrong)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_types_survive_the_ir(dtype: Any) -> None:
    for shape in ((), (0,), (2, 3)):
        assert to_table_type(to_ir_type(Type(shape, dtype))) == Type(shape, dtype)
    assert dtype_of(element_type(dtype)) is dtype


def test_equal_constants_are_one_and_others_are_not() -> None:
    numbers = [1, 1.0, True, 0.0, -0.0, 0, False, 1, -0.0]
    g = graph(lambda x: [x + n for n in numbers], X)
    constants = [op for op in g.module.walk() if isinstance(op, ConstantOp)]
    assert [repr(op.python_value) for op in constants] == list(dict.fromkeys(map(repr, numbers)))


def test_a_number_beyond_64_bits_is_refused() -> None:
    with pytest.raises(OverflowError, match=re.escape(f"the number {2**63} does not fit 64 bits")):
        graph(lambda x: x + 2**63, X)


def test_operands_that_do_not_fit_raise_what_the_table_raises() -> None:
    with pytest.raises(ShapeError, match="add: shapes"):
        graph(lambda x, y: x + y, X, np.ones(4, "float32"))


def test_operations_without_operands_use_the_builder_around() -> None:
    g = graph(lambda x: OPS["iota"](3, 0, 1) + x, X)
    same_bits(g.run(), [X + np.arange(3, dtype="float32")])


# Locations.


def test_fused_locations_name_each_line_once_and_at_most_eight() -> None:
    lines = [line_location("a.py", i % 5) for i in range(20)]
    assert list(lines_of(fuse_locations(lines))) == lines[:5]
    many = [line_location("a.py", i) for i in range(20)]
    fused = fuse_locations([fuse_locations(many[:3]), *many])
    assert list(lines_of(fused)) == many[:MOST_LINES]
    assert fuse_locations([lines[0], lines[0]]) is lines[0]
    assert fuse_locations([]) == fuse_locations([UNKNOWN_LOC]) == UNKNOWN_LOC


# The interpreter.


def fused() -> Graph:
    """A fusion of two ops with two results."""
    g = graph(lambda x, y: [x, y], X, X + 1)
    block = main_of(g.module).body.block
    inner = Block(arg_types=[a.type for a in block.args])
    total = class_of("add").create(operands=inner.args, result_types=[inner.args[0].type])
    twice = class_of("mul").create(operands=[total.results[0]] * 2,
                                   result_types=[inner.args[0].type])  # fmt: skip
    end = YieldOp([twice.results[0], total.results[0]])
    inner.add_ops([total, twice, end])
    fusion = FusionOp(block.args, Region(inner))
    assert block.first_op is not None
    block.insert_op_before(fusion, block.first_op)
    assert block.last_op is not None
    block.last_op.operands = fusion.results
    for op in (total, twice, end, fusion):
        op.location = AT
    return g


def test_fusions_are_printed_verified_and_run() -> None:
    g = fused()
    verify(g.module, "fused")
    assert stage_of(g.module) == "fused"
    text = print_module(g.module)
    parsed = parse_module(text)
    verify(parsed, "fused")
    assert print_module(parsed) == text
    same_bits(run(parsed, g.inputs), [(2 * X + 1) ** 2, 2 * X + 1])


def test_a_fusion_with_other_types_outside_is_refused() -> None:
    text = print_module(fused().module)
    wrong = text.replace("^bb0(%4: tensor<2x3xf32>", "^bb0(%4: tensor<3x2xf32>")
    assert wrong != text or pytest.fail(text)
    with pytest.raises(IRError):
        verify(parse_module(wrong), "fused")


def test_bfloat16_runs_as_float32_that_holds_it() -> None:
    module, _, (x, y) = open_main([Type((2,), bfloat16), Type((2,), uint8)], (), [AT, AT])
    close_main(module, [x + x, y + y], location=AT)
    found = run(module, [np.array([1.0, 1.0078125], "float32"), np.array([200, 1], "uint8")])
    same_bits(found, [np.array([2.0, 2.015625], "float32"), np.array([144, 2], "uint8")])


def test_inputs_that_do_not_fit_are_refused() -> None:
    g = graph(lambda x, n: x * n, X, 2.0)
    assert run(g.module, [X, 3])[0][1, 1] == 12
    with pytest.raises(ValueError, match="run: 1 inputs; the module takes 2"):
        run(g.module, [X])
    message = (
        r"run: input 0 has shape \(3, 2\) and dtype float32; the module takes \(2, 3\) and "
        "float32"
    )
    with pytest.raises(ValueError, match=message):
        run(g.module, [X.T, 1.0])


def test_an_op_that_is_not_run_is_refused() -> None:
    g = graph(lambda x: x, X)
    block = main_of(g.module).body.block
    assert block.first_op is not None
    block.insert_op_before(ModuleOp([]), block.first_op)
    with pytest.raises(IRError, match=r"run: builtin\.module has no meaning here"):
        g.run()
