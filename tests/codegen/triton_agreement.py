"""Kernels in Triton's interpreter beside the reference one, and how far both may be apart.

Results are the same bits, except where floats are summed or multiplied up: there the order is the
GPU's, and `REORDERED` bounds the difference; it is also more than functions differ by. Triton's
interpreter says nothing of races, alignment or contraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_table import bf16, f32, same_bits
from ostinato.codegen.triton.emit.functions import bound_of
from ostinato.codegen.triton.emit.kernel import emit
from ostinato.codegen.triton.emit.tiles import Tuning
from ostinato.ir.dialects.kernel import FuncOp, ReduceOp
from ostinato.ir.interpret.kernel import run_kernel
from ostinato.ir.scalar.functions import BOUNDS
from scalar_kernels import number
from triton_runner import Interpreter, Job, places_of

Array = NDArray[Any]


REORDERED = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-13}
"""Of the largest element of a buffer: how far sums in another order may be apart."""


def run(
    triton: Interpreter,
    kernel: FuncOp,
    buffers: Sequence[Array],
    tuning: Tuning | None = None,
    change: tuple[str, str] = ("", ""),
) -> list[Array]:
    """The buffers after the kernel; `change` replaces a part of its source."""
    made = emit(kernel, tuning)
    assert change[0] in made.source
    job = Job(
        made.name, made.source.replace(*change, 1) if change[0] else made.source,
        made.launch.programs, dict(made.launch.constants),
        [p.type.lstrip("*") for p in made.launch.parameters],
        places_of(buffers), list(buffers),
    )  # fmt: skip
    return triton.run(job)


def is_reordered(kernel: FuncOp) -> bool:
    """Whether floats are summed or multiplied up, in an order that is Triton's choice."""
    names = {"arith.addf", "arith.mulf"}
    loops = any(o.name in ("kernel.for", "kernel.reduce") for o in kernel.walk())
    return loops and any(
        (isinstance(o, ReduceOp) and {"sum", "prod"} & set(o.kinds))
        or (o.name in names and any(v.owner.name == "kernel.load" for v in o.operands))  # pyright: ignore
        for o in kernel.walk()
    )


def is_by_hardware(kernel: FuncOp) -> bool:
    """Whether it has functions that the GPU computes in its own way."""
    names = {f"math.{kind}" for kind in BOUNDS if bound_of(kind, f32) != BOUNDS[kind][f32.name]}
    return any(o.name in names for o in kernel.walk())


def assert_agree(kernel: FuncOp, ours: Sequence[Array], reference: Sequence[Array]) -> None:
    """Equal bits, or sums and functions within their bounds."""
    for i, (a, b) in enumerate(zip(ours, reference, strict=True)):
        if same_bits(a, b):
            continue
        assert is_reordered(kernel) or is_by_hardware(kernel), (
            f"buffer {i}: other bits\n{emit(kernel).source}"
        )
        dtype = kernel.buffers[i].type.dtype  # pyright: ignore
        if dtype is bf16:
            a, b = number(a, bf16), number(b, bf16)
        bound = 1e-2 if dtype is bf16 else REORDERED[b.dtype.name]
        finite = np.abs(b[np.isfinite(b)].astype("float64"))
        scale = bound * max(float(finite.max(initial=0.0)), 1.0)
        np.testing.assert_allclose(a, b, bound, scale, err_msg=f"buffer {i}")


def check_kernel(
    triton: Interpreter,
    kernel: FuncOp,
    before: Sequence[Array],
    tuning: Tuning | None = None,
    change: tuple[str, str] = ("", ""),
) -> list[Array]:
    """Asserts that a kernel leaves of `before` what the reference makes of it, which it returns."""
    reference = [b.copy() for b in before]
    with np.errstate(all="ignore"):
        run_kernel(kernel, reference)
    assert_agree(kernel, run(triton, kernel, before, tuning, change), reference)
    return reference
