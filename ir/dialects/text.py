"""What ops of every dialect print and parse alike: operands as a signature has them, attributes."""

from __future__ import annotations

from typing import Any

from xdsl.ir import Attribute
from xdsl.parser import Parser
from xdsl.printer import Printer


def print_operand(printer: Printer, operand: Any) -> None:
    """Prints `%0`, `[%0, %1]` for a list, `none` for an operand that is absent."""
    if operand is None:
        printer.print_string("none")
    elif isinstance(operand, list):
        with printer.in_square_brackets():
            printer.print_list(operand, printer.print_ssa_value)  # pyright: ignore[reportUnknownArgumentType]
    else:
        printer.print_ssa_value(operand)


def parse_attributes(parser: Parser) -> dict[str, Attribute]:
    """Parses an optional `attributes {...}`."""
    found = parser.parse_optional_attr_dict_with_keyword()
    return dict(found.data) if found else {}
