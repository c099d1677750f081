"""The printed C++: the NumPy values bit for bit once compiled, and vectorised by g++."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ostinato.ir.dtypes import DType, bfloat16, bool_, float16, float32, float64, int32, int64
from ostinato.ir.scalar import expression as s
from ostinato.ir.scalar.cpp import HEADERS, cpp_type, literal, statements
from ostinato.ir.scalar.expression import FUNCTIONS, Scalar, argument, bitcast, cast, constant, make
from ostinato.ir.scalar.functions import expand
from ostinato.ir.scalar.numpy import evaluate, numpy_dtype
from ostinato.ir.scalar.random import normal, random_bits, uniform
from scalar_cases import EVERY, Array, domain, edges, nodes, same_bits

NATIVE = Path(__file__).parents[2] / "runtime" / "native"
FLAGS = ["-std=c++20", "-fno-math-errno", "-ffp-contract=off", "-fno-trapping-math", "-Wall",
         "-Wextra", "-Werror", f"-I{NATIVE}"]  # fmt: skip
RNG = [argument(i, int64) for i in range(3)]
FLOATS = (float32, float64)


def _functions() -> dict[str, Scalar]:
    """Every function on both float dtypes, and what is drawn from Philox."""
    made = {
        f"{kind}_{dtype.name}": make(kind, *(argument(i, dtype) for i in range(row.arity)))
        for kind, row in FUNCTIONS.items()
        for dtype in FLOATS
    }
    drawn = {"random_bits": random_bits(*RNG), "normal": normal(*RNG)}
    return made | drawn | {"uniform": uniform(random_bits(*RNG))}


FUNCTION_NODES = _functions()


def inputs_of(node: Scalar) -> list[DType]:
    """The dtypes of a node's arguments, in order."""
    found = {n.payload: n.dtype for n in s.postorder([node]) if n.kind == "argument"}
    return [found[i] for i in sorted(found)]


def loop(name: str, node: Scalar) -> str:
    """A C function `void name(const void* const* in, void* out, int64_t n)` over arrays."""
    dtypes = inputs_of(node)
    lines, (result,) = statements([node], [f"x{i}" for i in range(len(dtypes))])
    types = [cpp_type(d) for d in dtypes]
    pointers = "".join(
        f"  const {t}* __restrict p{i} = static_cast<const {t}*>(in[{i}]);\n"
        for i, t in enumerate(types)
    )
    loads = "".join(f"    const {t} x{i} = p{i}[i];\n" for i, t in enumerate(types))
    body = "".join(f"    {line}\n" for line in lines)
    out = cpp_type(node.dtype)
    return (
        f'extern "C" void {name}(const void* const* in, void* result, int64_t n) {{\n{pointers}'
        f"  {out}* __restrict out = static_cast<{out}*>(result);\n"
        f"  for (int64_t i = 0; i < n; ++i) {{\n{loads}{body}    out[i] = {result};\n  }}\n}}\n"
    )


def source(nodes_by_name: dict[str, Scalar]) -> str:
    """One translation unit with a loop for each node."""
    headers = "".join(f"#include <{h}>\n" for h in HEADERS)
    loops = "\n".join(loop(name, node) for name, node in nodes_by_name.items())
    return f'{headers}#include "core/dtype.hpp"\n\n{loops}'


def compile_library(folder: Path, text: str, *flags: str) -> ctypes.CDLL:
    """`text` as a loaded shared library."""
    path, library = folder / "loops.cpp", folder / "loops.so"
    path.write_text(text)
    command = ["g++", *FLAGS, *flags, "-shared", "-fPIC", str(path), "-o", str(library)]
    subprocess.run([*command, str(NATIVE / "core" / "dtype.cpp")], check=True)
    return ctypes.CDLL(str(library))


def run(library: ctypes.CDLL, name: str, node: Scalar, operands: Sequence[Array]) -> Array:
    """The result of the loop `name` on arrays of one length."""
    typed = zip(operands, inputs_of(node), strict=True)
    held = [np.ascontiguousarray(_stored(x, d)) for x, d in typed]
    count = len(held[0])
    stored = np.uint16 if node.dtype is bfloat16 else numpy_dtype(node.dtype)
    out = np.zeros(count, stored)
    pointers = (ctypes.c_void_p * len(held))(*(x.ctypes.data for x in held))
    call: Callable[..., None] = library[name]
    call(pointers, ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(count))
    return (out.astype(np.uint32) << 16).view(np.float32) if node.dtype is bfloat16 else out


def _stored(x: Array, dtype: DType) -> Array:
    """Arrays as C++ holds them; bfloat16 values are the upper halves of float32."""
    if dtype is not bfloat16:
        return x
    return np.asarray((x.view(np.uint32) >> np.uint32(16)).astype(np.uint16))


def _conversions() -> dict[str, tuple[Scalar, list[Array]]]:
    made: dict[str, tuple[Scalar, list[Array]]] = {}
    for a in EVERY:
        for b in EVERY:
            x = edges(a)
            if a.is_floating_point and b.is_integer:
                low = -(2.0 ** (b.bits - 1)) if b.signed else 0.0
                whole = np.trunc(x.astype(np.float64))
                x = x[(whole >= low) & (whole < low + 2.0**b.bits)]
            if a is b:
                continue
            made[f"cast_{a.name}_{b.name}"] = cast(argument(0, a), b), [x]
            if {a, b} <= set(domain("bitcast")) and a.bits == b.bits:
                made[f"bitcast_{a.name}_{b.name}"] = bitcast(argument(0, a), b), [edges(a)]
    return made


