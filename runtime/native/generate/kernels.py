"""Prints the inner loops of pointwise ops and of their gradients from the scalar bodies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ostinato.ir.dtypes import DType, Fixed, bool_, float32, float64, int64
from ostinato.ir.op import OPS, Op
from ostinato.ir.scalar import expression as s
from ostinato.ir.scalar.cpp import cpp_type, statements
from ostinato.ir.scalar.functions import INTEGER_POW, expand

COMPUTE = (bool_, int64, float32, float64)


@dataclass(frozen=True)
class Kernel:
    """One inner loop: `uses` are the indices of the arguments it reads, in order."""

    op: Op
    variant: int
    operand: int  # whose gradient this is; -1 for the op itself
    compute: DType
    root: s.Scalar
    arguments: tuple[tuple[int, DType], ...]

    @property
    def name(self) -> str:
        """A C++ identifier."""
        part = "forward" if self.operand < 0 else f"gradient{self.operand}"
        return f"{self.op.name}_{part}_{self.variant}_{self.compute.name}"

    @property
    def passes_on(self) -> bool:
        """True for a gradient that is the cotangent itself, which takes no loop."""
        return self.operand >= 0 and self.root.kind == "argument" and self.root.payload == 0


def variants_of(op: Op) -> tuple[str, tuple[str, ...]]:
    """The attribute that selects a kernel, and its values."""
    for name, values in op.variants.items():
        return name, tuple(values)
    return "", ()


def _operand_dtypes(op: Op, compute: DType) -> list[DType]:
    return [bool_ if i in op.uncast else compute for i in range(len(op.operands))]


def _attrs(op: Op, variant: int) -> dict[str, Any]:
    name, values = variants_of(op)
    return {p.name: values[variant] if p.name == name else p.default for p in op.attrs}


def _forward(op: Op, variant: int, compute: DType) -> s.Scalar | None:
    """The scalar form of `op`, or None where its body has no meaning for `compute`."""
    dtypes = _operand_dtypes(op, compute)
    arguments = [s.argument(i, d) for i, d in enumerate(dtypes)]
    attrs = {k: v for k, v in _attrs(op, variant).items() if k in op.variants}
    attrs |= {p.name: p.default for p in op.attrs if p.name not in op.variants}
    try:
        return expand(op.scalar_body(*arguments, **attrs), frozenset({INTEGER_POW}))
    except TypeError:
        return None


def _used(root: s.Scalar) -> tuple[tuple[int, DType], ...]:
    found = {n.payload: n.dtype for n in s.postorder([root]) if n.kind == "argument"}
    return tuple(sorted(found.items()))


def _gradients(op: Op, variant: int, compute: DType) -> list[s.Scalar | None]:
    """Each operand's cotangent over the arguments (g, result, *operands)."""
    if op.vjp_rule is None or not compute.is_floating_point:
        return [None] * len(op.operands)
    dtypes = [compute, compute, *_operand_dtypes(op, compute)]
    if isinstance(op.dtype[0], Fixed) and op.dtype[0].dtype is bool_:
        return [None] * len(op.operands)
    g, y, *xs = (s.argument(i, d) for i, d in enumerate(dtypes))
    attrs = _attrs(op, variant)
    rows = op.vjp_rule(g, y, *xs, **attrs)
    return [r if isinstance(r, s.Scalar) or r is None else s.constant(r, compute) for r in rows]


def differentiable_operands(op: Op) -> int:
    """Bit i: operand i of this pointwise op has a gradient."""
    if not op.is_pointwise:
        return 0
    return sum(1 << i for i, r in enumerate(_gradients(op, 0, float32)) if r is not None)


def kernels() -> Iterator[Kernel]:
    """Every kernel of every pointwise op."""
    for op in (o for o in OPS.values() if o.is_pointwise):
        for variant in range(max(len(variants_of(op)[1]), 1)):
            for compute in COMPUTE:
                yield from _of(op, variant, compute)


def _of(op: Op, variant: int, compute: DType) -> Iterator[Kernel]:
    if (root := _forward(op, variant, compute)) is None:
        return
    used = dict(_used(root))
    dtypes = _operand_dtypes(op, compute)
    every = tuple((i, used.get(i, d)) for i, d in enumerate(dtypes))
    yield Kernel(op, variant, -1, compute, root, every)
    for operand, cotangent in enumerate(_gradients(op, variant, compute)):
        if cotangent is not None:
            yield Kernel(op, variant, operand, compute, cotangent, _used(cotangent))


