"""One op class for each op of the table, made on first use from the op's signature."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

from xdsl.ir import SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import NoMemoryEffect
from xdsl.utils.exceptions import VerifyException

from ... import ops as _table
from ...errors import DTypeError, ShapeError
from ...op import OPS, Op, Param, Type, is_list
from ..integers import SEGMENTS, integers_of, segment_sizes
from . import text
from .types import from_property, show, to_ir_type, to_table_type

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
                f"{self.name}: results of type {show(found)}, but its operands and attributes "
                f"make {show(inferred)}"
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


def _is_variadic(p: Param) -> bool:
    return p.kind == "tensors" or not p.required


@cache
def has_segments(schema: Op) -> bool:
    """True where the number of operands alone does not say which is absent, or how long a list."""
    return sum(map(_is_variadic, schema.operands)) > 1


def _segments(op: TableOp) -> list[int]:
    given = integers_of(op.properties.get(SEGMENTS))
    if given:
        return list(given)
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