def _primitives() -> dict[str, tuple[Scalar, list[Array]]]:
    made = {f"{k}_{d.name}": (n, x) for k, d, n, x in nodes() if k not in FUNCTIONS}
    for dtype in EVERY:
        which = np.array([True, False, True])
        values = edges(dtype)
        chosen = [constant(v, dtype) for v in (values[0].item(), values[-1].item())]
        made[f"constant_{dtype.name}"] = s.select(argument(0, bool_), *chosen), [which]
    return made | _conversions()


PRIMITIVES = _primitives()


@pytest.fixture(scope="module")
def primitives(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    text = source({name: node for name, (node, _) in PRIMITIVES.items()})
    return compile_library(tmp_path_factory.mktemp("primitives"), text, "-O1")


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitive_is_numpys(primitives: ctypes.CDLL, name: str) -> None:
    node, operands = PRIMITIVES[name]
    got = run(primitives, name, node, operands)
    assert same_bits(got, np.broadcast_to(evaluate([node], operands)[0], got.shape))


CALLED = """
extern "C" float outside(float);
extern "C" void called(const float* x, float* out, long n) {
  for (long i = 0; i < n; ++i) out[i] = outside(x[i]);
}
"""
"""A loop that cannot be vectorised."""


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The functions compiled for AVX-512."""
    folder = tmp_path_factory.mktemp("assembly")
    path, out = folder / "loops.cpp", folder / "loops.s"
    path.write_text(source(FUNCTION_NODES) + CALLED)
    wide = ["-O3", "-march=x86-64-v4", "-mprefer-vector-width=512", "-fPIC"]
    subprocess.run(["g++", *FLAGS, *wide, "-S", str(path), "-o", str(out)], check=True)
    return out.read_text()


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("functions")
    return compile_library(folder, source(FUNCTION_NODES), "-O2", "-ftree-vectorize")


def calls_and_wide_registers(assembly: str, name: str) -> tuple[int, int]:
    body = re.search(rf"^{name}:\n(.*?)^\t\.size\t{name},", assembly, re.S | re.M)
    assert body is not None
    calls = re.findall(r"^\t(?:call|jmp\t[a-z])", body[1], re.M)
    return len(calls), len(re.findall("zmm", body[1]))


@pytest.mark.parametrize("name", FUNCTION_NODES)
def test_function_is_vectorised(assembly: str, name: str) -> None:
    calls, wide = calls_and_wide_registers(assembly, name)
    assert calls == 0 and wide > 0


def test_a_call_would_be_seen(assembly: str) -> None:
    calls, wide = calls_and_wide_registers(assembly, "called")
    assert calls > 0 and wide == 0


@pytest.mark.parametrize("name", FUNCTION_NODES)
def test_function_is_its_expansion(functions: ctypes.CDLL, name: str) -> None:
    node = FUNCTION_NODES[name]
    rng = np.random.default_rng(3)
    operands: list[Array] = []
    for dtype in inputs_of(node):
        t = numpy_dtype(dtype)
        if dtype is int64:
            operands.append(rng.integers(0, 1 << 62, 3000))
            continue
        bits = rng.integers(0, 1 << dtype.bits, 1000, np.dtype(f"u{t.itemsize}")).view(t)
        wide = (rng.standard_normal(2000) * 10).astype(t)
        operands.append(rng.permutation(np.concatenate([edges(dtype), bits, wide])[:3000]))
    got = run(functions, name, node, operands)
    assert same_bits(got, evaluate([expand(node)], operands)[0])


def test_statements_are_straight_lines() -> None:
    x, n = argument(0, float32), argument(1, int32)
    lines, results = statements([s.select(n < 3, x, 0.5) * x, x, n // n], ["x", "n"], prefix="v")
    assert lines[:3] == [
        "const bool v0 = n < 3;",
        "const float v1 = v0 ? x : 0x1.0000000000000p-1f;",
        "const float v2 = v1 * x;",
    ]
    assert results[:2] == ["v2", "x"] and results[2] == f"v{len(lines) - 1}"
    assert statements([x], lambda i: f"in[{i}]") == ([], ["in[0]"])


LITERALS = [
    (True, bool_, "true"),
    (-(2**63), int64, "(INT64_C(-9223372036854775807) - 1)"),
    (-(2**31), int32, "(-2147483647 - 1)"),
    (7, s.uint64, "7ull"),
    (float("nan"), float32, '__builtin_nanf("")'),
    (float("-inf"), float64, "(-__builtin_inf())"),
    (-0.5, float64, "(-0x1.0000000000000p-1)"),
    (0.5, float16, "ostinato::to_half(0x1.0000000000000p-1f)"),
]


@pytest.mark.parametrize(("value", "dtype", "text"), LITERALS)
def test_literal(value: bool | int | float, dtype: DType, text: str) -> None:
    assert literal(value, dtype) == text
