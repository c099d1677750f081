"""Every error class has a page, and what it shows is what happens."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import ostinato as ot
from error_pages import FOLDER, ON_A_DEVICE, Page
from ostinato.ir import errors

CLASSES = [name for name, of in vars(errors).items() if inspect.isclass(of)]


def test_each_class_has_a_page_and_is_public() -> None:
    assert {p.stem for p in FOLDER.glob("*.md")} == {"README", *CLASSES}
    index = (FOLDER / "README.md").read_text()
    for name in CLASSES:
        of = getattr(ot, name)
        assert of is getattr(errors, name)
        assert f"`ot.{name}`, a `{of.__bases__[0].__name__}`." in Page.read(name).path.read_text()
        assert f"[`{name}`]({name}.md)" in index and f"| {inspect.getdoc(of)} |" in index


@pytest.mark.parametrize("name", [name for name in CLASSES if name != ON_A_DEVICE])
def test_a_page_shows_what_happens(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    if name == "DeviceError" and ot.cuda.is_available():
        pytest.skip("the page is of a machine without a GPU")
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    page = Page.read(name)
    told = page.run(tmp_path)
    if request.config.getoption("--update-golden"):
        page.update(told)
    assert Page.read(name).told == told
