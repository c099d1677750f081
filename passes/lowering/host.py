"""The way of values from the host to the device: one upload, after all that the host computes."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import LocationAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from ...ir.dialects.ot.types import to_ir_type
from ...ir.dialects.program import CallOp, ConstantOp, UploadOp, ViewOp
from ...ir.graph import HOST
from ...ir.locations import fuse_locations
from ...ir.op import Type
from ..fusion.types import dtype_of, shape_of
from ..host import host_values


class Uploads:
    """Which values of a region at stage `fused` the device needs copies of. `host` are those in
    the CPU's memory."""

    def __init__(self, func: FuncOp) -> None:
        self.host = host_values(func)
        self._location = func.location
        self._made: dict[SSAValue, SSAValue] = {}

    def of(self, value: SSAValue) -> SSAValue:
        """The device's copy of a value of the lowered program."""
        known = self._made.get(value)
        if known is None:
            type_ = to_ir_type(Type(shape_of(value), dtype_of(value)))
            # Stands for its part of the one upload, which is made when all parts are known.
            part = UploadOp.of([value], [type_])
            part.location = self._location_of(value)
            known = self._made[value] = part.outputs[0]
        return known

    def arranged(self, ops: Sequence[Operation]) -> list[Operation]:
        """`ops` with literals and what the host computes first, then the upload."""
        if not self.host:
            return list(ops)
        host = [op for op in ops if self._is_of_host(op)]
        return [*host, *self._upload(), *(op for op in ops if not self._is_of_host(op))]

    def _is_of_host(self, op: Operation) -> bool:
        if isinstance(op, ViewOp):
            source = op.source
            owner = source.owner
            return source in self.host or (
                isinstance(owner, Operation) and HOST in owner.attributes
            )
        return isinstance(op, ConstantOp) or (isinstance(op, CallOp) and HOST in op.attributes)

    def _upload(self) -> list[Operation]:
        if not self._made:
            return []
        op = UploadOp.of(list(self._made), [v.type for v in self._made.values()])
        op.location = fuse_locations(map(self._location_of, self._made))
        for copy, whole in zip(self._made.values(), op.outputs, strict=True):
            copy.replace_all_uses_with(whole)
        return [op]

    def _location_of(self, value: SSAValue) -> LocationAttr:
        return value.owner.location if isinstance(value.owner, Operation) else self._location
