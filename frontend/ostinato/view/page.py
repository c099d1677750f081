"""One self-contained HTML page of a dump: what is read, as data, with the script that shows it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from .folder import read_folder
from .packed import Packer

SCRIPTS = (
    "model",
    "state",
    "listing",
    "source",
    "rewrites",
    "graph",
    "kernels",
    "inspector",
    "keys",
)
"""The parts of the script in the order in which they are joined."""


def page_of(folder: Path) -> str:
    """The page of every region in `folder`; IRError where there is none or one is damaged."""
    packer = Packer()
    regions = [packer.region(dumped) for dumped in read_folder(folder)]
    data = json.dumps({"strings": packer.strings.items, "regions": regions}, separators=(",", ":"))
    script = "\n".join(_part(f"{name}.js") for name in SCRIPTS)
    # A `<` in the data could end the element that holds it.
    contents = {"style": _part("view.css"), "data": data.replace("<", "\\u003c"), "script": script}
    return _filled(_part("page.html"), contents)


def _part(name: str) -> str:
    return (files(__name__.rpartition(".")[0]) / name).read_text(encoding="utf-8")


def _filled(page: str, contents: dict[str, str]) -> str:
    """`page` with what stands for each name, `{{name}}` a line; contents are not looked at."""
    lines = [contents.get(line.strip("{} \n"), line) for line in page.splitlines()]
    return "\n".join([*lines, ""])
