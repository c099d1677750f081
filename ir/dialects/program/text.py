"""How ops of the program dialect are printed and parsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects.builtin import DictionaryAttr
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer

from ..text import parse_attributes, print_operand


@dataclass
class Parsed:
    """What is printed of a launch or a call."""

    name: str
    arguments: Sequence[SSAValue]
    into: Sequence[SSAValue]
    results: Sequence[Attribute]
    properties: dict[str, Attribute]
    attributes: dict[str, Attribute]
    segments: list[int] = field(default_factory=list[int])
    given: DictionaryAttr = field(default_factory=lambda: DictionaryAttr({}))


def print_launch(printer: Printer, op: Any) -> None:
    """Prints ` @k(%0, %1) into (%2) reuse [...] attributes {...} : (types) -> types`."""
    printer.print_string(" ")
    printer.print_symbol_name(op.kernel_name)
    with printer.in_parens():
        printer.print_list(op.arguments, printer.print_ssa_value)
    _print_rest(printer, op, "reuse")


def print_upload(printer: Printer, op: Any) -> None:
    """Prints `(%0, %1) into (%2, %3) attributes {...} : (types) -> types`."""
    with printer.in_parens():
        printer.print_list(op.arguments, printer.print_ssa_value)
    _print_rest(printer, op, "")


def _print_rest(printer: Printer, op: Any, option: str) -> None:
    if op.into:
        printer.print_string(" into ")
        with printer.in_parens():
            printer.print_list(op.into, printer.print_ssa_value)
    if option in op.properties:
        printer.print_string(f" {option} ")
        printer.print_attribute(op.properties[option])
    printer.print_op_attributes(op.attributes, print_keyword=True)
    printer.print_string(" : ")
    printer.print_function_type(op.operand_types, op.result_types)


def parse_launch(parser: Parser) -> Parsed:
    """Parses what `print_launch` prints."""
    name = parser.parse_symbol_name().data
    start = parser.pos
    given = parser.parse_comma_separated_list(
        parser.Delimiter.PAREN, parser.parse_unresolved_operand
    )
    return _parse_rest(parser, name, given, start, "reuse")


def parse_upload(parser: Parser) -> Parsed:
    """Parses what `print_upload` prints."""
    start = parser.pos
    given = parser.parse_comma_separated_list(
        parser.Delimiter.PAREN, parser.parse_unresolved_operand
    )
    return _parse_rest(parser, "", given, start, "")


def _parse_rest(
    parser: Parser, name: str, given: list[UnresolvedOperand], start: int, option: str
) -> Parsed:
    into: list[UnresolvedOperand] = []
    if parser.parse_optional_keyword("into"):
        into = parser.parse_comma_separated_list(
            parser.Delimiter.PAREN, parser.parse_unresolved_operand
        )
    properties: dict[str, Attribute] = {}
    if option and parser.parse_optional_keyword(option):
        properties[option] = parser.parse_attribute()
    attributes = parse_attributes(parser)
    parser.parse_punctuation(":")
    types = parser.parse_function_type()
    values = parser.resolve_operands([*given, *into], types.inputs.data, start)
    return Parsed(
        name,
        values[: len(given)],
        values[len(given) :],
        types.outputs.data,
        properties,
        attributes,
    )


def print_call(printer: Printer, op: Any, grouped: Sequence[Any]) -> None:
    """Prints ` matmul(%0, none, [%1]) {attributes} into (%2) : (types) -> types`."""
    printer.print_string(f" {op.callee.data}")
    with printer.in_parens():
        printer.print_list(grouped, lambda v: print_operand(printer, v))
    printer.print_string(" ")
    printer.print_attribute(op.given)
    _print_rest(printer, op, "layouts")


def parse_call(parser: Parser) -> Parsed:
    """Parses what `print_call` prints."""
    name = parser.parse_identifier()
    start = parser.pos
    groups = parser.parse_comma_separated_list(
        parser.Delimiter.PAREN, lambda: _parse_operand(parser)
    )
    given = parser.parse_attribute()
    if not isinstance(given, DictionaryAttr):
        parser.raise_error("program.call: expected the op's attributes in braces")
    flat = [v for group in groups for v in group]
    found = _parse_rest(parser, name, flat, start, "layouts")
    found.segments, found.given = [len(g) for g in groups], given
    return found


def _parse_operand(parser: Parser) -> list[UnresolvedOperand]:
    if parser.parse_optional_keyword("none"):
        return []
    listed = parser.parse_optional_comma_separated_list(
        parser.Delimiter.SQUARE, parser.parse_unresolved_operand
    )
    return [parser.parse_unresolved_operand()] if listed is None else listed


def print_view(printer: Printer, op: Any) -> None:
    """Prints ` %0 strides [1, 8] start 0 : type -> type`."""
    printer.print_string(" ")
    printer.print_ssa_value(op.source)
    printer.print_string(f" strides [{', '.join(map(str, op.steps))}] start {op.start.value.data}")
    printer.print_op_attributes(op.attributes, print_keyword=True)
    printer.print_string(" : ")
    printer.print_attribute(op.source.type)
    printer.print_string(" -> ")
    printer.print_attribute(op.view.type)


def parse_view(parser: Parser) -> tuple[SSAValue, list[int], int, Attribute, dict[str, Attribute]]:
    """Parses what `print_view` prints."""
    source = parser.parse_unresolved_operand()
    parser.parse_keyword("strides")
    strides = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
    parser.parse_keyword("start")
    start = parser.parse_integer()
    attributes = parse_attributes(parser)
    parser.parse_punctuation(":")
    type_ = parser.parse_type()
    parser.parse_punctuation("->")
    result = parser.parse_type()
    return (
        parser.resolve_operand(source, type_),
        strides,
        start,
        result,
        attributes,
    )


def print_constant(printer: Printer, op: Operation) -> None:
    """Prints ` 2.0 : f64 -> type`."""
    printer.print_string(" ")
    printer.print_attribute(op.properties["value"])
    printer.print_op_attributes(op.attributes, print_keyword=True)
    printer.print_string(" -> ")
    printer.print_attribute(op.results[0].type)


def parse_constant(parser: Parser) -> tuple[Attribute, Attribute, dict[str, Attribute]]:
    """Parses what `print_constant` prints."""
    value = parser.parse_attribute()
    attributes = parse_attributes(parser)
    parser.parse_punctuation("->")
    return value, parser.parse_type(), attributes
