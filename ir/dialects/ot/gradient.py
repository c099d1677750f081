"""`ot.gradient`: derivatives that are asked for, until `passes/autodiff.py` expands it."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import NoMemoryEffect
from xdsl.utils.exceptions import VerifyException

from .types import show, to_table_type


@irdl_op_definition
class GradientOp(IRDLOperation):
    """The cotangents of `wrt` when `outputs`, which they were used to compute, have `cotangents`.

    It looks at the ops before it in its block. A value that reaches no output has zeros.
    """

    name = "ot.gradient"
    outputs = var_operand_def(TensorType)
    cotangents = var_operand_def(TensorType)
    wrt = var_operand_def(TensorType)
    gradients = var_result_def(TensorType)
    traits = traits_def(NoMemoryEffect())
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    assembly_format = (
        "`(` $outputs `)` `by` `(` $cotangents `)` `wrt` `(` $wrt `)` attr-dict `:` "
        "`(` type($outputs) `)` `by` `(` type($cotangents) `)` `wrt` `(` type($wrt) `)` "
        "`->` `(` type($gradients) `)`"
    )

    def __init__(
        self, outputs: Sequence[SSAValue], cotangents: Sequence[SSAValue], wrt: Sequence[SSAValue]
    ) -> None:
        super().__init__(operands=[outputs, cotangents, wrt], result_types=[[v.type for v in wrt]])

    def verify_(self) -> None:
        for what, given, like, needed in (
            ("cotangents", self.cotangents, self.outputs, "outputs"),
            ("gradients", self.gradients, self.wrt, "values"),
        ):
            came, wanted = [v.type for v in given], [v.type for v in like]
            if came != wanted:
                raise VerifyException(
                    f"{self.name}: {what} of type {show(came)} for {needed} of type "
                    f"{show(wanted)}; the types must be equal"
                )
        for value in (*self.outputs, *self.wrt):
            dtype = to_table_type(value.type).dtype
            if not dtype.is_floating_point:
                raise VerifyException(
                    f"{self.name}: a value of dtype {dtype.name}; "
                    "only floating-point values have gradients"
                )
