"""The .pyi files: printed from the table as it is now, and naming what there is at run time."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import ostinato as ot
from ostinato.nn import functional
from ostinato.ops import functions
from ostinato.runtime import _C

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / "runtime" / "native" / "generate" / "stubs.py"
FILES = (
    "runtime/_C.pyi",
    "frontend/ostinato/ops.pyi",
    "frontend/ostinato/__init__.pyi",
    "frontend/ostinato/nn/functional.pyi",
)


@pytest.fixture(scope="module")
def printed() -> dict[str, Callable[[], str]]:
    return runpy.run_path(str(GENERATOR))["STUBS"]


def test_the_files_are_all_that_is_printed(printed: dict[str, Callable[[], str]]) -> None:
    assert set(printed) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_files_are_up_to_date(name: str, printed: dict[str, Callable[[], str]]) -> None:
    assert (ROOT / name).read_text() == printed[name](), f"{name} is old; run `make stubs`"


def _defined(body: Iterable[ast.stmt]) -> set[str]:
    found: set[str] = set()
    for n in body:
        if isinstance(n, ast.FunctionDef | ast.ClassDef):
            found.add(n.name)
        elif isinstance(n, ast.ImportFrom):
            found |= {a.asname for a in n.names if a.asname}
        elif isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name):
            found.add(n.target.id)
        elif isinstance(n, ast.Assign):
            found |= {t.id for t in n.targets if isinstance(t, ast.Name)}
    return found


def _class(name: str, file: str) -> set[str]:
    module = ast.parse((ROOT / file).read_text())
    return _defined(
        next(n for n in module.body if isinstance(n, ast.ClassDef) and n.name == name).body
    )


def _public(names: Iterable[str]) -> set[str]:
    return {n for n in names if n[0] != "_"}


@pytest.mark.parametrize("name", ["Tensor", "CompiledProgram", "Generator", "Tracer"])
def test_classes_have_the_members_of_the_native_ones(name: str) -> None:
    wanted = {n for n in vars(getattr(_C, name)) if n not in vars(object) and n[:3] != "__w"}
    wanted -= {"__module__"}
    stub = _class(name, "runtime/_C.pyi")
    assert _public(stub) == _public(wanted)
    # Storing and deleting elements share a slot, and deleting is refused; `copy` notes slot names.
    known = ("__delitem__", "__dict__", "__new__", "__slotnames__")
    hidden = {n for n in wanted - stub if n not in known}
    assert not hidden, f"{hidden} are missing in module.pyi.in"


def test_the_module_has_the_names_of_the_native_one() -> None:
    module = ast.parse((ROOT / "runtime/_C.pyi").read_text())
    assert _public(_defined(module.body)) == _public(dir(_C))


def test_functions_have_the_names_of_the_table() -> None:
    assert _class("functions", "frontend/ostinato/ops.pyi") == set(vars(functions))


def test_functional_has_its_names() -> None:
    module = ast.parse((ROOT / "frontend/ostinato/nn/functional.pyi").read_text())
    assert _public(_defined(module.body)) == set(dir(functional))


def test_the_package_has_the_names_that_it_promises() -> None:
    module = ast.parse((ROOT / "frontend/ostinato/__init__.pyi").read_text())
    names = _defined(module.body) - {"_functions"}
    assert {"Tensor", "nn", "compile", "bool", "randn", "__version__"} <= names
    assert all(getattr(ot, n) is not None for n in names)
    assert isinstance(ot.__version__, str)
