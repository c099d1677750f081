"""The code of the README runs, in order, in one namespace."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
GENERATE = ROOT / "runtime" / "native" / "generate"


def test_the_readme_runs(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    # One file, so that the tracer finds the source of its lines.
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks))
    exec(compile(script.read_text(), str(script), "exec"), {"__name__": "readme"})
    shown = capsys.readouterr().out
    assert "loss" in shown and "launches" in shown and "ot.fusion" in shown


def test_the_reference_of_the_ops_is_up_to_date(monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(GENERATE))
    page = runpy.run_path(str(GENERATE / "reference.py"))["page"]()
    assert (ROOT / "docs" / "operators.md").read_text() == page, "it is old; run `make stubs`"
    assert all(f"### {name}\n" in page for name in ("softmax", "cross_entropy", "randperm"))
