"""Kernels compiled by LLVM against NumPy and, bit for bit, against the reference interpreter."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# (llvmlite is not annotated.)

import ctypes
import re
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from numpy.typing import NDArray
from xdsl.dialects import arith, math

from kernel_cases import CASES
from kernel_table import Case, bf16, bit, compute, f16, f32, f64, same_bits, sample, start
from ostinato.codegen.backend import Backend, CompiledModule, Options
from ostinato.codegen.elf import undefined_symbols
from ostinato.codegen.llvm.backend import LLVMBackend
from ostinato.codegen.llvm.load import LoadedKernels
from ostinato.codegen.llvm.machine import Machine, baseline, host
from ostinato.ir import dtypes
from ostinato.ir.dialects.kernel import FuncOp
from ostinato.ir.dtypes import DType
from ostinato.ir.errors import CompileError
from ostinato.ir.interpret_kernel import run_kernel
from ostinato.ir.scalar import FUNCTIONS, KINDS, PRIMITIVES, Scalar, argument, cast, make
from ostinato.ir.scalar_math import EXPANSIONS, expand
from ostinato.ir.scalar_numpy import evaluate

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


TENSOR_DTYPES = dtypes.DTYPES
COUNT = 85


def pointwise(name: str, root: Scalar, inputs: Sequence[DType], result: DType) -> FuncOp:
    """A flat kernel that stores the expression `root` of its inputs."""
    buffers = {f"x{k}": d for k, d in enumerate(inputs)} | {"o": result}
    b = start(name, buffers, COUNT, vector=True)
    *sources, o = b.buffers
    values = [b.load(x, {b.index: 1}) for x in sources]
    b.store(compute(b, root, *values), o, {b.index: 1})
    return b.finish()


def domain(kind: str) -> list[DType]:
    """The dtypes that a kind's operands have and a kernel can compute with."""
    row = KINDS[kind]
    letters = {
        "b": [bit],
        "i": [d for d in TENSOR_DTYPES if d.is_integer],
        "f": [f32, f64],
        "h": [f16, bf16],
        "u": [],
    }
    found = [d for letter in row.domain for d in letters[letter]]
    return [d for d in found if not (kind == "rem" and d.is_floating_point)]


PLAIN = [kind for kind in PRIMITIVES if kind not in ("cast", "bitcast", "mulhi", "select")]


def test_every_kind_means_in_llvm_what_it_means_in_numpy() -> None:
    rows: list[tuple[FuncOp, Scalar, list[Array], DType]] = []
    for kind in PLAIN:
        for dtype in domain(kind):
            operands = [argument(k, dtype) for k in range(KINDS[kind].arity)]
            root = make(kind, *operands)
            kernel = pointwise(f"{kind}_{dtype.name}", root, [dtype] * len(operands), root.dtype)
            arrays = [sample(dtype, COUNT, 7 * k + 1) for k in range(len(operands))]
            if dtype.is_integer and dtype.signed and len(arrays) == 2:
                # The one quotient that does not fit.
                arrays[0][-1], arrays[1][-1] = np.iinfo(dtype.numpy).min, -1
            rows.append((kernel, root, arrays, root.dtype))
    loaded = compiled(*(row[0] for row in rows))
    assert len(rows) > 150
    for kernel, root, arrays, dtype in rows:
        name = kernel.sym_name.data
        ours = np.zeros(COUNT, dtype.numpy)
        launch(loaded.addresses[name], [*arrays, ours], 0, COUNT)
        assert same_bits(ours, evaluate([root], arrays)[0]), name


def test_casts_mean_in_llvm_what_they_mean_in_numpy() -> None:
    pairs = [(a, b) for a in TENSOR_DTYPES for b in TENSOR_DTYPES]
    roots = [cast(argument(0, a), b) for a, b in pairs]
    names = [f"from_{a.name}_to_{b.name}" for a, b in pairs]
    loaded = compiled(
        *(
            pointwise(name, root, [a], b)
            for name, root, (a, b) in zip(names, roots, pairs, strict=True)
        )
    )
    for name, root, (a, b) in zip(names, roots, pairs, strict=True):
        x = castable(a, b)
        ours = np.zeros(COUNT, "uint16" if b is bf16 else b.numpy)
        launch(loaded.addresses[name], [x, ours], 0, COUNT)
        assert same_bits(number(ours, b), evaluate([root], [number(x, a)])[0]), name


def castable(source: DType, target: DType) -> Array:
    """Elements whose value a cast to `target` specifies."""
    x = sample(source, COUNT, 5)
    if source.is_floating_point and not target.is_floating_point and target is not bit:
        low = 0.0 if not target.signed else -100.0
        return stored(np.clip(sample(f32, COUNT, 5, finite=True), low, 100.0), source)
    return x


def stored(x: Array, dtype: DType) -> Array:
    """float32 numbers in the memory of a floating dtype."""
    if dtype is bf16:
        return (x.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return x.astype(dtype.numpy)


def number(x: Array, dtype: DType) -> Array:
    """Memory as the array of numbers that `scalar_numpy` works on."""
    return (x.astype(np.uint32) << np.uint32(16)).view(np.float32) if dtype is bf16 else x


@pytest.mark.parametrize("dtype", [f32, f64], ids=lambda d: d.name)
def test_functions_in_llvm_equal_their_expansions(dtype: DType) -> None:
    kinds = [k for k in FUNCTIONS if k in EXPANSIONS]
    assert len(kinds) >= 9
    roots = {k: make(k, *(argument(i, dtype) for i in range(KINDS[k].arity))) for k in kinds}
    loaded = compiled(
        *(pointwise(k, root, [dtype] * KINDS[k].arity, dtype) for k, root in roots.items())
    )
    for kind, root in roots.items():
        arrays = [sample(dtype, COUNT, 3 + i) for i in range(KINDS[kind].arity)]
        ours = np.zeros(COUNT, dtype.numpy)
        launch(loaded.addresses[kind], [*arrays, ours], 0, COUNT)
        assert same_bits(ours, evaluate([expand(root)], arrays)[0]), kind
        np.testing.assert_allclose(ours, evaluate([root], arrays)[0], 1e-5, 1e-30)


def test_a_buffer_passed_twice_is_written_in_the_order_of_the_text() -> None:
    b = start("twice", {"x": f32, "same": f32}, COUNT, vector=True, aliased=(0, 1))
    x, same = b.buffers
    a, at = argument(0, f32), {b.index: 1}
    b.store(compute(b, a * 2.0, b.load(same, at)), x, at)
    b.store(compute(b, a + 1.0, b.load(same, at)), x, at)
    kernel = b.finish()
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
        ([CASES[0].build(5)] * 2, None, "llvm: two kernels are named flat; give each its own name"),
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
    assert backend.target() == backend.build([CASES[0].build(3)]).target


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
