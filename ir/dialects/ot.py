"""The graph dialect `ot`: one op class for each op of the table, made on first use.

    %2 = ot.sum %0 {dim = array<i64: 1>, keepdim = false} : (tensor<2x3xf32>) -> tensor<2xf32>
    %3 = ot.cat [%2, %1] {dim = 0 : i64} : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>

A list operand stands in brackets, an absent operand is `none`, an attribute that is None is left
out. A verifier infers the result types from the op's table entry. Beside these there are
`ot.constant` (a Python number), `ot.gradient` (until `passes/autodiff.py` expands it) and
`ot.fusion` with `ot.yield` (ops that become one kernel).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

from xdsl.dialects.builtin import DenseArrayBase, TensorType
from xdsl.ir import Attribute, Block, Dialect, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsolatedFromAbove, IsTerminator, NoMemoryEffect
from xdsl.utils.exceptions import VerifyException

from .. import ops as _table
from ..errors import DTypeError, ShapeError
from ..op import OPS, Op, Param, Type, is_list
from . import ot_text as text
from .integers import SEGMENTS, segment_sizes
from .ot_types import (
    NumberType,
    from_property,
    number_attribute,
    number_dtype,
    number_value,
    to_ir_type,
    to_table_type,
)

__all__ = [
    "ConstantOp",
    "FusionOp",
    "GradientOp",
    "NumberType",
    "TableOp",
    "YieldOp",
    "class_of",
    "dialect",
    "infer",
]

assert _table


class _Plain(type(IRDLOperation)):
    """Makes classes without virtual subclasses, which ABCMeta asks for at every `isinstance`: five
    times as slow."""

    __instancecheck__ = type.__instancecheck__


class TableOp(IRDLOperation, metaclass=_Plain):
    """An op of the table applied to values; `SCHEMA` is its entry."""

    SCHEMA: ClassVar[Op]

    def grouped_operands(self) -> list[Any]:
        """Operands as the table's signature has them: a value, a list of values, or None."""
        return _grouped(self.SCHEMA, self.operands, _segments(self))

    def attribute_values(self) -> dict[str, Any]:
        """Every attribute of the signature as a Python value; one that is left out is None."""
        values: dict[str, Any] = {}
        for p in self.SCHEMA.attrs:
            given = self.properties.get(p.name)
            if given is None and not p.optional:
                raise VerifyException(f"{self.name}: attribute '{p.name}' is missing")
            values[p.name] = None if given is None else from_property(p.kind, p.name, given)
        return values

    def print(self, printer: Printer) -> None:
        text.print_table_op(printer, self, self.grouped_operands(), (SEGMENTS,))

    @classmethod
    def parse(cls, parser: Parser) -> TableOp:
        found = text.parse_table_op(parser, cls.SCHEMA)
        names = {p.name for p in cls.SCHEMA.attrs}
        properties = {k: v for k, v in found.attributes.items() if k in names}
        if has_segments(cls.SCHEMA):
            properties[SEGMENTS] = segment_sizes(found.sizes)
        return cls.create(
            operands=found.operands, result_types=found.results, properties=properties,
            attributes={k: v for k, v in found.attributes.items() if k not in names},
        )  # fmt: skip

    def verify_(self) -> None:
        inferred = [to_ir_type(t) for t in infer(self)]
        found = [r.type for r in self.results]
        if inferred != found:
            raise VerifyException(
                f"{self.name}: results of type {_show(found)}, but its operands and attributes "
                f"make {_show(inferred)}"
            )


def infer(op: TableOp) -> list[Type]:
    """The result types that the table gives; VerifyException where operands do not fit."""
    types = [_types_of(o) for o in op.grouped_operands()]
    try:
        return op.SCHEMA.infer(types, op.attribute_values())
    except (ShapeError, DTypeError) as error:
        raise VerifyException(str(error)) from error


def _types_of(operand: Any) -> Any:
    if is_list(operand):
        return [to_table_type(v.type) for v in operand]
    return None if operand is None else to_table_type(operand.type)


