"""`ot.fusion`: ops that become one kernel, and the `ot.yield` that ends them."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsolatedFromAbove, NoMemoryEffect
from xdsl.utils.exceptions import VerifyException

from ..yields import Yielding, yielded_types
from . import text
from .types import show


@irdl_op_definition
class YieldOp(Yielding):
    """Ends the body of an `ot.fusion` with its results."""

    name = "ot.yield"


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
        types = yielded_types(body.block)
        Operation.__init__(self, operands=inputs, regions=[body], result_types=types)

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
            ("yielded values", yielded_types(block), [r.type for r in self.outputs]),
        ):
            if inner != outer:
                raise VerifyException(
                    f"{self.name}: {what} of type {show(inner)} against "
                    f"{show(outer)} outside; the types must be equal"
                )
