"""Our end of the compile server: starts it, hands it jobs, and gives back what it made."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, Any

from ...ir.errors import CompileError
from .kernel import Constant

_KEPT = ("HOME", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR")
"""Environment variables that the server sees: with no others, what it builds depends on the job."""


@dataclass(frozen=True)
class Job:
    """One kernel to compile for compute capability `cc` (90 is 9.0).

    `signature` has the types of the parameters of the function `name` of `source`, in order, and
    `constexpr` for those with a value in `constants`; `divisible` says what pointers and integers
    are multiples of; `options` are Triton's.
    """

    name: str
    source: str
    signature: Mapping[str, str]
    constants: Mapping[str, Constant]
    divisible: Mapping[str, int]
    options: Mapping[str, int | bool]
    cc: int

    @property
    def text(self) -> str:
        """All but the source, as the server reads it; equal for equal jobs."""
        fields = asdict(self)
        del fields["source"]
        return json.dumps(fields)


@dataclass(frozen=True)
class Made:
    """What the server made of a job: a cubin, and what launching it must know."""

    cubin: bytes
    about: dict[str, Any]


def is_installed() -> bool:
    """Whether Triton is."""
    return find_spec("triton") is not None


def start() -> None:
    """Start the server unless it runs. It takes a second, so whoever will compile calls early."""
    with _lock:
        _running()


def compile_all(jobs: Sequence[Job]) -> list[Made]:
    """Compile `jobs` side by side, as many at a time as there are cores.

    Raises CompileError where Triton is missing or refuses a job.
    """
    if not jobs:
        return []
    with _lock:
        server = _running()
        try:
            return server.compile_all(jobs)
        except BaseException:
            # Replies to what was asked may still come: the next caller gets a new server.
            _stop()
            raise


class _Server:
    """A running server process and the folder that its jobs lie in."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.folder = Path(mkdtemp(prefix="ostinato-"))
        script = Path(__file__).with_name("server.py")
        cores = len(os.sched_getaffinity(0))
        with open(self.folder / "log.txt", "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", script, _packages(), str(cores), self.folder],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env={name: os.environ[name] for name in _KEPT if name in os.environ},
                # Ctrl-C is for us; the server ends when its stdin does.
                start_new_session=True,
            )  # fmt: skip
        self.jobs = 0

    def compile_all(self, jobs: Sequence[Job]) -> list[Made]:
        folders = [self._ask(job) for job in jobs]
        waiting = {str(folder) for folder in folders}
        while waiting:
            line = _pipe(self.process.stdout).readline().decode()
            if not line:
                raise CompileError(f"triton: the compile server ended: {self._last_words()}")
            waiting.discard(line.rstrip("\n").partition(" ")[2])
        made = [_result(job, folder) for job, folder in zip(jobs, folders, strict=True)]
        for folder in folders:
            shutil.rmtree(folder)
        return made

    def _ask(self, job: Job) -> Path:
        folder = self.folder / str(self.jobs)
        self.jobs += 1
        folder.mkdir()
        source = folder / f"{job.name}.py"
        source.write_text(job.source)
        # The line table has its time, and equal sources are to give equal cubins.
        os.utime(source, (0, 0))
        (folder / "job.json").write_text(job.text)
        try:
            _pipe(self.process.stdin).write(f"{folder}\n".encode())
            _pipe(self.process.stdin).flush()
        except BrokenPipeError:
            raise CompileError(f"triton: the compile server ended: {self._last_words()}") from None
        return folder

    def _last_words(self) -> str:
        code = self.process.wait()
        text = (self.folder / "log.txt").read_text().strip()
        return f"status {code}, {text or 'it said nothing'}"

    def stop(self) -> None:
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
        for pipe in (self.process.stdin, self.process.stdout):
            _pipe(pipe).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _result(job: Job, folder: Path) -> Made:
    try:
        about = json.loads((folder / "result.json").read_text())
    except FileNotFoundError:
        raise CompileError(
            f"triton: compiling {job.name} crashed; its source:\n{job.source}"
        ) from None
    if "error" in about:
        raise CompileError(f"triton: {job.name} does not compile: {about['error']}")
    return Made((folder / "kernel.cubin").read_bytes(), about)


def _packages() -> Path:
    """The folder that Triton is installed in."""
    found = find_spec("triton")
    if found is None or found.origin is None:
        raise CompileError(
            "triton is missing: a GPU needs it; `pip install ostinato[gpu]` brings it"
        )
    return Path(found.origin).parent.parent


_lock = threading.Lock()
_servers: list[_Server] = []


def _running() -> _Server:
    """The server of this process, started if need be; a fork does not share its parent's."""
    if _servers and (_servers[0].owner != os.getpid() or _servers[0].process.poll() is not None):
        _stop()
    if not _servers:
        _servers.append(_Server())
    return _servers[0]


@atexit.register
def _stop() -> None:
    while _servers:
        _servers.pop().stop()
