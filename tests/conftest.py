"""Refuse another checkout's code, watch what passes make of modules (see `watched_tests`), and
collect `.mlir` files: each `// RUN:` line is one test."""

# pyright: reportUnknownMemberType=false
# (pytest leaves the constructors of nodes unannotated.)

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ostinato
from triton_runner import Interpreter

_ROOT = Path(__file__).parents[1]
_LOADED = Path(ostinato.__file__).resolve()
if not any(_LOADED.is_relative_to(home) for home in (_ROOT, sysconfig.get_path("platlib"))):
    raise RuntimeError(f"ostinato comes from {_LOADED}, not from {_ROOT}: run `make dev` here")

RUN_PREFIX = "// RUN:"
RUN_SECONDS = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` writes the files anew that tests of text compare with; `--round-trips=all`
    takes the text of every module there and back, `none` leaves modules alone."""
    parser.addoption("--update-golden", action="store_true", help="write golden files anew")
    parser.addoption("--round-trips", choices=("none", "new", "all"), default="new",
                     help="modules whose text is parsed and printed again")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """What passes make is watched from the start."""
    from watched_tests import NEW, watch_tests

    watch_tests(config, config.getoption("--round-trips") or NEW)


@pytest.fixture(scope="module")
def triton() -> Iterator[Interpreter]:
    """The process that runs Triton kernels in Triton's interpreter."""
    made = Interpreter()
    yield made
    made.close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A `.mlir` file becomes a collector of its RUN lines."""
    if file_path.suffix != ".mlir":
        return None
    return MlirFile.from_parent(parent, path=file_path)


class MlirFile(pytest.File):
    """The RUN lines of one file; a file without one is an error, since it would test nothing."""

    def collect(self) -> Iterator[pytest.Item]:
        lines = list(enumerate(self.path.read_text().splitlines(), start=1))
        commands = [(number, line) for number, line in lines if line.startswith(RUN_PREFIX)]
        if not commands:
            raise self.CollectError(f"{self.path} has no line that starts with `{RUN_PREFIX}`")
        for number, line in commands:
            command = line.removeprefix(RUN_PREFIX).strip()
            yield RunLine.from_parent(self, name=f"line{number}", command=command)


class RunLine(pytest.Item):
    """One shell pipeline, `%s` standing for the file; it passes if every part of it exits 0."""

    def __init__(self, *, command: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command = command.replace("%s", str(self.path))

    def runtest(self) -> None:
        scripts = Path(sys.executable).parent
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", self.command],
            env=os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )
        if done.returncode:
            raise AssertionError(f"{self.command}\n{done.stdout}{done.stderr}")

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: Any = None,
    ) -> str:
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.name}:{self.name}"
