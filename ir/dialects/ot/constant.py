"""`ot.constant`: a Python number."""

from __future__ import annotations

from xdsl.irdl import IRDLOperation, irdl_op_definition, prop_def, result_def, traits_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import NoMemoryEffect
from xdsl.utils.exceptions import VerifyException

from ...op import Type
from ..text import parse_attributes
from .types import NumberType, number_attribute, number_dtype, number_value, to_ir_type


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
        attributes = parse_attributes(parser)
        try:
            op = cls.of(number_value(value))
        except (VerifyException, OverflowError) as error:
            parser.raise_error(str(error))
        op.attributes |= attributes
        return op

    def verify_(self) -> None:
        expected = to_ir_type(Type((), number_dtype(self.python_value), wrapped=True))
        if self.number.type != expected:
            raise VerifyException(
                f"{self.name}: {self.value} is {expected}, not {self.number.type}"
            )