def _show(types: Sequence[Attribute]) -> str:
    return ", ".join(map(str, types)) or "none"


def _is_variadic(p: Param) -> bool:
    return p.kind == "tensors" or not p.required


@cache
def has_segments(schema: Op) -> bool:
    """True where the number of operands alone does not say which is absent, or how long a list."""
    return sum(map(_is_variadic, schema.operands)) > 1


def _segments(op: TableOp) -> list[int]:
    given = op.properties.get(SEGMENTS)
    if isinstance(given, DenseArrayBase):
        return [int(n) for n in given.get_values()]
    if has_segments(op.SCHEMA):
        raise VerifyException(f"{op.name}: property {SEGMENTS} is missing")
    operands = op.SCHEMA.operands
    spare = len(op.operands) - len(operands) + 1
    return [spare if _is_variadic(p) else 1 for p in operands]


def _grouped(schema: Op, flat: Sequence[SSAValue], sizes: Sequence[int]) -> list[Any]:
    if len(sizes) != len(schema.operands) or sum(sizes) != len(flat) or min(sizes, default=0) < 0:
        raise VerifyException(
            f"ot.{schema.name}: {len(flat)} values for {len(schema.operands)} operands"
        )
    grouped: list[Any] = []
    at = 0
    for p, size in zip(schema.operands, sizes, strict=True):
        part = list(flat[at : at + size])
        at += size
        if p.kind != "tensors" and (size > 1 or (size == 0 and p.required)):
            raise VerifyException(f"ot.{schema.name}: {size} values for operand '{p.name}'")
        grouped.append(part if p.kind == "tensors" else part[0] if part else None)
    return grouped


def _definitions(schema: Op) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for p in schema.operands:
        kind = var_operand_def if p.kind == "tensors" else opt_operand_def
        fields[p.name] = operand_def() if p.required and p.kind != "tensors" else kind()
    fields |= {p.name: opt_prop_def() for p in schema.attrs}
    taken = [name for name in fields if hasattr(TableOp, name)]
    assert not taken, f"op {schema.name}: parameters may not be called {', '.join(taken)}"
    if has_segments(schema):
        fields["irdl_options"] = (AttrSizedOperandSegments(as_property=True),)
    return fields


