"""The end of a body whose values go on to the op around it, in each dialect under its own name."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.irdl import IRDLOperation, traits_def, var_operand_def
from xdsl.traits import IsTerminator, NoMemoryEffect


class Yielding(IRDLOperation):
    """What `ot.yield` and `kernel.yield` share: they hand over `arguments`."""

    arguments = var_operand_def()
    traits = traits_def(IsTerminator(), NoMemoryEffect())
    assembly_format = "attr-dict ($arguments^ `:` type($arguments))?"

    def __init__(self, arguments: Sequence[SSAValue] = ()) -> None:
        Operation.__init__(self, operands=arguments)


def yielded_types(block: Block) -> list[Attribute]:
    """The types of what is handed over; none where `block` ends in another way."""
    end = block.last_op
    return [v.type for v in end.arguments] if isinstance(end, Yielding) else []
