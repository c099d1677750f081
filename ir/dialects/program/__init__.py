"""The program dialect: kernel launches and calls of native ops, over tensors and then over memory.

At stage `kernels` values are tensors:

    %2 = program.launch @layer_norm_0(%0, %1) : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
    %3 = program.view %2 strides [1, 8] start 0 : tensor<4x8xf32> -> tensor<8x4xf32>
    %4 = program.call matmul(%2, %3) {} : (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32>

Element (i, j, ...) of a view is element `start + i * strides[0] + ...` of the memory of the viewed
tensor, which is row-major unless `layouts` say otherwise, and no view. A kernel's buffers are the
operands of its launch, then the results; `reuse` holds (buffer, buffer) pairs that may be one. An
absent operand of a call is `none`, a list operand stands in brackets. `layouts` gives the strides
in memory of each result of a call, () for row-major.

At stage `planned` memory is explicit. Each tensor in memory is a `memref` made by one of
`program.input` (the memory of an argument), `program.arena` (at a byte offset of the region's one
block of memory), `program.output` (fresh memory of a result) and `program.constant`; launches and
calls have no results but take the memory to write `into`, and `program.result` says that a memref
holds a result of the region.

A region for a device may have values in the memory of the CPU (`ot.host` arguments, and results of
calls with that attribute, at stage `planned` made by `program.host`). `program.upload` gives the
device copies of them; launches read no others.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from .memory import ArenaOp, ConstantOp, HostOp, InputOp, OutputOp, ResultOp, ViewOp
from .work import CallOp, LaunchOp, UploadOp

__all__ = [
    "SLOT_BYTES",
    "ArenaOp",
    "CallOp",
    "ConstantOp",
    "HostOp",
    "InputOp",
    "LaunchOp",
    "OutputOp",
    "Program",
    "ResultOp",
    "UploadOp",
    "ViewOp",
]

SLOT_BYTES = 16
"""What the device's copy of a value of the host takes: a number, or a random state."""

Program = Dialect(
    "program",
    [LaunchOp, CallOp, UploadOp, ViewOp, ConstantOp, InputOp, ArenaOp, HostOp, OutputOp, ResultOp],
    [],
)
