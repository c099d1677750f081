"""Prints op ids, schemas and inference functions."""

from __future__ import annotations

import json
from typing import Any

from kernels import differentiable_operands, variants_of
from ostinato.ir.dtypes import DType
from ostinato.ir.op import OPS, Op, Param

LISTED = [op for op in OPS.values() if op.kind != "function"]
BANNER = "// Printed from ir/ops by generate/main.py.\n"


def identifier(name: str) -> str:
    """`name`, or with an underscore where C++ reserves it."""
    reserved = {"and", "or", "not", "xor", "bool", "float", "int", "double", "new", "switch"}
    return f"{name}_" if name in reserved else name


def header() -> str:
    """ops.hpp: the ids."""
    lines = [BANNER + "#pragma once\n#include <cstdint>\n\nnamespace ostinato::op {\n"]
    lines += [
        f"inline constexpr uint16_t {identifier(o.name)} = {i};" for i, o in enumerate(LISTED)
    ]
    lines += [
        f"inline constexpr uint16_t count = {len(LISTED)};",
        "\n}  // namespace ostinato::op\n",
    ]
    calls = " ".join(f"X({identifier(o.name)})" for o in LISTED)
    return "\n".join(lines) + f"#define OSTINATO_ALL_OPS(X) {calls}\n"


def attr(value: Any, kind: str) -> str:
    """A C++ `Attr` expression."""
    if value is None:
        return "Attr()"
    if kind == "bool":
        return f"Attr({str(value).lower()})"
    if kind in ("int", "size"):
        return f"Attr(int64_t{{{value}}})"
    if kind == "float":
        return f"Attr(double{{{float(value)!r}}})"
    if kind in ("str", "device"):
        return f'Attr(std::string("{value}"))'
    if isinstance(value, DType):
        return f"Attr(DType::{value.name}_)"
    return f"Attr(Sizes{{{', '.join(map(str, value))}}})"


def default(param: Param) -> str:
    """The default of `param`; a number given for an operand is kept as an attribute."""
    if param.is_operand:
        kinds = {bool: "bool", int: "int", float: "float"}
        return attr(param.default, kinds.get(param.default.__class__, "none"))
    return attr(param.default, param.kind)


def schema(op: Op) -> str:
    """The parameter array of one op."""
    rows: list[str] = []
    for p in op.params:
        flags = ", ".join(str(b).lower() for b in (p.required, p.is_operand, p.optional))
        other = f'"{p.other_name}"' if p.other_name else "nullptr"
        rows.append(f'    {{"{p.name}", "{p.kind}", {default(p)}, {flags}, {other}}},')
    body = "\n".join(rows)
    # Local to a function: kernels register before globals of another file are made.
    return (
        f"std::span<const Param> params_{op.name}() {{\n"
        f"  static const std::vector<Param> params = {{\n{body}\n  }};\n  return params;\n}}"
    )


def infer(op: Op) -> str:
    """The inference function of one op."""
    operands = {p.name: i for i, p in enumerate(op.operands)}
    attrs = {p.name: i for i, p in enumerate(op.attrs)}
    lines = [
        f"  results[{i}] = {{{d.cpp(attrs)}, {s.cpp(operands, attrs)}}};"
        for i, (s, d) in enumerate(zip(op.shape, op.dtype, strict=True))
    ]
    made = [f"void infer_{op.name}([[maybe_unused]] const OpCall& call, TensorMeta* results) {{"]
    made += [*lines, "}"]
    if op.is_pointwise:
        made.append(f"DType compute_{op.name}([[maybe_unused]] const OpCall& call) {{")
        made += [f"  return {op.compute.cpp(attrs)};", "}"]
    return "\n".join(made)


def device_attr(op: Op) -> int:
    """Which attribute says where the results lie, -1 for none."""
    return next((i for i, p in enumerate(op.attrs) if p.name == "device"), -1)


