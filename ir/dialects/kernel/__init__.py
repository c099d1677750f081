"""The fused-kernel dialect: loop nests over scalar ops on flat buffers, one parallel axis each.

    kernel.func @softmax(%x: !kernel.buffer<f32>, %o: !kernel.buffer<f32>) parallel %i to 512 {
      %m = kernel.reduce max %j to 100 vector {
        %v = kernel.load %x[affine_map<(d0, d1) -> (d0 * 100 + d1)>(%i, %j)] : !kernel.buffer<f32>
        kernel.yield %v : f32
      }
      kernel.for %j to 100 vector { ... kernel.store %y, %o[...] : !kernel.buffer<f32> ... }
      kernel.return
    }

What the ops mean, and what their verifiers hold producers to:

- Iterations of the parallel axis are independent; they run in any order and on any thread.
- On every path from `kernel.func` to an innermost loop exactly one loop is marked `vector`. Its
  iterations are lanes: they depend on each other only through the loop's own combiners.
- A `vector` reduction works in `LANES` lanes: element j goes to lane j mod 16; a lane starts at the
  combiner's identity and takes its elements in rising order; then lane k takes in lane k + 8 (for
  k < 8), then k + 4, k + 2 and k + 1. A serial reduction takes elements in rising order. So a
  result depends neither on the machine nor on how the parallel axis was split.
- A load or store touches element `map(dims)[symbols]` of a buffer: dims are indices of enclosing
  loops, symbols are any other `index` values (a loaded integer goes through `arith.index_cast`).
  With `if %mask` memory is touched only where the mask is true; a load gives `%other` elsewhere.
- After its buffers a kernel may take sizes, of type `index`: loops that are as long as one of them
  (`parallel %i to %n`, `kernel.for %j to %n`), offsets and scalars may depend on them.
- Everything else is `arith` and `math` on scalars, `index` included. Unsigned integers are signless
  types under unsigned ops. Ops mean what `ir/scalar/kinds.py` says of the kinds that they stand
  for: integer division by zero gives 0 and never traps, `maximumf` and `minimumf` give NaN if
  either side is NaN and the second operand if both are equal. f16 and bf16 are only moved and
  converted.

`ir/kernel_builder.py` builds kernels; `ir/interpret/kernel.py` runs them in NumPy.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from .batch import BatchOp, Launchable, Member
from .func import FuncOp, ReturnOp
from .loops import ForOp, ReduceOp, YieldOp
from .memory import LoadOp, LocalOp, StoreOp
from .types import BufferType, element_type, value_type

__all__ = [
    "LANES",
    "BatchOp",
    "BufferType",
    "ForOp",
    "FuncOp",
    "Kernel",
    "Launchable",
    "LoadOp",
    "LocalOp",
    "Member",
    "ReduceOp",
    "ReturnOp",
    "StoreOp",
    "YieldOp",
    "element_type",
    "value_type",
]

LANES = 16
"""Lanes of a vector axis, for every element type and machine."""

Kernel = Dialect(
    "kernel",
    [FuncOp, BatchOp, ForOp, ReduceOp, LoadOp, StoreOp, LocalOp, YieldOp, ReturnOp],
    [BufferType],
)
