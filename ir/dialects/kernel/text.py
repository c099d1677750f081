"""How the kernel dialect's loops and accesses are printed and parsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import (
    AffineMapAttr,
    IndexType,
    IntegerAttr,
    UnitAttr,
    i1,
)
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer

from ..integers import integer_attribute, integers_attribute, integers_of
from ..text import parse_attributes
from .types import BufferType


def print_options(printer: Printer, properties: Mapping[str, Attribute]) -> None:
    """Prints ` vector unroll 4 grain 8 aliased [0, 1]`, in this order and as present."""
    if "vector" in properties:
        printer.print_string(" vector")
    for key in ("unroll", "grain"):
        value = properties.get(key)
        if isinstance(value, IntegerAttr):
            printer.print_string(f" {key} {value.value.data}")
    if "aliased" in properties:
        aliased = ", ".join(map(str, integers_of(properties["aliased"])))
        printer.print_string(f" aliased [{aliased}]")


def parse_options(parser: Parser) -> dict[str, Attribute]:
    """Parses what `print_options` prints."""
    properties: dict[str, Attribute] = {}
    if parser.parse_optional_keyword("vector"):
        properties["vector"] = UnitAttr()
    for key in ("unroll", "grain"):
        if parser.parse_optional_keyword(key):
            properties[key] = integer_attribute(parser.parse_integer())
    if parser.parse_optional_keyword("aliased"):
        aliased = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
        properties["aliased"] = integers_attribute(aliased)
    return properties


def print_loop(printer: Printer, op: Operation, count: int | SSAValue) -> None:
    """Prints ` %j to 256 vector { body }` and the op's attributes."""
    printer.print_string(" ")
    printer.print_ssa_value(op.regions[0].block.args[0])
    _print_length(printer, count)
    print_options(printer, op.properties)
    printer.print_op_attributes(op.attributes, print_keyword=True)
    printer.print_string(" ")
    printer.print_region(op.regions[0], print_entry_block_args=False)


def _print_length(printer: Printer, count: int | SSAValue) -> None:
    printer.print_string(" to ")
    if isinstance(count, int):
        printer.print_string(str(count))
    else:
        printer.print_ssa_value(count)


@dataclass
class ParsedLoop:
    """What `print_loop` prints; `sizes` is the one that says how long it is, if one does."""

    properties: dict[str, Attribute]
    attributes: dict[str, Attribute]
    body: Region
    sizes: list[SSAValue]


def parse_loop(parser: Parser) -> ParsedLoop:
    """Parses what `print_loop` prints."""
    index = parser.parse_argument(expect_type=False).resolve(IndexType())
    parser.parse_keyword("to")
    count = parser.parse_optional_integer()
    sizes: list[SSAValue] = [parser.parse_operand(IndexType())] if count is None else []
    properties: dict[str, Attribute] = {}
    if count is not None:
        properties["count"] = integer_attribute(count)
    properties |= parse_options(parser)
    attributes = parse_attributes(parser)
    return ParsedLoop(properties, attributes, parser.parse_region([index]), sizes)


def print_access(
    printer: Printer, buffer: SSAValue, map_: AffineMapAttr, indices: Sequence[SSAValue]
) -> None:
    """Prints `%x[affine_map<(d0)[s0] -> (d0 + s0)>(%i)[%s]]`."""
    printer.print_ssa_value(buffer)
    with printer.in_square_brackets():
        printer.print_attribute(map_)
        with printer.in_parens():
            printer.print_list(indices[: map_.data.num_dims], printer.print_ssa_value)
        if map_.data.num_symbols:
            with printer.in_square_brackets():
                printer.print_list(indices[map_.data.num_dims :], printer.print_ssa_value)


def print_guard(
    printer: Printer, mask: SSAValue | None, other: SSAValue | None, op: Operation, type_: Attribute
) -> None:
    """Prints ` if %mask else %other {attributes} : type`."""
    for keyword, value in ((" if ", mask), (" else ", other)):
        if value is not None:
            printer.print_string(keyword)
            printer.print_ssa_value(value)
    printer.print_op_attributes(op.attributes)
    printer.print_string(" : ")
    printer.print_attribute(type_)


