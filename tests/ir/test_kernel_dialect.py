"""The fused-kernel dialect: its text form, what its verifiers refuse, and its interpreter."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import VerifyException

from kernel_cases import CASES
from kernel_table import PLACE, Case, bf16, bit, compute, f32, f64, start, u8
from ostinato.ir.dialects.kernel import BufferType, FuncOp, ReduceOp, element_type, value_type
from ostinato.ir.dtypes import BY_IR, DTYPES
from ostinato.ir.errors import IRError
from ostinato.ir.interpret.kernel import run_kernel
from ostinato.ir.scalar.expression import argument, cast
from ostinato.ir.text import parse_module, print_module


def module(*kernels: FuncOp) -> ModuleOp:
    """The kernels in a module with a location."""
    made = ModuleOp(list(kernels))
    made.location = PLACE
    return made


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_text_prints_and_parses_back_byte_for_byte(case: Case) -> None:
    before = module(case.build(100))
    text = print_module(before)
    after = parse_module(text)
    after.verify()
    assert print_module(after) == text
    assert all(op.location == PLACE for op in after.walk())
    assert before.is_structurally_equivalent(after)


def test_options_and_attributes_survive_the_text() -> None:
    b = start(
        "all_options", {"x": f32, "o": bit}, 64, vector=True, unroll=4, grain=2, aliased=(1, 0)
    )
    compute(b, argument(0, f32) + 1.0, b.load(b.buffers[0], {b.index: 1}))
    text = print_module(b.finish())
    assert "parallel %i to 64 vector unroll 4 grain 2 aliased [0, 1] {" in text
    marked = text.replace("aliased [0, 1] {", 'aliased [0, 1] attributes {source = "a"} {')
    marked = marked.replace("] : !kernel", "] {late} : !kernel")
    assert marked.count("late") == 1
    assert (
        print_module(parse_module(marked)) == f"builtin.module {{\n  {indented(marked)}\n}} "
        f"loc(unknown)\n"
    )


def indented(text: str) -> str:
    """The lines of a module's body."""
    return text.rstrip().replace("\n", "\n  ")


def test_every_dtype_has_a_buffer() -> None:
    for dtype in DTYPES:
        type_ = BufferType.of(dtype)
        assert type_.dtype is dtype
        assert str(type_) == f"!kernel.buffer<{dtype.ir}>"
        assert str(type_.value_type) == {"ui8": "i8"}.get(dtype.ir, dtype.ir)
    assert element_type(u8) != value_type(u8)
    assert BY_IR["bf16"] is bf16


HEAD = (
    "kernel.func @k(%x: !kernel.buffer<f32>, %t: !kernel.buffer<i64>) parallel %i to 8 {BODY\n"
    "kernel.return\n}"
)
LANES_HEAD = HEAD.replace("to 8", "to 8 vector")
AT_I = "affine_map<(d0) -> (d0)>(%i)"
AT_J = "affine_map<(d0) -> (d0)>(%j)"
LOOP = "kernel.for %j to 8 vector {BODY\nkernel.yield\n}"


def kernel(body: str, head: str = LANES_HEAD) -> str:
    """A kernel with this body."""
    return head.replace("BODY", f"\n{body}")


def loop(body: str, head: str = LOOP) -> str:
    """A serial kernel with a vector loop with this body."""
    return kernel(head.replace("BODY", f"\n{body}"), HEAD)


