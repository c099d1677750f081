"""Prints the .pyi files from the op table: the types of names that are made at run time.

Usage: stubs.py [--out DIR]. Needs the built package, which says what names there are.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import ostinato
from ostinato.ir.op import OPS, Op, Param
from ostinato.nn import functional

ROOT = Path(__file__).resolve().parents[3]
HEADER = """\
# Printed from ir/ops by runtime/native/generate/stubs.py (make stubs).
# The imports are those that any table may need.
# pyright: reportUnusedImport=false
"""
TYPES = {
    "tensor": "Tensor | float",
    "optional_tensor": "Tensor | float",
    "tensors": "Sequence[Tensor | float]",
    "rng": "Generator",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "str": "str",
    "device": "str | device",
    "dtype": "DType",
    "size": "int",
    "sizes": "int | Sequence[int]",
    "ints": "int | Sequence[int]",
}


# By the `keyword` of an op.
KEYWORDS: dict[str, list[str]] = {
    "": [], "alpha": ["alpha: float = 1"], "dtype": ["dtype: DType | None = None"],
}  # fmt: skip


def annotation(op: Op, p: Param) -> str:
    """The type of a parameter for the callers of the op."""
    if p.name in op.variants:
        return f"Literal[{', '.join(map(repr, op.variants[p.name]))}]"
    absent = p.optional or p.kind == "rng" or (not p.required and p.default is None)
    return TYPES[p.kind] + (" | None" if absent else "")


def parameter(op: Op, p: Param, last_required: int) -> str:
    """A parameter as text; its default is left out before the last required one."""
    # The binding of a native op takes PyTorch's name, a Python body only its own.
    name = "generator" if p.kind == "rng" and op.kind != "function" else p.name
    text = f"{name}: {annotation(op, p)}"
    return text if op.params.index(p) <= last_required else f"{text} = {p.default!r}"


def takes_rest(op: Op, at: int) -> bool:
    """True where the sizes at `at` are also taken one by one."""
    p, later = op.params[at], op.params[at + 1 :]
    first = all(q.kind == "tensor" for q in op.params[:at])
    return op.takes_rest(at) and first and p.required and not any(q.required for q in later)


def signatures(op: Op) -> list[list[str]]:
    """The parameter lists under which the op can be called."""
    last_required = max((i for i, p in enumerate(op.params) if p.required), default=-1)
    texts = [parameter(op, p, last_required) for p in op.params]
    extra = KEYWORDS[op.keyword]
    if op.creates:
        extra = ["requires_grad: bool = False", "device: device | str | None = None"]
    plain = [*texts, "*", *extra] if extra else texts
    for at, p in enumerate(op.params):
        if not op.namespace and takes_rest(op, at):
            return [plain, [*texts[:at], f"*{p.name}: int", *texts[at + 1 :], *extra]]
    return [plain]


def definition(name: str, lists: list[list[str]], result: str, doc: str, how: str = "") -> str:
    """The text of one function, overloaded where there are several parameter lists."""
    parts: list[str] = []
    for parameters in lists:
        marks = ["@overload"] if len(lists) > 1 else []
        head = [
            *marks,
            *([how] if how else []),
            f"def {name}({', '.join(parameters)}) -> {result}:",
        ]
        parts.append("\n".join(f"    {line}" for line in head) + "\n" + _indented(doc))
    return "\n".join(parts)


def _indented(doc: str) -> str:
    return "\n".join(f"        {line}".rstrip() for line in f'"""{doc}"""'.splitlines())


def _result(op: Op) -> str:
    return op.body.__annotations__["return"]


def functions() -> str:
    """The class whose static methods are the functions of the table."""
    return "\n".join(
        definition(name, signatures(op), _result(op), op.doc, "@staticmethod")
        for name, op in OPS.items()
    )


def methods(taken: Iterable[str]) -> str:
    """The methods and in-place methods of Tensor, but for the names in `taken`."""
    parts: list[str] = []
    for name, op in OPS.items():
        lists = [["self", *parameters[1:]] for parameters in signatures(op)]
        if op.method and name not in taken:
            parts.append(definition(name, lists, _result(op), op.doc))
        if op.inplace and f"{name}_" not in taken:
            parts.append(definition(f"{name}_", lists, "Self", f"`{name}` in place."))
    lines = "\n".join(parts).splitlines()
    return "\n".join(_aliased(line) if " def " in line else line for line in lines)


def _aliased(line: str) -> str:
    """`line` with the names that methods of Tensor hide replaced by the stub's aliases of them."""
    head, signature = line.split("(", 1)
    return f"{head}(" + re.sub(r"(?<=[ \[])(bool|float|int|str)\b", r"_\1", signature)


