"""Kernels made for a few sizes, as one that takes its sizes: the same bits as one made for each."""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

from kernel_cases import CASES
from kernel_pointwise import flat
from kernel_table import Case, f32, same_bits
from ostinato.codegen.llvm.backend import LLVMBackend
from ostinato.codegen.llvm.load import LoadedKernels
from ostinato.codegen.llvm.machine import Machine, baseline, host
from ostinato.ir.dialects.kernel import FuncOp
from ostinato.ir.interpret.kernel import run_kernel
from ostinato.ir.kernel_builder import KernelBuilder
from ostinato.ir.polynomial import DiffersError, Samples
from ostinato.ir.text import parse_module, print_module
from ostinato.passes.generalize import General, generalize

Array = NDArray[Any]
PRIMES = (17, 61, 131)
SAMPLES = Samples([(n,) for n in PRIMES])
COUNTS = (2, 7, 16, 33, 64, 100, 131)


def general(build: Callable[[int], FuncOp]) -> General:
    return generalize([build(n) for n in PRIMES], "any", SAMPLES)


def launch(address: int, buffers: Sequence[Array], sizes: Sequence[int], extent: int) -> None:
    """Calls a compiled kernel on flat arrays, its sizes after them, in two parts."""
    pointers = [*(b.ctypes.data for b in buffers), *sizes]
    table = (ctypes.c_void_p * len(pointers))(*pointers)
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
    for begin, end in ((0, extent // 3), (extent // 3, extent)):
        kernel(ctypes.addressof(table), begin, end)


@pytest.mark.parametrize("machine", [host, baseline])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_kernel_of_any_size_gives_the_bits_of_one_made_for_it(
    case: Case, machine: Callable[[], Machine]
) -> None:
    made = general(case.build)
    assert made.sizes, "a kernel of n depends on n"
    loaded = LoadedKernels(LLVMBackend(machine).build([made.kernel]))
    for count in COUNTS:
        sizes = [p.at((count,)) for p in made.sizes]
        wanted, by_llvm, by_reference = (case.sampled(count) for _ in range(3))
        static = case.build(count)
        run_kernel(static, wanted)
        run_kernel(made.kernel, by_reference, sizes=sizes)
        assert isinstance(static.length, int)
        launch(loaded.addresses["any"], by_llvm, sizes, static.length)
        for i, each in enumerate(zip(by_llvm, by_reference, wanted, strict=True)):
            compiled, interpreted, reference = each
            assert same_bits(interpreted, reference), f"interpreted, {count}: buffer {i}"
            assert same_bits(compiled, reference), f"compiled, {count}: buffer {i}"


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_its_text_parses_back(case: Case) -> None:
    text = print_module(ModuleOp([general(case.build).kernel]))
    module = parse_module(text)
    module.verify()
    assert print_module(module) == text
    assert "%n: index" in text


def scaled(n: int, times: int, count: int = 0) -> FuncOp:
    """out[i] = x[times * i] for i below `count` or n."""
    b = KernelBuilder("scaled", {"x": f32, "o": f32}, count or n, vector=True)
    b.store(b.load(b.buffers[0], {b.index: times}), b.buffers[1], {b.index: 1})
    return b.finish()


REFUSED: list[tuple[Callable[[int], FuncOp], str]] = [
    (lambda n: scaled(n, n // 2), "8, 30, 65"),
    (lambda n: scaled(n, 1, count=16 * (n > 50) + 16), "16, 32, 32"),
    (lambda n: flat(n) if n > 50 else scaled(n, 1), "the ops of a kernel"),
]


@pytest.mark.parametrize(("build", "text"), REFUSED, ids=["half", "threshold", "other ops"])
def test_what_no_polynomial_gives_is_refused(build: Callable[[int], FuncOp], text: str) -> None:
    with pytest.raises(DiffersError, match=text):
        general(build)
