"""What a dump records of single rewrites, applied again to the lines that they changed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import view_cases
from ostinato.compiler.rewrites import END, LONGEST
from ostinato.ir.listing import list_module
from ostinato.ir.text import parse_module


def test_rewrites_lead_from_what_was_captured_to_the_plan(tmp_path: Path) -> None:
    """What each changed, applied in turn to the lines of the first step, gives the last one."""
    view_cases.dump(tmp_path)
    (step,) = tmp_path.glob("step-*")
    steps = [file.name for file in sorted(step.glob("*.mlir"))]
    recorded: dict[str, list[dict[str, Any]]] = json.loads((step / "rewrites.json").read_text())
    assert list(recorded) == steps
    lines = op_lines(step / steps[0])
    for file in steps:
        for row in recorded[file]:
            lines = patched(lines, row["changed"])
        wanted = op_lines(step / file)
        assert len(lines) == len(wanted) and all(map(is_alike, lines, wanted)), file
    rewrites = {row["rewrite"] for rows in recorded.values() for row in rows}
    assert {"linear.vjp", "body", "same", "form", "place"} <= rewrites
    numbers = [row["number"] for rows in recorded.values() for row in rows if row["rewrite"] != END]
    assert numbers == list(range(1, len(numbers) + 1))


def op_lines(file: Path) -> list[str]:
    """The first line of each op but the module, as rewrites are recorded."""
    listing = list_module(parse_module(file.read_text()))
    return [listing.lines[place.first][2:] for place in listing.places[1:]]


def patched(lines: list[str], diff: list[str]) -> list[str]:
    """`lines` with a unified diff applied, which has to fit."""
    made: list[str] = []
    at = 0
    for line in diff:
        if line.startswith("@@"):
            start, _, size = line.split(" ")[1][1:].partition(",")
            begin = int(start) - (size != "0")
            made, at = made + lines[at:begin], begin
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert is_alike(lines[at], line[1:])
            made += [lines[at]] if line[0] == " " else []
            at += 1
    return made + lines[at:]


def is_alike(a: str, b: str) -> bool:
    """Whether lines are the same but for numbers of values, as far as long ones were kept."""
    plain = (re.sub(r"%(?:\d+|(\w+?)_\d+)\b", r"%\1", line) for line in (a, b))
    short, long = sorted(plain, key=lambda line: not line.endswith(" …"))
    # Numbers of other lengths have other ends.
    kept = LONGEST * 3 // 4
    return short[:kept] == long[:kept] if short.endswith(" …") else short == long