def module_stub() -> str:
    """runtime/_C.pyi: what is bound by hand, in module.pyi.in, and the table's methods."""
    template = (Path(__file__).parent / "module.pyi.in").read_text()
    tensor = next(n for n in ast.parse(template.replace("@METHODS@", "")).body if _is_tensor(n))
    taken = {n.name for n in ast.walk(tensor) if isinstance(n, ast.FunctionDef)}
    return HEADER + template.replace("@METHODS@", methods(taken))


def _is_tensor(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and node.name == "Tensor"


def ops_stub() -> str:
    """frontend/ostinato/ops.pyi: the functions of the table, and what ops.py defines itself."""
    source = ast.parse((ROOT / "frontend" / "ostinato" / "ops.py").read_text())
    own = [n for n in source.body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"]
    for n in own:
        doc = ast.get_docstring(n)
        n.body = [ast.Expr(ast.Constant(doc))] if doc else [ast.Expr(ast.Constant(...))]
    imports = (
        "from collections.abc import Callable, Sequence\n"
        "from typing import Any, Literal, overload\n\n"
        "from .device import device\nfrom .ir.dtypes import DType\nfrom .ir.op import Op\n"
        "from .runtime._C import Generator, Tensor\n"
    )
    return (
        f"{HEADER}{imports}\n"
        + "\n\n".join(map(ast.unparse, own))
        + (f"\n\nclass functions:\n{functions()}\n")
    )


def package_stub() -> str:
    """frontend/ostinato/__init__.pyi: what is imported by name, on first use, and the functions."""
    source = ast.parse((ROOT / "frontend" / "ostinato" / "__init__.py").read_text())
    public = [
        ast.unparse(n)
        for n in source.body
        if (isinstance(n, ast.ImportFrom) and not (n.names[0].asname or "_").startswith("_"))
        or (isinstance(n, ast.Assign) and not ast.unparse(n).startswith("_"))
    ]
    # Such an import also binds the submodule, whose name a function has.
    public.sort(key=lambda line: not line.startswith("from .tensor "))
    named = {line.rsplit(" as ")[-1] for line in public}
    lazy = [n for n in dir(ostinato) if n[0] != "_" and n not in named | OPS.keys()]
    public += [_import(n, getattr(ostinato, n)) for n in lazy if n in _exported()]
    functions = [f"{n} = _functions.{n}" for n, op in OPS.items() if op.namespace != "internal"]
    lines = [*public, "from .ops import functions as _functions", "", "__version__: str"]
    return HEADER + "\n".join([*lines, *functions]) + "\n"


def _exported() -> set[str]:
    """The names that the package's `__getattr__` makes, which its namespace may not hold yet."""
    source = (ROOT / "frontend" / "ostinato" / "__init__.py").read_text()
    node = next(n for n in ast.parse(source).body if getattr(n, "name", "") == "__getattr__")
    return {
        c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and isinstance(c.value, str)
    }


def _import(name: str, value: Any) -> str:
    where = "." if isinstance(value, ModuleType) else "." + value.__module__.partition(".")[2]
    return f"from {where} import {name} as {name}"


def functional_stub() -> str:
    """frontend/ostinato/nn/functional.pyi."""
    lines = [f"{name} = _functions.{name}" for name in dir(functional) if name in OPS]
    return HEADER + "\n".join(["from ..ops import functions as _functions", "", *lines]) + "\n"


STUBS = {
    "runtime/_C.pyi": module_stub,
    "frontend/ostinato/ops.pyi": ops_stub,
    "frontend/ostinato/__init__.pyi": package_stub,
    "frontend/ostinato/nn/functional.pyi": functional_stub,
}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT)
    options = parser.parse_args()
    for name, text in STUBS.items():
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text())


if __name__ == "__main__":
    main()