def _loop(kernel: Kernel) -> str:
    """The C++ of one kernel: a loop for contiguous runs, one for each single operand that is
    broadcast, and one for any strides."""
    root = kernel.root
    names = {i: f"x{i}" for i, _ in kernel.arguments}
    lines, results = statements([root], names.__getitem__)
    out = cpp_type(root.dtype)
    loads = [(k, names[i], cpp_type(d)) for k, (i, d) in enumerate(kernel.arguments, 1)]
    body = "".join(f"    {line}\n" for line in lines)
    fixed = [frozenset[int]()] + [frozenset({k}) for k, _, _ in loads if len(loads) == 2]
    text = "".join(_dense(out, loads, body, results[0], f) for f in fixed)
    reads = "".join(
        f"    [[maybe_unused]] const {t} {x} = "
        f"*reinterpret_cast<const {t}*>(p[{k}] + i * s[{k}]);\n"
        for k, x, t in loads
    )
    return (
        f"static void {kernel.name}(char* const* p, const int64_t* s, int64_t n) {{\n{text}"
        f"  for (int64_t i = 0; i < n; ++i) {{\n{reads}{body}"
        f"    *reinterpret_cast<{out}*>(p[0] + i * s[0]) = {results[0]};\n  }}\n}}\n"
    )


def _dense(
    out: str, loads: list[tuple[int, str, str]], body: str, result: str, fixed: frozenset[int]
) -> str:
    """The loop for runs where all but the operands `fixed`, which are one value, are contiguous."""
    tests = [f"s[0] == sizeof({out})"]
    tests += [f"s[{k}] == {'0' if k in fixed else f'sizeof({t})'}" for k, _, t in loads]
    pointers = "".join(f"    const auto* q{k} = reinterpret_cast<const {t}*>(p[{k}]);\n"
                       for k, _, t in loads)  # fmt: skip
    hoisted = "".join(
        f"    [[maybe_unused]] const {t} {x} = *q{k};\n" for k, x, t in loads if k in fixed
    )
    reads = "".join(
        f"    [[maybe_unused]] const {t} {x} = q{k}[i];\n" for k, x, t in loads if k not in fixed
    )
    return (
        f"  if ({' && '.join(tests)}) {{\n{pointers}{hoisted}"
        f"    auto* q0 = reinterpret_cast<{out}*>(p[0]);\n#pragma GCC ivdep\n"
        f"    for (int64_t i = 0; i < n; ++i) {{\n{reads}{body}    q0[i] = {result};\n    }}\n"
        "    return;\n  }\n"
    )


def entry(kernel: Kernel, number: int) -> str:
    """One row of a shard's table."""
    uses = sum(1 << i for i, _ in kernel.arguments)
    fn = "nullptr" if kernel.passes_on else kernel.name
    return (
        f"    {{op::{_identifier(kernel.op.name)}, {kernel.variant}, {kernel.operand}, "
        f"DType::{kernel.compute.name}_, DType::{kernel.root.dtype.name}_, {uses}u, {fn}, "
        f"{number}}},"
    )


def _identifier(name: str) -> str:
    from tables import identifier

    return identifier(name)


def shards(count: int) -> Iterator[str]:
    """The sources of the shards."""
    parts: list[list[tuple[int, Kernel]]] = [[] for _ in range(count)]
    for i, kernel in enumerate(kernels()):
        parts[i % count].append((i, kernel))
    for i, part in enumerate(parts):
        loops = "\n".join(_loop(k) for _, k in part if not k.passes_on)
        rows = "\n".join(entry(k, number) for number, k in part)
        yield (
            "// Printed from ir/ops by generate/main.py.\n"
            "#include <bit>\n#include <cmath>\n#include <cstdint>\n#include <span>\n\n"
            '#include "cpu/integer_power.hpp"\n#include "cpu/pointwise_entry.hpp"\n'
            '#include "ops.hpp"\n\n'
            "// NaN is what differs from itself.\n"
            '#pragma GCC diagnostic ignored "-Wtautological-compare"\n'
            "namespace ostinato::OSTINATO_ISA {\n\n"
            f"{loops}\nstatic constexpr PointwiseEntry entries[] = {{\n{rows}\n}};\n"
            f"extern const std::span<const PointwiseEntry> pointwise_{i};\n"
            f"constinit const std::span<const PointwiseEntry> pointwise_{i}{{entries}};\n\n"
            "}  // namespace ostinato::OSTINATO_ISA\n"
        )