def row(op: Op, index: int) -> str:
    """The statements that fill one entry of the table."""

    def flag(b: bool) -> str:
        return str(b).lower()

    grads = differentiable_operands(op)
    variants = variants_of(op)
    names = ", ".join(f'"{v}"' for v in variants[1])
    lines = [
        f'  t[{index}] = OpInfo{{.name = "{op.name}", .id = {index}, .kind = OpKind::{op.kind},',
        f"      .results = {op.results}, .view = {flag(op.view)}, .inplace = {flag(op.inplace)},",
        f"      .method = {flag(op.method)}, .native = {flag(op.native)},",
        f"      .has_rule = {flag(op.vjp_rule is not None)},",
        f"      .takes_rng = {flag(any(p.kind == 'rng' for p in op.params))},",
        f'      .keyword = "{op.keyword}", .reduces = {flag(op.reduces)},',
        f"      .creates = {flag(op.creates)}, .device_attr = {device_attr(op)},",
        f"      .infer = infer_{op.name}, .kernel = nullptr, .cuda_kernel = nullptr,",
        "      .view_fn = nullptr,",
        f"      .params = params_{op.name}(), .pointwise = nullptr}};",
    ]
    if op.is_pointwise:
        uncast = sum(1 << i for i in op.uncast)
        attr_index = [p.name for p in op.attrs].index(variants[0]) if variants[0] else -1
        lines.append(
            f"  t[{index}].pointwise = new PointwiseOp{{compute_{op.name}, {attr_index}, "
            f"{{{names}}}, {uncast}u, {grads}u}};"
        )
    return "\n".join(lines)


def cast_rules() -> str:
    """What autocast does with each op, by id."""
    rules = ", ".join(f"CastRule::{op.autocast or 'none'}" for op in LISTED)
    return (
        "CastRule cast_rule(uint16_t id) {\n"
        f"  static constexpr CastRule rules[] = {{{rules}}};\n  return rules[id];\n}}\n"
    )


def docs() -> str:
    """What `help` says of each op, by id."""
    texts = "\n".join(f"      {json.dumps(op.doc, ensure_ascii=False)}," for op in LISTED)
    return (
        "const char* doc_of(uint16_t op) {\n"
        f"  static constexpr const char* docs[] = {{\n{texts}\n  }};\n  return docs[op];\n}}\n"
    )


def source(shards: int) -> str:
    """ops.cpp: the table."""
    parts = [
        BANNER + '#include "ops.hpp"\n',
        '#include "dispatch/autocast.hpp"',
        '#include "dispatch/dtype_rules.hpp"',
        '#include "dispatch/op_docs.hpp"',
        '#include "dispatch/op_table.hpp"',
        '#include "dispatch/shape_rules.hpp"\n',
    ]
    parts.append("namespace ostinato {\nnamespace {\n")
    for op in LISTED:
        parts += [schema(op), infer(op), ""]
    parts.append("}  // namespace\n")
    for isa in ("generic", "v3", "v4"):
        guard = isa != "generic"
        tables = "\n".join(
            f"extern const std::span<const PointwiseEntry> pointwise_{i};" for i in range(shards)
        )
        chosen = ", ".join(f"{isa}::pointwise_{i}" for i in range(shards))
        text = (
            f"namespace {isa} {{\n{tables}\n}}\nnamespace {{\nvoid load_{isa}() {{\n"
            f"  for (auto shard : {{{chosen}}}) add_pointwise(shard);\n}}\n}}"
        )
        parts.append(f"#if defined(__x86_64__)\n{text}\n#endif" if guard else text)
    rows = "\n".join(row(op, i) for i, op in enumerate(LISTED))
    parts += [cast_rules(), docs()]
    parts.append(f"void fill_op_table(OpInfo* t) {{\n{rows}\n}}\n")
    parts.append(
        "void load_pointwise(Isa isa) {\n#if defined(__x86_64__)\n"
        "  if (isa == Isa::v4) return load_v4();\n  if (isa == Isa::v3) return load_v3();\n#endif\n"
        "  (void)isa;\n  load_generic();\n}\n\n}  // namespace ostinato\n"
    )
    return "\n".join(parts)
