"""Prints docs/operators.md, the reference of the ops, from the op table.

Usage: reference.py [--out FILE].
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from ostinato.ir.op import OPS, Op
from stubs import ROOT, signatures

HEADER = """\
# Operators

Printed from the op table (`ir/ops`) by `make stubs`. Names are PyTorch's, and so are the second
names of arguments, given in brackets. Functions are found in `ostinato`, those of networks in
`ostinato.nn.functional`; a method leaves out its first argument, and `name_` works in place.
Dtypes of operands are promoted as in PyTorch; a reduction over no axes is one over all.
"""


def page() -> str:
    """The text of the page."""
    parts = [HEADER]
    module = ""
    for op in OPS.values():
        if op.namespace == "internal":
            continue
        if op.body.__module__ != module:
            module = op.body.__module__
            parts.append(f"## {_title(module)}\n")
        parts.append("\n".join(entry(op)) + "\n")
    return "\n".join(parts)


def _title(module: str) -> str:
    doc = inspect.getdoc(sys.modules[module]) or module
    return doc.partition("\n")[0].rstrip(".")


def entry(op: Op) -> Iterator[str]:
    """The lines on one op: how it is called, what it computes, what else the table says."""
    yield f"### {op.name}\n"
    prefix = "nn.functional." if op.namespace else ""
    for parameters in signatures(op):
        yield f"    {prefix}{op.name}({', '.join(parameters)})"
    yield f"\n{op.doc}\n"
    yield "; ".join(facts(op)) + "."


def facts(op: Op) -> Iterator[str]:
    """What else the table says of an op."""
    yield {
        "pointwise": "Works on elements, with broadcasting",
        "primitive": "A primitive",
        "composite": "Made of other ops" + (", with a kernel of its own" if op.native else ""),
        "function": "A function of other ops",
    }[op.kind]
    if op.view:
        yield "a view"
    if op.method:
        yield f"a method, `Tensor.{op.name}`" + (f" and `{op.name}_`" if op.inplace else "")
    if op.kind != "function":
        yield (
            "has a gradient"
            if op.vjp_rule
            else "has the gradient of its parts"
            if (op.kind == "composite")
            else "has no gradient"
        )
    if others := [f"{p.name} [{p.other_name}]" for p in op.params if p.other_name]:
        yield f"second names: {', '.join(others)}"
    if op.autocast:
        yield f"autocast: {'the low dtype' if op.autocast == 'low' else 'float32'}"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "operators.md")
    parser.parse_args().out.write_text(page())


if __name__ == "__main__":
    main()
