"""What `kernels()` says of a GPU's kernels, against the driver's own reading of their machine code,
and against what a profile saw launched."""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from ostinato.codegen.triton.build import BuiltKernel, build
from ostinato.compiler.lowered import kernels_in
from ostinato.compiler.passed import run_all_passes
from ostinato.runtime import _C

THREADS, LOCAL, REGISTERS = 0, 3, 4
"""Numbers of `CUfunction_attribute`: the most threads of a program, and what one takes."""
NAMES = ("pointwise", "rows", "columns", "update")


def values(*shape: int) -> Any:
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return ot.from_numpy(array).to("cuda")


def called(name: str) -> tuple[Any, Callable[[], object]]:
    """A compiled function of this kind after a call, and what calls it again."""
    weight = values(64, 64).requires_grad_()
    optimizer = ot.optim.AdamW([weight])

    def update(x: Any) -> Any:
        loss = F.gelu(x @ weight).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    programs: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "pointwise": (lambda x: (x * 2 + 1).tanh(), (values(1000, 77),)),
        "rows": (lambda x: F.softmax(x, dim=-1) * 3, (values(64, 3000),)),
        "columns": (lambda x: x.exp().sum(dim=0), (values(5000, 96),)),
        "update": (update, (values(32, 64),)),
    }
    fn, args = programs[name]
    compiled = ot.compile(fn)
    compiled(*args)
    return compiled, lambda: compiled(*args)


def machine_codes(compiled: Any) -> dict[str, BuiltKernel]:
    """The machine code of each kernel of the only variant."""
    (variant,) = compiled.variants
    device = variant.region.device
    kernels = [
        k for m in run_all_passes(variant.region).modules for k in kernels_in(m, device)
    ]  # fmt: skip
    return {b.kernel.name: b for b in build(kernels, _C.cuda_capability(device))}


def attributes(built: BuiltKernel) -> tuple[int, ...]:
    """Registers and bytes of stack of a thread, and the most threads, as the driver loads it."""
    driver = ctypes.CDLL("libcuda.so.1")
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    assert driver.cuModuleLoadData(ctypes.byref(module), built.cubin) == 0
    try:
        symbol = built.symbol.encode()
        assert driver.cuModuleGetFunction(ctypes.byref(function), module, symbol) == 0
        found: list[int] = []
        for number in (REGISTERS, LOCAL, THREADS):
            value = ctypes.c_int()
            assert driver.cuFuncGetAttribute(ctypes.byref(value), number, function) == 0
            found.append(value.value)
        return tuple(found)
    finally:
        driver.cuModuleUnload(module)


@pytest.mark.skipif("OSTINATO_LIBCUDA" in os.environ, reason="a stand-in has no such driver")
@pytest.mark.parametrize("name", NAMES)
def test_registers_stack_and_threads_are_those_of_the_driver(name: str) -> None:
    compiled, _ = called(name)
    codes = machine_codes(compiled)
    found = compiled.kernels()
    assert found and {k.name for k in found} == set(codes)
    for kernel in found:
        registers, stack, most = attributes(codes[kernel.name])
        assert (kernel.registers, kernel.stack) == (registers, stack), kernel.name
        assert kernel.threads == 32 * codes[kernel.name].warps <= most, kernel.name


def test_shared_memory_is_what_a_program_takes() -> None:
    (plain,) = called("pointwise")[0].kernels()
    (rows,) = called("rows")[0].kernels()
    assert (plain.shared, plain.language) == (0, "Triton")
    # Sums of a row pass from warp to warp by one number each at least.
    assert rows.threads > 32 and rows.shared >= 4 * rows.threads // 32


@pytest.mark.parametrize("name", NAMES)
def test_launches_are_those_that_run(name: str) -> None:
    compiled, call = called(name)
    with ot.profile(every=0) as profile:
        call()
    ran = Counter(s.name for s in profile.steps if s.is_kernel)
    assert ran == {k.name: len(k.launches) for k in compiled.kernels()}


def test_a_launch_covers_all_elements_and_no_program_more() -> None:
    (kernel,) = called("pointwise")[0].kernels()
    (programs,) = kernel.launches
    each = (kernel.threads << i for i in range(8))  # a thread takes a power of two
    assert programs in [-(-1000 * 77 // size) for size in each]