REFUSED = [
    (
        kernel("", HEAD),
        "kernel.func: a path of loops without a vector axis; mark exactly one of them `vector`",
    ),
    (
        loop("", LOOP.replace(" vector", "")),
        "kernel.func: a path of loops without a vector axis; mark exactly one of them `vector`",
    ),
    (
        kernel(LOOP.replace("BODY", "")),
        "kernel.for: a second vector axis inside a vector kernel.func; a path has exactly one",
    ),
    (
        loop(LOOP.replace("BODY", "").replace("%j", "%l")),
        "kernel.for: a second vector axis inside a vector kernel.for; a path has exactly one",
    ),
    (
        kernel("kernel.for %j to 8 unroll 2 {\nkernel.yield\n}"),
        "kernel.for: unroll without vector; only a vector axis is unrolled",
    ),
    (
        loop("", LOOP.replace("vector", "vector unroll 0")),
        "kernel.for: unroll 0; it must be 1 or more",
    ),
    (
        kernel("", LANES_HEAD.replace("vector", "vector grain 0")),
        "kernel.func: grain 0; it must be 1 or more",
    ),
    (
        kernel("", LANES_HEAD.replace("to 8", "to -8")),
        "kernel.func: -8 iterations; it must be 0 or more",
    ),
    (loop("", LOOP.replace("to 8", "to -1")), "kernel.for: -1 iterations; it must be 0 or more"),
    (
        kernel("", LANES_HEAD.replace("vector", "vector aliased [0, 2]")),
        "kernel.func: aliased buffer 2; there are 2 buffers",
    ),
    (
        kernel("", LANES_HEAD.replace("@k", '@"a b"')),
        "kernel.func: the name `a b`; use letters, digits, `_`, `.` and `$`",
    ),
    (
        kernel("%v = kernel.load %x[affine_map<(d0) -> (d0, d0)>(%i)] : !kernel.buffer<f32>"),
        "kernel.load: a map with 2 results; it must have one, the offset",
    ),
    (
        kernel("%v = kernel.load %x[affine_map<(d0, d1) -> (d0)>(%i)] : !kernel.buffer<f32>"),
        "kernel.load: 1 indices for a map of 2 dims and 0 symbols; give one for each",
    ),
    (
        kernel(
            "%c = arith.addi %i, %i : index\n"
            "%v = kernel.load %x[affine_map<(d0) -> (d0)>(%c)] : !kernel.buffer<f32>"
        ),
        "kernel.load: dim 0 is a computed value; dims are loop indices, pass it as a symbol",
    ),
    (
        kernel(
            '%c = arith.constant true\n%v = "kernel.load"(%x, %i, %c) <{map = affine_map<(d0) -> '
            "(d0)>, operandSegmentSizes = array<i32: 1, 1, 1, 0>}> : "
            "(!kernel.buffer<f32>, index, i1) -> f32"
        ),
        "kernel.load: a mask and a value for masked-off elements go together; give both or neither",
    ),
    (
        kernel(
            '%v = "kernel.load"(%x, %i) <{map = affine_map<(d0) -> (d0)>, operandSegmentSizes = '
            "array<i32: 1, 1, 0, 0>}> : (!kernel.buffer<f32>, index) -> f64"
        ),
        "kernel.load: a value of type f64 in a !kernel.buffer<f32>; it must be f32",
    ),
    (
        kernel(
            f"%v = kernel.load %t[{AT_I}] : !kernel.buffer<i64>\n"
            f'"kernel.store"(%v, %x, %i) <{{map = affine_map<(d0) -> (d0)>, operandSegmentSizes '
            f"= array<i32: 1, 1, 1, 0>}}> : (i64, !kernel.buffer<f32>, index) -> ()"
        ),
        "kernel.store: a value of type i64 in a !kernel.buffer<f32>; it must be f32",
    ),
    (
        kernel(
            "%v = arith.constant 1.0 : f32\n"
            "kernel.store %v, %x[affine_map<() -> (3)>()] : !kernel.buffer<f32>"
        ),
        "kernel.store: every parallel iteration of kernel.func stores to the same element; "
        "use its index in the offset",
    ),
    (
        loop(f"%v = arith.constant 1.0 : f32\nkernel.store %v, %x[{AT_I}] : !kernel.buffer<f32>"),
        "kernel.store: every lane of kernel.for stores to the same element; "
        "use its index in the offset",
    ),
    (
        loop(f"%v = arith.constant 1.0 : f32\nkernel.store %v, %x[{AT_J}] : !kernel.buffer<f32>"),
        "kernel.store: every parallel iteration of kernel.func stores to the same element; "
        "use its index in the offset",
    ),
    (
        kernel("%l = kernel.local 8 : !kernel.buffer<f32>"),
        "kernel.local: the parallel axis is the vector axis; scratch needs a serial one",
    ),
    (
        loop("%l = kernel.local 8 : !kernel.buffer<f32>"),
        "kernel.local: inside a loop; scratch belongs in the body of kernel.func",
    ),
    (
        kernel("%l = kernel.local 20000 : !kernel.buffer<f32>", HEAD),
        "kernel.local: 80000 bytes of scratch in one kernel; at most 65536",
    ),
    (
        kernel("%l = kernel.local 0 : !kernel.buffer<f32>", HEAD),
        "kernel.local: 0 elements; it must be 1 or more",
    ),
    (
        kernel("%v = arith.constant dense<0.0> : vector<4xf32>"),
        "arith.constant: a value of type vector<4xf32>; a kernel's values are scalars",
    ),
    (
        kernel("builtin.module {\n}"),
        "builtin.module: not an op of a kernel; use arith, math and kernel ops",
    ),
    (
        loop("%v = arith.constant 1.0 : f32", LOOP.replace("yield", "yield %v : f32")),
        "kernel.for: it yields 1 values; a loop yields none, reduce or store",
    ),
    (
        kernel(
            "%s = kernel.reduce mean %j to 8 vector {\n%v = arith.constant 1.0 : f32\n"
            "kernel.yield %v : f32\n}",
            HEAD,
        ),
        "kernel.reduce: combiner `mean`; it must be one of sum, prod, max, min, umax, umin, any, "
        "all",
    ),
    (
        kernel(
            "%s = kernel.reduce sum %j to 8 vector {\n%v = arith.constant 1.0 : f16\n"
            "kernel.yield %v : f16\n}",
            HEAD,
        ),
        "kernel.reduce: `sum` of f16; it takes f32, f64 or an integer",
    ),
    (
        kernel(
            "%s = kernel.reduce any %j to 8 vector {\n%v = arith.constant 1.0 : f32\n"
            "kernel.yield %v : f32\n}",
            HEAD,
        ),
        "kernel.reduce: `any` of f32; it takes i1",
    ),
    (
        kernel(
            "%s = kernel.reduce sum, max %j to 8 vector {\n%v = arith.constant 1.0 : f32\n"
            "kernel.yield %v : f32\n}",
            HEAD,
        ),
        "kernel.reduce: 2 combiners, 1 yielded values and 1 results; it must have as many of each",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=range(len(REFUSED)))
def test_malformed_kernels_are_refused(text: str, message: str) -> None:
    with pytest.raises(VerifyException) as error:
        parse_module(text).verify()
    assert str(error.value).splitlines()[-1].endswith(message), str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            kernel("%v = kernel.load %x[3] : !kernel.buffer<f32>"),
            "text:2: kernel: expected an affine map, which gives the element's offset",
        ),
        (
            kernel(f"%v = kernel.load %x[{AT_I}] : f32"),
            "text:3: kernel: expected a !kernel.buffer, got f32",
        ),
        (
            kernel("", HEAD.replace("buffer<f32>", "buffer<i128>")),
            "text:1: !kernel.buffer: element type i128; it must be one of "
            "i1, ui8, i8, i16, i32, i64, f16, bf16, f32, f64",
        ),
    ],
)
def test_malformed_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(IRError) as error:
        parse_module(text)
    assert message in str(error.value)


