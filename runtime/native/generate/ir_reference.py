"""Prints docs/ir.md, the reference of stages, passes, dialects and reasons, from the code.

Usage: ir_reference.py [--out FILE].
"""

from __future__ import annotations

import argparse
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from ostinato.ir import stages
from ostinato.ir.dialects import kernel, ot, program
from ostinato.ir.dialects.integers import SEGMENTS
from ostinato.ir.dialects.ot import FusionOp, GradientOp, TableOp
from ostinato.ir.graph import HOST, NAME, SHARES, WRITES
from ostinato.ir.interpret.program import ARENA, HOST_BYTES
from ostinato.ir.op import OPS
from ostinato.ir.pins import PIN
from ostinato.ir.stages import CLAIMS
from ostinato.passes import split
from ostinato.passes.algebra import PAIRS
from ostinato.passes.fuse import COLUMNS, KIND, LENGTH, OUTER, POINTWISE, ROWS
from ostinato.passes.padding import mask
from ostinato.passes.pipeline import PIPELINE
from ostinato.passes.reasons import Reason
from stubs import ROOT

HEADER = """\
# The IR

Printed from the code by `make stubs`. A region goes through the stages in this order; each is text
that `ostinato opt` and `ostinato run` read. [tour.md](tour.md) shows one function at each.
"""
OPS_OF_OT = """\
Every op of [operators.md](operators.md) is an op of this dialect under the same name, as `ot.exp`:
tensors are its operands, everything else its attributes. These are not in the table:
"""
TABLE_BELONGS = "These ops of the table are written by gradient rules and passes alone:"
FROM_XDSL = """\
`func.func @main` is the region, and `func.return` hands over its results. Inside of kernels
`arith` and `math` compute on scalars; they mean what MLIR says of them, but for what is said of
dividing by zero and of NaN under `kernel`.
"""
ATTRIBUTES = (
    (NAME, "arguments", "what the source calls the tensor"),
    (HOST, "arguments and ops, for a GPU", "the CPU has it, or computes it before the GPU starts"),
    (WRITES, "`@main`", "pairs (result, argument): what is written back into arguments"),
    (SHARES, "`@main`", "a result may be the very argument that it equals"),
    (CLAIMS, "`@main`", "composites that stay whole, having kernels of their own"),
    (PIN, "ops", "positive: those of one `with ot.fuse()`; negative: of one `with ot.nofuse()`"),
    (KIND, "`ot.fusion`", f"how its loops run: `{POINTWISE}`, over `{ROWS}`, over `{COLUMNS}`"),
    (LENGTH, "`ot.fusion`", "the elements of a row, or rows of a column"),
    (OUTER, "`ot.fusion`", "how many runs of rows there are"),
    (ARENA, "`@main`", "planned: the bytes of the one block that intermediates share"),
    (HOST_BYTES, "`@main`", "planned: the bytes that the region takes in the CPU's memory"),
)
"""Attributes in dumps that no op defines: name, where it stands, what it says."""
DIALECTS = {"ot": ot, "kernel": kernel, "program": program}


def page() -> str:
    """The text of the page."""
    parts = [HEADER, *_stages(), *_passes(), *_rewrites()]
    for name, module in DIALECTS.items():
        parts += _dialect(name, module)
    parts += ["## The dialects `func`, `arith` and `math`\n", FROM_XDSL]
    return "\n".join([*parts, *_attributes(), *_reasons()])


def _stages() -> Iterator[str]:
    made = {"captured": "capture"}
    for each in PIPELINE:
        made.setdefault(each.stage, each.name)
    yield "## Stages\n"
    yield "| stage | is there after | holds |\n|---|---|---|"
    for name in stages.STAGES:
        yield f"| `{name}` | `{made[name]}` | {stages.HOLDS[name]} |"
    yield ""


def _passes() -> Iterator[str]:
    yield "## Passes\n"
    yield "In the order in which they run; `ostinato opt --passes=NAME` runs one.\n"
    for each in PIPELINE:
        yield f"### `{each.name}`\n\nLeaves a module at stage `{each.stage}`.\n"
        yield f"{_text(each.doc)}\n"
    yield "Two more are run where they are needed, not by `ostinato opt`:\n"
    for module, name in ((split, "split"), (mask, "mask_padding")):
        yield f"### `{name}`\n\n{_text(_doc(module))}\n\n{_text(_doc(getattr(module, name)))}\n"


def _rewrites() -> Iterator[str]:
    yield "## Rewrites of `simplify`\n"
    yield "Those written as equations. The others fold constants, views of views and equal ops.\n"
    yield "| rewrite | true of |\n|---|---|"
    for pair in PAIRS:
        yield f"| `{pair.name}` | {'every bit' if pair.exact else 'real numbers: `--fast-math`'} |"
    yield ""


def _dialect(name: str, module: ModuleType) -> Iterator[str]:
    yield f"## The dialect `{name}`\n\n{_text(_doc(module))}\n"
    if module is ot:
        yield OPS_OF_OT
        classes: list[Any] = [ot.ConstantOp, GradientOp, FusionOp, ot.YieldOp]
    else:
        made = next(v for v in vars(module).values() if getattr(v, "name", None) == name)
        classes = list(made.operations)
    for each in sorted(classes, key=lambda c: c.name):
        yield "\n".join(_op(each)) + "\n"
    if module is ot:
        yield f"{TABLE_BELONGS}\n"
        for op in OPS.values():
            if op.namespace == "internal":
                yield f"- `ot.{op.name}`: {' '.join(op.doc.split())}"
        yield ""


def _op(of: Any) -> Iterator[str]:
    """What a class of ops says of itself, and what its ops have."""
    assert not issubclass(of, TableOp)
    yield f"### `{of.name}`\n\n{_text(_doc(of))}\n"
    definition = of.get_irdl_definition()
    for title, named in (
        ("operands", definition.operands), ("results", definition.results),
        ("attributes", definition.properties.items()), ("bodies", definition.regions),
    ):  # fmt: skip
        names = [f"`{name}`" for name, _ in named if name != SEGMENTS]
        if names:
            yield f"- {title}: {', '.join(names)}"


def _attributes() -> Iterator[str]:
    yield "## Attributes\n"
    yield "Beside those that the ops themselves list:\n"
    yield "| attribute | stands at | says |\n|---|---|---|"
    for name, place, meaning in ATTRIBUTES:
        yield f"| `{name}` | {place} | {meaning} |"
    yield ""


def _reasons() -> Iterator[str]:
    yield "## Reasons\n"
    yield "Why a value passes through memory: `explain()` gives the code with each value, and so"
    yield "does `CompileError` where `with ot.fuse():` asks for what cannot be.\n"
    yield "| code | the two ops are in different kernels because |\n|---|---|"
    for reason in Reason:
        yield f"| `{reason.value}` | {reason.text} |"
    yield ""


def _doc(what: Any) -> str:
    return inspect.getdoc(what) or ""


def _text(doc: str) -> str:
    """A docstring as Markdown: what is indented stays as it is."""
    return textwrap.dedent(doc).strip()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "ir.md")
    parser.parse_args().out.write_text(page())


if __name__ == "__main__":
    main()
