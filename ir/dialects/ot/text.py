"""How ops of the `ot` dialect are printed and parsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer

from ...op import Op
from ..text import parse_attributes, print_operand


def print_table_op(
    printer: Printer, op: Operation, grouped: Sequence[Any], hidden: Sequence[str]
) -> None:
    """Prints ` %0, [%1, %2], none {dim = 1 : i64} : (types) -> types`, less `hidden` properties."""
    if grouped:
        printer.print_string(" ")
    printer.print_list(grouped, lambda operand: print_operand(printer, operand))
    shown = {k: v for k, v in op.properties.items() if k not in hidden} | op.attributes
    printer.print_op_attributes(shown)
    printer.print_string(" : ")
    printer.print_function_type(op.operand_types, op.result_types)


@dataclass
class ParsedOp:
    """What is printed of an op."""

    operands: Sequence[SSAValue]
    sizes: list[int]
    results: Sequence[Attribute]
    attributes: dict[str, Attribute]


def parse_table_op(parser: Parser, schema: Op) -> ParsedOp:
    """Parses what `print_table_op` prints; `sizes` says how many values each operand has."""
    start = parser.pos
    given = _parse_operands(parser, schema)
    attributes = parser.parse_optional_attr_dict()
    parser.parse_punctuation(":")
    types = parser.parse_function_type()
    flat = [v for values in given for v in values]
    operands = parser.resolve_operands(flat, types.inputs.data, start)
    return ParsedOp(operands, [len(v) for v in given], types.outputs.data, attributes)


def _parse_operands(parser: Parser, schema: Op) -> list[list[UnresolvedOperand]]:
    given: list[list[UnresolvedOperand]] = []
    for i, p in enumerate(schema.operands):
        if i:
            parser.parse_punctuation(",", f" before operand '{p.name}' of ot.{schema.name}")
        if p.kind == "tensors":
            values = parser.parse_comma_separated_list(
                parser.Delimiter.SQUARE, parser.parse_unresolved_operand
            )
        elif not p.required and parser.parse_optional_keyword("none"):
            values = []
        else:
            message = f"operand '{p.name}' of ot.{schema.name} expected"
            values = [parser.parse_unresolved_operand(message)]
        given.append(values)
    return given


def print_fusion(printer: Printer, op: Operation) -> None:
    """Prints ` %0, %1 : (types) -> types attributes {...} { ^bb0(%2 : type): ... }`."""
    printer.print_string(" " if op.operands else "")
    printer.print_list(op.operands, printer.print_ssa_value)
    printer.print_string(" : ")
    printer.print_function_type(op.operand_types, op.result_types)
    printer.print_op_attributes(op.attributes, print_keyword=True)
    printer.print_string(" ")
    printer.print_region(op.regions[0])


def parse_fusion(parser: Parser) -> tuple[ParsedOp, Region]:
    """Parses what `print_fusion` prints."""
    start = parser.pos
    given = parser.parse_optional_undelimited_comma_separated_list(
        parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
    )
    parser.parse_punctuation(":")
    types = parser.parse_function_type()
    attributes = parse_attributes(parser)
    operands = parser.resolve_operands(given or [], types.inputs.data, start)
    region = parser.parse_region()
    return ParsedOp(operands, [], types.outputs.data, attributes), region