@pytest.mark.parametrize("count", [8, 3])
def test_the_interpreter_refuses_an_access_outside_a_buffer(count: int) -> None:
    b = start("outside", {"x": f32, "o": f32}, 8, vector=True)
    x, o = b.buffers
    b.store(b.load(x, {b.index: 1}, 1), o, {b.index: 1})
    with pytest.raises(IndexError) as error:
        run_kernel(b.finish(), [np.zeros(count, np.float32), np.zeros(8, np.float32)])
    assert str(error.value) == f"kernel.load: element {count} of a buffer of {count}"


def test_the_interpreter_takes_bfloat16_as_bits_or_as_numbers() -> None:
    b = start("halve", {"x": bf16, "o": bf16}, 4, vector=True)
    x, o = b.buffers
    half = cast(cast(argument(0, bf16), f64) * 0.5, bf16)
    b.store(compute(b, half, b.load(x, {b.index: 1})), o, {b.index: 1})
    numbers = np.array([1.0, -3.0, 0.25, 256.0], np.float32)
    bits = (numbers.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    kernel_, by_number, by_bits = b.finish(), np.zeros(4, np.float32), np.zeros(4, np.uint16)
    run_kernel(kernel_, [numbers, by_number])
    run_kernel(kernel_, [bits, by_bits])
    assert by_number.tolist() == [0.5, -1.5, 0.125, 128.0]
    assert (by_bits.astype(np.uint32) << np.uint32(16)).view(
        np.float32
    ).tolist() == by_number.tolist()


def test_a_reduction_takes_its_types_from_its_body() -> None:
    b = start("typed", {"x": f64, "o": f64}, 2)
    x, o = b.buffers
    with b.reduce(["sum", "max"], 5, vector=True) as r:
        v = b.load(x, {b.index: 5, r.index: 1})
        r.give(v, v)
    b.store(r.results[0], o, {b.index: 1})
    reduction = next(op for op in b.finish().walk() if isinstance(op, ReduceOp))
    assert [str(v.type) for v in reduction.results] == ["f64", "f64"]
    assert reduction.kinds == ("sum", "max")
    assert reduction.trip_count == 5