@cache
def class_of(name: str) -> type[TableOp]:
    """The op class `ot.<name>` of the table's op `name`; KeyError where there is none."""
    schema = OPS[name]
    assert schema.kind != "function", f"{name} expands at the call; it has no IR op"
    fields: dict[str, Any] = _definitions(schema) | {
        "name": f"ot.{name}",
        "__doc__": schema.doc,
        "__module__": __name__,
        "__annotations__": {},
        "results_": var_result_def(),
        "traits": traits_def(NoMemoryEffect()),
    }
    made: type[TableOp] = irdl_op_definition(type(f"{name.title()}Op", (TableOp,), fields))
    made.SCHEMA = schema
    return made


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A Python number: `ot.constant 2.0 : f64`."""

    name = "ot.constant"
    value = prop_def()
    number = result_def(NumberType)
    traits = traits_def(NoMemoryEffect())

    @classmethod
    def of(cls, value: bool | int | float) -> ConstantOp:
        """The op that makes `value`; OverflowError for an int beyond 64 bits."""
        type_ = to_ir_type(Type((), number_dtype(value), wrapped=True))
        return cls.create(properties={"value": number_attribute(value)}, result_types=[type_])

    @property
    def python_value(self) -> bool | int | float:
        """The number."""
        return number_value(self.value)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_attribute(self.value)
        printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        value = parser.parse_attribute()
        found = parser.parse_optional_attr_dict_with_keyword()
        try:
            op = cls.of(number_value(value))
        except (VerifyException, OverflowError) as error:
            parser.raise_error(str(error))
        op.attributes |= found.data if found else {}
        return op

    def verify_(self) -> None:
        expected = to_ir_type(Type((), number_dtype(self.python_value), wrapped=True))
        if self.number.type != expected:
            raise VerifyException(
                f"{self.name}: {self.value} is {expected}, not {self.number.type}"
            )


@irdl_op_definition
class GradientOp(IRDLOperation):
    """The cotangents of `wrt` when `outputs`, which they were used to compute, have `cotangents`.

    It looks at the ops before it in its block. A value that reaches no output has zeros.
    """

    name = "ot.gradient"
    outputs = var_operand_def(TensorType)
    cotangents = var_operand_def(TensorType)
    wrt = var_operand_def(TensorType)
    gradients = var_result_def(TensorType)
    traits = traits_def(NoMemoryEffect())
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    assembly_format = (
        "`(` $outputs `)` `by` `(` $cotangents `)` `wrt` `(` $wrt `)` attr-dict `:` "
        "`(` type($outputs) `)` `by` `(` type($cotangents) `)` `wrt` `(` type($wrt) `)` "
        "`->` `(` type($gradients) `)`"
    )

    def __init__(
        self, outputs: Sequence[SSAValue], cotangents: Sequence[SSAValue], wrt: Sequence[SSAValue]
    ) -> None:
        super().__init__(operands=[outputs, cotangents, wrt], result_types=[[v.type for v in wrt]])

    def verify_(self) -> None:
        for what, given, like, needed in (
            ("cotangents", self.cotangents, self.outputs, "outputs"),
            ("gradients", self.gradients, self.wrt, "values"),
        ):
            came, wanted = [v.type for v in given], [v.type for v in like]
            if came != wanted:
                raise VerifyException(
                    f"{self.name}: {what} of type {_show(came)} for {needed} of type "
                    f"{_show(wanted)}; the types must be equal"
                )
        for value in (*self.outputs, *self.wrt):
            dtype = to_table_type(value.type).dtype
            if not dtype.is_floating_point:
                raise VerifyException(
                    f"{self.name}: a value of dtype {dtype.name}; "
                    "only floating-point values have gradients"
                )


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends the body of an `ot.fusion` with its results."""

    name = "ot.yield"
    arguments = var_operand_def()
    traits = traits_def(IsTerminator(), NoMemoryEffect())
    assembly_format = "attr-dict ($arguments^ `:` type($arguments))?"

    def __init__(self, arguments: Sequence[SSAValue] = ()) -> None:
        Operation.__init__(self, operands=arguments)


@irdl_op_definition
class FusionOp(IRDLOperation):
    """Ops that become one kernel; the body's arguments are the operands, one for one."""

    name = "ot.fusion"
    inputs = var_operand_def()
    outputs = var_result_def()
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove(), NoMemoryEffect())

    def __init__(self, inputs: Sequence[SSAValue], body: Region) -> None:
        """`body` is complete: what its `ot.yield` hands over gives the result types."""
        Operation.__init__(self, operands=inputs, regions=[body], result_types=_yielded(body.block))

    def print(self, printer: Printer) -> None:
        text.print_fusion(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> FusionOp:
        found, body = text.parse_fusion(parser)
        return cls.create(
            operands=found.operands,
            result_types=found.results,
            regions=[body],
            attributes=found.attributes,
        )

    def verify_(self) -> None:
        block = self.body.block
        if not isinstance(block.last_op, YieldOp):
            raise VerifyException(f"{self.name}: its body must end in ot.yield")
        for what, inner, outer in (
            ("arguments", [a.type for a in block.args], [v.type for v in self.inputs]),
            ("yielded values", _yielded(block), [r.type for r in self.outputs]),
        ):
            if inner != outer:
                raise VerifyException(
                    f"{self.name}: {what} of type {_show(inner)} against "
                    f"{_show(outer)} outside; the types must be equal"
                )


def _yielded(block: Block) -> list[Attribute]:
    end = block.last_op
    return [v.type for v in end.arguments] if isinstance(end, YieldOp) else []


@cache
def dialect() -> Dialect:
    """The dialect with a class for every op of the table."""
    rows = [class_of(name) for name, op in OPS.items() if op.kind != "function"]
    return Dialect("ot", [*rows, ConstantOp, GradientOp, FusionOp, YieldOp], [NumberType])
