"""Who may import whom: folders follow the data path, and `import ostinato` stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import ostinato

PACKAGE = Path(ostinato.__file__).parent
LAYERS = {
    "ir": {"ir"},
    "runtime": {"runtime", "ir"},
    "passes": {"passes", "ir"},
    "codegen": {"codegen", "ir", "runtime"},
}
# The build and `import ostinato` both read these.
BARE = ["op", "shapes", "dtypes", "scalar/expression", "symbolic", "ops"]
LATE = ["xdsl", "networkx", "llvmlite", "triton", "torch"]
NEVER = {"torch", "jax"}


class Import(NamedTuple):
    """One imported module, as a dotted path from the root of all packages."""

    module: str
    line: int
    on_load: bool


def imports(source: str, package: tuple[str, ...]) -> Iterator[Import]:
    """Every import of a module that lies in `package`; on_load if loading the module runs it."""
    tree = ast.parse(source)
    lazy = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) or _only_for_types(outer)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        for module in _imported(node, package):
            yield Import(module, getattr(node, "lineno", 0), id(node) not in lazy)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _imported(node: ast.AST, package: tuple[str, ...]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = package[: len(package) + 1 - node.level] if node.level else ()
    path = ".".join((*base, node.module) if node.module else base)
    return [f"{path}.{alias.name}" for alias in node.names]


def violations(source: str, package: tuple[str, ...]) -> list[str]:
    """What a module in `package` imports and may not."""
    found: list[str] = []
    layer = "".join(package[1:2])
    allowed = LAYERS.get(layer)
    for item in imports(source, package):
        top, *rest = item.module.split(".")
        if top in NEVER:
            found.append(f"line {item.line}: {top} is for tests and benchmarks only")
        if top == "ostinato" and rest and allowed is not None and rest[0] not in allowed:
            found.append(f"line {item.line}: {layer} may not import {rest[0]}")
    return found


def modules(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.py")) if "native" not in path.parts]


def package_of(path: Path) -> tuple[str, ...]:
    return ("ostinato", *path.relative_to(PACKAGE).parent.parts)


@pytest.mark.parametrize("layer", ["", *LAYERS])
def test_folders_import_only_the_layers_below_them(layer: str) -> None:
    # rglob does not walk into a symlink, so "" is the front end alone.
    paths = modules(PACKAGE / layer)
    assert paths
    found = {
        str(path.relative_to(PACKAGE)): wrong
        for path in paths
        if (wrong := violations(path.read_text(), package_of(path)))
    }
    assert not found


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("from ..passes import fuse", ("ostinato", "ir"), "ir may not import passes"),
        ("from ...codegen.llvm import x", ("ostinato", "ir", "ops"), "ir may not import codegen"),
        ("from .. import compile", ("ostinato", "passes"), "passes may not import compile"),
        ("import ostinato.runtime._C", ("ostinato", "passes"), "passes may not import runtime"),
        ("def f():\n    import torch", ("ostinato",), "torch is for tests and benchmarks only"),
    ],
)
def test_planted_violations_are_found(source: str, package: tuple[str, ...], expected: str) -> None:
    assert [text.split(": ")[1] for text in violations(source, package)] == [expected]


def bare_modules() -> Iterator[Path]:
    for name in BARE:
        folder = PACKAGE / "ir" / name
        yield from modules(folder) if folder.is_dir() else [folder.with_suffix(".py")]


def loaded_by(path: Path, seen: set[Path]) -> Iterator[tuple[Path, str]]:
    """Modules outside the package that loading `path` imports, through our own modules too."""
    if path in seen:
        return
    seen.add(path)
    for item in imports(path.read_text(), package_of(path)):
        if not item.on_load:
            continue
        top, *rest = item.module.split(".")
        if top != "ostinato":
            yield path, top
            continue
        for depth in range(1, len(rest) + 1):
            inner = PACKAGE.joinpath(*rest[:depth])
            for file in (inner.with_suffix(".py"), inner / "__init__.py"):
                if file.is_file():
                    yield from loaded_by(file, seen)


def test_op_table_needs_only_the_standard_library() -> None:
    seen: set[Path] = set()
    found = [pair for path in bare_modules() for pair in loaded_by(path, seen)]
    assert len(seen) >= len(BARE)
    assert [(path.name, top) for path, top in found if top not in sys.stdlib_module_names] == []


def test_import_loads_no_compiler() -> None:
    script = f"import ostinato, sys; print(*[name for name in {LATE!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
