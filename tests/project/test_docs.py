"""The code of the README and of pages in docs runs, in order, in one namespace a page."""

from __future__ import annotations

import re
import runpy
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
GENERATE = ROOT / "runtime" / "native" / "generate"


def shown_by(page: Path, folder: Path, capsys: Any) -> str:
    """What the code of a page prints."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    # One file, so that the tracer finds the source of its lines.
    script = folder / f"{page.stem}.py"
    script.write_text("\n".join(blocks))
    exec(compile(script.read_text(), str(script), "exec"), {"__name__": page.stem})
    return capsys.readouterr().out


PAGES = {
    "README.md": ("loss", "launches", "ot.fusion"),
    "docs/capture.md": (
        "break at", "ms each", "is False; give it as an argument",
        "the truth of a tensor (`if`, `while`, `bool()`) needs a value now at",
    ),
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    shown = shown_by(ROOT / page, tmp_path, capsys)
    assert all(part in shown for part in PAGES[page])


def test_the_output_of_bisect_in_the_page_is_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    page = ROOT / "docs" / "inspection.md"
    shown = shown_by(page, tmp_path, capsys)
    shown = re.sub(r"/\S+/shifted-[0-9a-f]{8}", "dir/shifted", shown)
    shown = shown.replace(str(tmp_path / "inspection.py"), "inspection.py")
    (output,) = re.findall(r"```text\n(dir/shifted.*?)```", page.read_text(), re.DOTALL)
    assert output in shown


def test_the_reference_of_the_ops_is_up_to_date(monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(GENERATE))
    page = runpy.run_path(str(GENERATE / "reference.py"))["page"]()
    assert (ROOT / "docs" / "operators.md").read_text() == page, "it is old; run `make stubs`"
    assert all(f"### {name}\n" in page for name in ("softmax", "cross_entropy", "randperm"))


_DUMPED = re.compile(r"(```(?:mlir|llvm) (\S+)(?: main)?\n)(.*?)```", re.DOTALL)


def dumped(folder: Path, page: str) -> str:
    """The page with the dumps that are in `folder`."""

    def block(found: re.Match[str]) -> str:
        text = (folder / found[2]).read_text()
        if found[2] != "0-captured.mlir":
            text = re.sub(r" loc\([^)]*\)", "", text)
        if " main" in found[1]:
            text = text[text.index("  func.func @main") :].removesuffix("}\n")
        if found[2].endswith(".ll"):  # the rest is about the machine
            text = text[text.index("define") : text.index("\n}\n") + 3]
        return f"{found[1]}{text}```"

    return _DUMPED.sub(block, page)


def test_the_dumps_of_the_tour_are_those_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = ROOT / "docs" / "tour.md"
    page = path.read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    script = tmp_path / "tour.py"
    script.write_text(code)
    exec(compile(code, str(script), "exec"), {"__name__": "tour"})
    (folder,) = tmp_path.glob("*/step-*")
    for file in folder.glob("*.mlir"):
        file.write_text(file.read_text().replace(f"{tmp_path}/", ""))
    current = dumped(folder, page)
    if request.config.getoption("--update-golden"):
        path.write_text(current)
    assert path.read_text() == current, "it is old; run this test with --update-golden"
    assert len(_DUMPED.findall(page)) == 7 and "kernel.reduce max" in current


def test_the_reference_of_the_ir_is_up_to_date(monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(GENERATE))
    page = runpy.run_path(str(GENERATE / "ir_reference.py"))["page"]()
    assert (ROOT / "docs" / "ir.md").read_text() == page, "it is old; run `make stubs`"
    attributes = set(re.findall(r"\b((?:ot|program)\.\w+) = ", (ROOT / "docs/tour.md").read_text()))
    assert len(attributes) >= 3 and all(f"| `{name}` |" in page for name in attributes)
    headings = ("`fuse`", "`split`", "`kernel.reduce`", "`program.launch`", "`ot.fusion`")
    assert all(f"### {name}\n" in page for name in headings)
    assert all(f"| `{reason}` |" in page for reason in ("unfinished", "stored", "few"))


def test_the_architecture_page_names_every_module_of_the_compiler() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    part = page[page.index("## Captures") : page.index("## Stages of a region")]
    folder = ROOT / "frontend" / "ostinato" / "compiler"
    modules = {p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.py")}
    missing = {m for m in modules if f"`{m}`" not in part and not m.endswith("__init__")}
    assert not missing, f"say in docs/architecture.md what they hold: {sorted(missing)}"
