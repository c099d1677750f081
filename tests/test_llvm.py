"""Kernels compiled by LLVM against NumPy and, bit for bit, against the reference interpreter."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from kernel_cases import CASES, Case, bf16, bit
from numpy.typing import NDArray

from ostinato.codegen.llvm.backend import LLVMBackend
from ostinato.codegen.llvm.load import LoadedKernels
from ostinato.ir.dialects.kernel import FuncOp
from ostinato.ir.dtypes import DType
from ostinato.ir.interpret_kernel import run_kernel

Array = NDArray[Any]
COUNTS = (1, 7, 16, 17, 64, 1000)


def launch(address: int, buffers: Sequence[Array], begin: int, end: int) -> None:
    """Calls a compiled kernel on flat arrays."""
    pointers = (ctypes.c_void_p * len(buffers))(*(b.ctypes.data for b in buffers))
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
    kernel(ctypes.addressof(pointers), begin, end)


def compiled(*kernels: FuncOp) -> LoadedKernels:
    """The kernels, built and in memory."""
    return LoadedKernels(LLVMBackend().build(kernels))


def sample(dtype: DType, count: int, seed: int, finite: bool = False) -> Array:
    """Random elements; with extremes among integers, zeros, infinities and NaN among floats."""
    rng = np.random.default_rng(seed)
    if dtype is bit:
        return rng.integers(0, 2, count).astype(bool)
    if dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        x = rng.integers(info.min, info.max, count, dtype=dtype.numpy, endpoint=True)
        x[::5] = rng.choice([0, 1, 2, info.min, info.max], x[::5].size)
        return x
    x = rng.standard_normal(count) * 10.0 ** rng.integers(-3, 3, count)
    if not finite:
        x[3::11] = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan], x[3::11].size)
    if dtype is bf16:
        return (x.astype(np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return x.astype(dtype.numpy)


def same_bits(a: Array, b: Array) -> bool:
    """Equal elements; any NaN equals any other, but 0.0 is not -0.0."""
    if a.dtype.kind == "f":
        nan = np.isnan(a) & np.isnan(b)
        return bool(np.all(nan | ((a == b) & (np.signbit(a) == np.signbit(b)))))
    return bool(np.array_equal(a, b))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_compiled_kernels_equal_numpy_and_the_interpreter(case: Case, count: int) -> None:
    kernel = case.build(count)
    before = [sample(d, n, seed, case.finite) for seed, (d, n) in enumerate(case.buffers(count))]
    by_llvm, by_reference = ([b.copy() for b in before] for _ in range(2))
    loaded, extent = compiled(kernel), kernel.extent.value.data
    for begin, end in ((0, extent // 3), (extent // 3, extent), (extent, extent)):
        launch(loaded.addresses[case.name], by_llvm, begin, end)
    run_kernel(kernel, by_reference)
    for i, (ours, reference) in enumerate(zip(by_llvm, by_reference, strict=True)):
        assert same_bits(ours, reference), f"buffer {i} differs from the interpreter's"
    with np.errstate(all="ignore"):
        wanted = case.oracle(count, *before)
    for i, value in wanted.items():
        if case.tolerance:
            np.testing.assert_allclose(by_llvm[i], value, case.tolerance, case.tolerance)
        else:
            assert same_bits(by_llvm[i], value), f"buffer {i} differs from NumPy's"
