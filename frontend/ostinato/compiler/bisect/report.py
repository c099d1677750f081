"""What a bisection tells: what was looked at, who is to blame, and a small module as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...ir.text import print_module
from ...passes.pipeline import PASSES
from . import bundle
from .cut import Small
from .finding import Finding
from .search import find

MINIMAL = "minimal"
"""The folder in a bundle for the small module and its arguments."""


def bisected(folder: Path, tell: Callable[[str], object]) -> bool:
    """Tells what is wrong with a bundle, if anything; whether something is."""
    given = bundle.read(folder)
    tell(f"{folder}: {given.function} on {given.device}")
    for name, here in bundle.versions().items():
        if (there := given.versions.get(name, "unknown")) != here:
            tell(f"  written with {name} {there}; this is {here}")
    found = find(given, lambda line: tell(f"  {line}"))
    tell("nothing is wrong: no application changes a result\n" if found is None else f"\n{found}\n")
    if found is not None and found.small is not None:
        tell(_written(folder / MINIMAL, found, found.small))
    return found is not None


def _written(folder: Path, found: Finding, small: Small) -> str:
    """The text of the small module, which is written with the command that shows what is wrong."""
    text = print_module(small.module)
    bundle.write_module(folder, text, small.inputs)
    file = folder / bundle.MODULE
    given = f"--inputs {folder / bundle.INPUTS}"
    commands = [f"ostinato run {file} {given}"]
    if found.place in PASSES:
        commands.append(f"ostinato opt --passes={found.place} {file} | ostinato run - {given}")
    return "\n".join([text, "To run it:", *(f"  {command}" for command in commands)])
