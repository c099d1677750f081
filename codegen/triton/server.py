"""The compile server: a process of its own that turns Triton source into cubins, many at a time.

It is run as a script and knows nothing of this package, so that neither our runtime nor what the
user loaded comes along. It imports Triton and compiles a small kernel once; then each job is a fork
that starts warm. A job is a folder with `job.json` and the source; its name comes in as a line of
stdin and goes out as a line `NAME STATUS` of stdout once the folder has `result.json`.
"""

# pyright: reportMissingTypeStubs=false, reportAttributeAccessIssue=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (Triton is hardly annotated.)

from __future__ import annotations

import json
import os
import selectors
import sys
from collections import deque
from pathlib import Path
from typing import Any

_WARM_UP = """
import triton
import triton.language as tl


@triton.jit
def warm_up(x, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    tl.store(x + i, tl.load(x + i) + 1.0)
"""


def compile_job(folder: Path) -> dict[str, Any]:
    """Compiles the job in `folder`: writes `kernel.cubin`, returns what its launch must know."""
    os.chdir(folder)
    job = json.loads(Path("job.json").read_text())
    return _compiled(job, Path(f"{job['name']}.py").read_text())


def _compiled(job: dict[str, Any], source: str) -> dict[str, Any]:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    # Triton serves a damaged cubin from its cache silently, so no two compiles share one.
    triton.knobs.cache.dir = str(Path.cwd() / "cache")
    names = list(job["signature"])
    ast = ASTSource(
        fn=_function(job["name"], source),
        signature=job["signature"],
        constexprs={(names.index(n),): _constant(v) for n, v in job["constants"].items()},
        attrs={(names.index(n),): [["tt.divisibility", d]] for n, d in job["divisible"].items()},
    )
    built = triton.compile(ast, target=GPUTarget("cuda", job["cc"], 32), options=job["options"])
    Path("kernel.cubin").write_bytes(built.asm["cubin"])
    about = built.metadata
    return {
        "symbol": about.name, "warps": about.num_warps, "shared": about.shared,
        "global_scratch": about.global_scratch_size,
        "profile_scratch": about.profile_scratch_size,
    }  # fmt: skip


def _function(name: str, source: str) -> Any:
    """The jitted function `name` of `source`. The file name is relative: it goes into the cubin's
    line table, and cubins are to be equal where sources are."""
    space: dict[str, Any] = {"__name__": "kernel"}
    exec(compile(source, f"{name}.py", "exec"), space)
    return space[name]


def _constant(value: Any) -> Any:
    return tuple(map(_constant, value)) if isinstance(value, list) else value


def run_job(folder: Path) -> None:
    """Compiles in this process, a fork of the server, and writes `result.json`."""
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        result = compile_job(folder)
    except BaseException as error:
        sys.stdout.flush()
        text = (folder / "log.txt").read_text()
        result = {"error": f"{type(error).__name__}: {error}\n{text}".rstrip()}
    (folder / "result.json").write_text(json.dumps(result))


def _warm(folder: Path) -> None:
    """Compiles a small kernel in the server itself: each fork then has what Triton sets up once."""
    os.chdir(folder)
    Path("warm_up.py").write_text(_WARM_UP)
    job = {"name": "warm_up", "signature": {"x": "*fp32", "SIZE": "constexpr"},
           "constants": {"SIZE": 128}, "divisible": {}, "cc": 80,
           "options": {"num_warps": 1, "enable_fp_fusion": False}}  # fmt: skip
    _compiled(job, _WARM_UP)


class Server:
    """Reads jobs from stdin and runs up to `most` at a time, each in a fork."""

    def __init__(self, most: int, replies: int) -> None:
        self.most, self.replies = most, replies
        self.waiting: deque[str] = deque()
        self.running: dict[int, tuple[int, str]] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ)

    def serve(self) -> None:
        """Returns when stdin ends, and kills what still runs then."""
        text = b""
        while True:
            for key, _ in self.selector.select():
                if key.fd != 0:
                    self._reap(key.fd)
                    continue
                more = os.read(0, 1 << 16)
                if not more:
                    return self._stop()
                *lines, text = (text + more).split(b"\n")
                self.waiting.extend(line.decode() for line in lines)
            while self.waiting and len(self.running) < self.most:
                self._start(self.waiting.popleft())

    def _start(self, job: str) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                run_job(Path(job))
            finally:
                os._exit(0)
        watch = os.pidfd_open(pid)
        self.running[watch] = pid, job
        self.selector.register(watch, selectors.EVENT_READ)

    def _reap(self, watch: int) -> None:
        pid, job = self.running.pop(watch)
        self.selector.unregister(watch)
        os.close(watch)
        _, status = os.waitpid(pid, 0)
        os.write(self.replies, f"{os.waitstatus_to_exitcode(status)} {job}\n".encode())

    def _stop(self) -> None:
        for pid, _ in self.running.values():
            os.kill(pid, 9)


def main(packages: str, most: str, folder: str) -> None:
    """Serves jobs; `packages` is where Triton lies, `folder` one to warm up in."""
    sys.path.append(packages)
    # Triton prints, and so do its tools: only replies go to the stdout that we were given.
    replies = os.dup(1)
    os.dup2(2, 1)
    _warm(Path(folder))
    Server(int(most), replies).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