@dataclass
class ParsedAccess:
    """What `print_access` and `print_guard` print."""

    buffer: SSAValue
    type: BufferType
    map: AffineMapAttr
    indices: list[SSAValue]
    mask: SSAValue | None
    other: SSAValue | None
    attributes: dict[str, Attribute]


def parse_access(parser: Parser) -> ParsedAccess:
    """Parses what `print_access` and `print_guard` print."""
    buffer = parser.parse_unresolved_operand()
    parser.parse_punctuation("[")
    map_, indices = _parse_offset(parser)
    parser.parse_punctuation("]")
    mask = parser.parse_operand(i1) if parser.parse_optional_keyword("if") else None
    other: UnresolvedOperand | None = None
    if parser.parse_optional_keyword("else"):
        other = parser.parse_unresolved_operand()
    attributes = parser.parse_optional_attr_dict()
    parser.parse_punctuation(":")
    type_ = parser.parse_type()
    if not isinstance(type_, BufferType):
        parser.raise_error(f"kernel: expected a !kernel.buffer, got {type_}")
    return ParsedAccess(
        parser.resolve_operand(buffer, type_),
        type_,
        map_,
        indices,
        mask,
        None if other is None else parser.resolve_operand(other, type_.value_type),
        attributes,
    )


def _parse_offset(parser: Parser) -> tuple[AffineMapAttr, list[SSAValue]]:
    map_ = parser.parse_attribute()
    if not isinstance(map_, AffineMapAttr):
        parser.raise_error("kernel: expected an affine map, which gives the element's offset")

    def index() -> SSAValue:
        return parser.parse_operand(IndexType())

    dims = parser.parse_comma_separated_list(parser.Delimiter.PAREN, index)
    symbols = parser.parse_optional_comma_separated_list(parser.Delimiter.SQUARE, index)
    return map_, [*dims, *(symbols or [])]


def print_func(printer: Printer, op: Operation, name: str, extent: int | SSAValue) -> None:
    """Prints ` @f(%x: !kernel.buffer<f32>) parallel %i to 512 vector { body }`."""
    *buffers, index = op.regions[0].block.args
    printer.print_string(" ")
    printer.print_symbol_name(name)
    with printer.in_parens():
        printer.print_list(buffers, printer.print_block_argument)
    printer.print_string(" parallel ")
    printer.print_ssa_value(index)
    _print_length(printer, extent)
    print_options(printer, op.properties)
    printer.print_op_attributes(op.attributes, print_keyword=True)
    printer.print_string(" ")
    printer.print_region(op.regions[0], print_entry_block_args=False)


def parse_func(parser: Parser) -> ParsedLoop:
    """Parses what `print_func` prints."""
    name = parser.parse_symbol_name()
    arguments = parser.parse_comma_separated_list(
        parser.Delimiter.PAREN, lambda: _parse_argument(parser)
    )
    sizes = [a.name.text for a in arguments if not isinstance(a.type, BufferType)]
    parser.parse_keyword("parallel")
    arguments.append(parser.parse_argument(expect_type=False).resolve(IndexType()))
    parser.parse_keyword("to")
    properties: dict[str, Attribute] = {"sym_name": name, **_parse_extent(parser, sizes)}
    properties |= parse_options(parser)
    attributes = parse_attributes(parser)
    return ParsedLoop(properties, attributes, parser.parse_region(arguments), [])


def _parse_extent(parser: Parser, sizes: Sequence[str]) -> dict[str, Attribute]:
    extent = parser.parse_optional_integer()
    if extent is not None:
        return {"extent": integer_attribute(extent)}
    given = parser.parse_unresolved_operand().span.text
    if given not in sizes:
        parser.raise_error(f"kernel: {given} is no size of the kernel; there are {sizes}")
    return {"size": integer_attribute(sizes.index(given))}


def _parse_argument(parser: Parser) -> Parser.Argument:
    argument = parser.parse_argument()
    argument.location = parser.parse_optional_location()
    return argument
