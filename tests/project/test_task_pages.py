"""The tasks of docs/tasks.md take at most three commands each, which print what the page shows."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ostinato.cli import cli
from ostinato.passes import algebra

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
_BLOCK = re.compile(r"```(python|sh|text|text before)\n(.*?)```", re.DOTALL)
MOST = 3


def tasks() -> dict[str, list[tuple[str, str]]]:
    """The blocks of each task, by its heading."""
    _, *sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    return {s.partition("\n")[0]: _BLOCK.findall(s) for s in sections}


TASKS = tasks()


def words(text: str) -> Iterator[str]:
    """The lines of a text, of which columns are not looked at."""
    return (" ".join(line.split()) for line in text.splitlines())


def run(command: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> str:
    """What a command prints. Python and `ostinato` run in this process, which saves a second."""
    parts = shlex.split(command)
    with monkeypatch.context() as patch:
        while "=" in parts[0]:
            patch.setenv(*parts.pop(0).split("=", 1))
        match parts:
            case ["python", file]:
                runpy.run_path(str(Path(file).absolute()))
            case ["ostinato", *rest]:
                assert cli(rest, standalone_mode=False) in (None, 1)
            case _:
                subprocess.run(command, shell=True, check=True)
    return capsys.readouterr().out.replace(f"{Path.cwd()}/", "")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The compiler that the last task is about."""
    wrong = algebra.Pair("negated_summand", lambda x, y: (x + -y, y - x), exact=True,
                         holds=lambda dtype: True)  # fmt: skip
    others = [pair for pair in algebra.PAIRS if pair.name != wrong.name]
    monkeypatch.setattr(algebra, "PAIRS", [wrong, *others])
    algebra.pairs_for.cache_clear()
    yield
    monkeypatch.undo()
    algebra.pairs_for.cache_clear()


def test_there_are_the_tasks() -> None:
    assert len(TASKS) == 4
    for blocks in TASKS.values():
        commands = [line for kind, text in blocks if kind == "sh" for line in text.splitlines()]
        assert 1 <= len(commands) <= MOST
        assert any(kind == "text" for kind, _ in blocks)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_done_by_its_commands(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, request: Any
) -> None:
    if "rewrite is wrong" in task:
        request.getfixturevalue("broken")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "cache"))
    first = _BLOCK.findall(PAGE.partition("\n## ")[0])
    shown: list[str] = []
    for kind, text in first + TASKS[task]:
        if kind == "python":
            Path(text.removeprefix("# ").partition("\n")[0]).write_text(text)
        elif kind == "sh":
            shown = [run(command, monkeypatch, capsys) for command in text.splitlines()]
        else:
            found = set(words(shown[0 if kind == "text before" else -1]))
            assert set(words(text)) <= found, set(words(text)) - found
