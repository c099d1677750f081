"""Kernels compiled by LLVM against NumPy and, bit for bit, against the reference interpreter."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# (llvmlite is not annotated.)

import ctypes
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from numpy.typing import NDArray
from xdsl.dialects import arith, math

from kernel_accesses import twice
from kernel_cases import CASES
from kernel_pointwise import flat
from kernel_table import Case, f16, f32, f64, same_bits, sample, start
from ostinato.codegen.backend import Backend, CompiledModule, Options
from ostinato.codegen.elf import undefined_symbols
from ostinato.codegen.llvm.backend import LLVMBackend
from ostinato.codegen.llvm.load import LoadedKernels
from ostinato.codegen.llvm.machine import Machine, baseline, host
from ostinato.ir import dtypes
from ostinato.ir.dialects.kernel import FuncOp
from ostinato.ir.dtypes import DType
from ostinato.ir.errors import CompileError
from ostinato.ir.interpret.kernel import run_kernel
from ostinato.ir.scalar.expression import argument, make
from ostinato.ir.scalar.functions import expand
from ostinato.ir.scalar.numpy import evaluate
from scalar_kernels import COUNT, Row, casts, functions, kinds, number, pointwise

Array = NDArray[Any]
COUNTS = (1, 7, 16, 17, 64, 1000)


def launch(address: int, buffers: Sequence[Array], begin: int, end: int) -> None:
    """Calls a compiled kernel on flat arrays."""
    pointers = (ctypes.c_void_p * len(buffers))(*(b.ctypes.data for b in buffers))
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
    kernel(ctypes.addressof(pointers), begin, end)


def compiled(*kernels: FuncOp, machine: Callable[[], Machine] = host) -> LoadedKernels:
    """The kernels, built and in memory."""
    return LoadedKernels(LLVMBackend(machine).build(kernels))


@pytest.mark.parametrize("machine", [host, baseline])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_compiled_kernels_equal_numpy_and_the_interpreter(
    case: Case, count: int, machine: Callable[[], Machine]
) -> None:
    kernel = case.build(count)
    before = case.sampled(count)
    by_llvm, by_reference = ([b.copy() for b in before] for _ in range(2))
    loaded, extent = compiled(kernel, machine=machine), kernel.fixed_length
    for begin, end in ((0, extent // 3), (extent // 3, extent), (extent, extent)):
        launch(loaded.addresses[case.name], by_llvm, begin, end)
    run_kernel(kernel, by_reference)
    for i, (ours, reference) in enumerate(zip(by_llvm, by_reference, strict=True)):
        assert same_bits(ours, reference), f"buffer {i} differs from the interpreter's"
    case.check(count, before, by_llvm)


def run_rows(rows: Iterable[Row]) -> Iterator[tuple[Row, Array]]:
    """The rows, and what their kernels store."""
    rows = list(rows)
    loaded = compiled(*(row.kernel for row in rows))
    for row in rows:
        ours = row.empty
        launch(loaded.addresses[row.name], [*row.arrays, ours], 0, COUNT)
        yield row, ours


def test_every_kind_means_in_llvm_what_it_means_in_numpy() -> None:
    rows = list(kinds())
    assert len(rows) > 150
    for row, ours in run_rows(rows):
        assert same_bits(ours, row.wanted), row.name


def test_casts_mean_in_llvm_what_they_mean_in_numpy() -> None:
    for row, ours in run_rows(casts()):
        assert same_bits(number(ours, row.dtype), row.wanted), row.name


@pytest.mark.parametrize("dtype", [f32, f64], ids=lambda d: d.name)
def test_functions_in_llvm_equal_their_expansions(dtype: DType) -> None:
    rows = [row for _, row in functions(dtype)]
    assert len(rows) >= 9
    for row, ours in run_rows(rows):
        assert same_bits(ours, evaluate([expand(row.root)], row.arrays)[0]), row.name
        np.testing.assert_allclose(ours, row.wanted, 1e-5, 1e-30)


def test_a_buffer_passed_twice_is_written_in_the_order_of_the_text() -> None:
    kernel = twice(COUNT)
    ours = np.arange(COUNT, dtype=np.float32)
    reference = ours.copy()
    loaded = compiled(kernel)
    launch(loaded.addresses["twice"], [ours, ours], 0, COUNT)
    run_kernel(kernel, [reference, reference])
    assert same_bits(ours, np.arange(COUNT, dtype=np.float32) * 2 + 1)
    assert same_bits(reference, ours)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_an_empty_range_touches_no_memory(case: Case) -> None:
    loaded = compiled(case.build(1000))
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    nothing = (ctypes.c_void_p * len(case.buffers(1000)))()
    kernel(loaded.addresses[case.name])(ctypes.addressof(nothing), 5, 5)


def test_of_equal_extremes_the_first_stays() -> None:
    b = start("zeros", {"x": f32, "high": f32, "low": f32}, 4)
    x, *outputs = b.buffers
    with b.reduce(["max", "min"], 40, vector=True) as r:
        v = b.load(x, {b.index: 40, r.index: 1})
        r.give(v, v)
    for result, output in zip(r.results, outputs, strict=True):
        b.store(result, output, {b.index: 1})
    first, position = np.array([0.0, -0.0], np.float32), np.arange(40)
    rows = [position >= 17, position < 17, position % 16 >= 8, position % 16 < 8]
    zeros = np.stack([first[row.astype(int)] for row in rows])
    loaded, found = compiled(b.finish()), np.ones((2, 4), np.float32)
    launch(loaded.addresses["zeros"], [zeros, found[0], found[1]], 0, 4)
    assert np.signbit(found).tolist() == [[False, True, False, True]] * 2


def full_width(machine: Callable[[], Machine]) -> str:
    has_zmm = machine is host and "+avx512f" in llvm.get_host_cpu_features().flatten()
    return "%zmm" if has_zmm else "%ymm"


@pytest.mark.parametrize("machine", [host, baseline])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_assembly_has_no_calls_and_contracts_nothing(
    case: Case, machine: Callable[[], Machine]
) -> None:
    assembly = LLVMBackend(machine).assembly([case.build(1000)])
    assert not re.search(r"\b(call|jmp\s+\*|vfn?m(add|sub))", assembly)


@pytest.mark.parametrize("machine", [host, baseline])
@pytest.mark.parametrize(
    "case",
    [
        c
        for c in CASES
        if c.name
        in ("flat", "broadcast", "softmax", "moments", "layer_norm", "column_sum", "embedding")
    ],
    ids=lambda c: c.name,
)
def test_loops_work_on_whole_registers(case: Case, machine: Callable[[], Machine]) -> None:
    assembly = LLVMBackend(machine).assembly([case.build(1000)])
    loops = re.findall(r"^(\.LBB\w+):\n((?:\t.*\n)*?)\tj\w+\t\1$", assembly, re.MULTILINE)
    assert any(full_width(machine) in body for _, body in loops), assembly
    assert not any(
        re.search(r"^\tv(add|sub|mul|div|max)s[sd]\t", body, re.MULTILINE) for _, body in loops
    ), assembly


def test_a_library_call_is_seen_and_refused() -> None:
    text = (
        "define void @f(ptr %p) {\n  %x = load <16 x float>, ptr %p\n"
        "  %y = call <16 x float> @llvm.exp.v16f32(<16 x float> %x)\n"
        "  store <16 x float> %y, ptr %p\n  ret void\n}\n"
        "declare <16 x float> @llvm.exp.v16f32(<16 x float>)\n"
    )
    machine = host()
    assert re.search(r"\bcall", machine.assembly_of(machine.header + text))
    assert undefined_symbols(machine.object_of(machine.header + text)) == ["expf"]


def test_objects_define_all_that_they_use() -> None:
    module = LLVMBackend().build([case.build(100) for case in CASES])
    assert undefined_symbols(module.data) == []
    assert module.symbols == tuple(case.name for case in CASES)
    assert module.data == LLVMBackend().build([case.build(100) for case in CASES]).data


def unlowered(n: int) -> FuncOp:
    b = start("unlowered", {"x": dtypes.int32}, n, vector=True)
    v = b.load(b.buffers[0], {b.index: 1})
    b.store(b.insert(arith.CeilDivSIOp(v, v)).result, b.buffers[0], {b.index: 1})
    return b.finish()


def integer_tanh(n: int) -> FuncOp:
    b = start("half", {"x": f16}, n, vector=True)
    v = b.load(b.buffers[0], {b.index: 1})
    b.store(b.insert(math.TanhOp(v)).result, b.buffers[0], {b.index: 1})
    return b.finish()


@pytest.mark.parametrize(
    ("kernels", "options", "message"),
    [
        ([flat(5)] * 2, None, "llvm: two kernels are named flat; give each its own name"),
        ([], {"fast": True}, "llvm: unknown option fast; the backend takes none"),
        ([unlowered(5)], None, "llvm: arith.ceildivsi has no lowering; use arith and math ops"),
        ([integer_tanh(5)], None, "llvm: math.tanh of f16; cast to f32 first"),
    ],
)
def test_what_cannot_be_built_is_refused(
    kernels: list[FuncOp], options: Options | None, message: str
) -> None:
    with pytest.raises(CompileError) as error:
        LLVMBackend().build(kernels, options)
    assert str(error.value) == message


def test_a_module_for_another_machine_is_not_loaded() -> None:
    with pytest.raises(CompileError) as error:
        LoadedKernels(CompiledModule("elf-x86-64", "z80", (), b""))
    assert str(error.value) == (
        "llvm: a module of format elf-x86-64 for z80; build it on this machine"
    )


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x01\x01" + bytes(80)])
def test_only_elf_objects_are_read(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a 64-bit little-endian ELF object"):
        undefined_symbols(data)


def test_llvm_backend_is_a_backend() -> None:
    backend: Backend = LLVMBackend()
    assert backend.name == "llvm"
    assert backend.target() == backend.build([flat(3)]).target


@pytest.mark.parametrize("dtype", [dtypes.int32, dtypes.int64, dtypes.uint8], ids=lambda d: d.name)
def test_integer_powers_are_written_out(dtype: DType) -> None:
    root = make("pow", argument(0, dtype), argument(1, dtype))
    base, exponent = sample(dtype, COUNT, 1), sample(dtype, COUNT, 2)
    exponent[:40] = np.arange(40) % 8
    ours = np.zeros(COUNT, dtype.numpy)
    loaded = compiled(pointwise("power", root, [dtype, dtype], dtype))
    launch(loaded.addresses["power"], [base, exponent, ours], 0, COUNT)
    assert same_bits(ours, evaluate([expand(root)], [base, exponent])[0])
    wanted = [pow(int(x), int(y), 1 << 64) for x, y in zip(base[:40], exponent[:40], strict=True)]
    assert same_bits(ours[:40], np.array(wanted, np.uint64).astype(dtype.numpy))


def test_the_remainder_of_floats_has_no_op() -> None:
    with pytest.raises(NotImplementedError) as error:
        pointwise("remainder", make("rem", argument(0, f32), argument(1, f32)), [f32, f32], f32)
    assert str(error.value) == "rem: no op for float32; keep it out of fused kernels"
