"""The constants of a kernel: equal ones are one, which stands at the kernel's start."""

from __future__ import annotations

from typing import TypeVar

from xdsl.dialects import arith
from xdsl.ir import Attribute, Operation

from ...ir.kernel_builder import KernelBuilder

_Op = TypeVar("_Op", bound=Operation)


class Constants:
    """Inserts ops where the kernel's builder stands, but constants at the start."""

    def __init__(self, builder: KernelBuilder) -> None:
        self._builder = builder
        self._block = builder.func.body.block
        self._known: dict[tuple[str, Attribute], Operation] = {}

    def insert(self, op: _Op) -> _Op | Operation:
        """Inserts `op` and returns it, or the constant that is there already."""
        if not isinstance(op, arith.ConstantOp):
            return self._builder.insert(op)
        # Attributes do not tell 0.0 from -0.0.
        key = (str(op.value), op.result.type)
        known = self._known.get(key)
        if known is None:
            op.location = self._builder.location
            self._add(op)
            self._known[key] = known = op
        return known

    def _add(self, op: Operation) -> None:
        newest, first = next(reversed(self._known.values()), None), self._block.first_op
        if newest is not None:
            self._block.insert_op_after(op, newest)
        elif first is not None:
            self._block.insert_op_before(op, first)
        else:
            self._block.add_op(op)
