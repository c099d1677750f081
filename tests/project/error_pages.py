"""Runs the pages of docs/errors: a failing example, the text that it ends with, a working one."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ostinato as ot

FOLDER = Path(__file__).parents[2] / "docs" / "errors"
ON_A_DEVICE = "OutOfMemoryError"
"""The page whose examples need one."""
_BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """What a page shows: code that fails, the text of that, and code that works."""

    path: Path
    failing: str
    told: str
    working: str

    @classmethod
    def read(cls, name: str) -> Page:
        """The page of the class `name`; it has these three blocks and no others."""
        path = FOLDER / f"{name}.md"
        blocks = _BLOCK.findall(path.read_text())
        assert [kind for kind, _ in blocks] == ["python", "text", "python"], name
        return cls(path, *(text for _, text in blocks))

    def run(self, folder: Path) -> str:
        """Runs both examples, and returns what the first is refused with."""
        of = getattr(ot, self.path.stem)
        namespace: dict[str, Any] = {"__name__": self.path.stem}
        told = _refused(self._compiled(folder, "failing.py", self.failing), namespace, of)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(self._compiled(folder, "working.py", self.working), namespace)
        return f"{of.__name__}: {told.replace(f'{folder}/', '')}\n"

    def update(self, told: str) -> None:
        """Writes anew what the page says that the first example is refused with."""
        self.path.write_text(self.path.read_text().replace(self.told, told))

    def _compiled(self, folder: Path, name: str, text: str) -> Any:
        # A file, so that messages name its lines.
        file = folder / name
        file.write_text(text)
        return compile(text, str(file), "exec")


def _refused(code: Any, namespace: dict[str, Any], of: type[Exception]) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(code, namespace)
        except of as error:
            return str(error)
    (warned,) = caught
    assert warned.category is of, warned
    return str(warned.message)
