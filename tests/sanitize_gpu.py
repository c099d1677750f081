"""compute-sanitizer over the tests of a GPU, each tensor an allocation of the driver.

    python tests/sanitize_gpu.py [--tools memcheck,...] [--jobs N] [FILES]

Errors that are planted must be reported: a kernel that stores past its result, and an element that
is read before anything is stored there. (A missing edge of a graph is no error of a single kernel;
`OSTINATO_CHECK_GRAPH=1` and test_step_order.py find those.)
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import click

FOLDER = Path(__file__).parent
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
FILES = tuple(str(p.relative_to(FOLDER.parent)) for p in sorted(FOLDER.glob("gpu/test_*.py"))
              if p.name not in ("test_spine.py", "test_compiled.py"))  # fmt: skip

# A region whose plan gives an intermediate half of the memory that its kernel stores to.
STORE_PAST_THE_END = """
import ostinato as ot
from ostinato.runtime import _C
from ostinato.codegen.triton.container import records
from ostinato.compiler import lowered

real = lowered.program
def halved(spec, code, device, owner=None):
    for t in spec["tensors"]:
        if t["space"] == "arena":
            t["sizes"] = [t["sizes"][0] // 2, *t["sizes"][1:]]
    return _C.CompiledProgram(spec, code, device, records(code))
lowered.program = halved
x = ot.ones(512, 512, device="cuda")
f = ot.compile(lambda x: (x * 2 + 1) @ x)
f(x).cpu()
"""
READ_BEFORE_A_STORE = """
import ostinato as ot
(ot.empty(512, device="cuda") + 1).cpu()
"""
STEP = """
import sys
sys.path.insert(0, "examples")
from dataclasses import replace
import ostinato as ot
from models import REVERSE, LanguageModel
from ostinato import optim

config = replace(REVERSE, batch=4)
model = LanguageModel(config).to("cuda")
opt = optim.AdamW(model.parameters())
x, y = (t.to("cuda") for t in ot.randint(0, config.classes, (2, config.batch, config.length)))
@ot.compile
def step(x, y):
    loss = model(x, y)
    loss.backward()
    opt.step()
    opt.zero_grad()
    return loss.detach()
for _ in range(3):
    step(x, y).item()
"""
PLANTED = {"memcheck": STORE_PAST_THE_END, "initcheck": READ_BEFORE_A_STORE}
FOUND = 9
"""The status that compute-sanitizer ends with where it found something."""


def status(tool: str, *command: str) -> tuple[int, str]:
    """How a command ends under a tool, and the end of what it wrote."""
    # Children are compilers, which never touch a device; memcheck itself can crash among them.
    sanitizer = ["compute-sanitizer", "--tool", tool, "--target-processes", "application-only",
                 "--error-exitcode", str(FOUND)]  # fmt: skip
    environment = os.environ | {"OSTINATO_ALLOCATOR": "direct", "OSTINATO_TUNE": "0"}
    done = subprocess.run(
        [*sanitizer, sys.executable, *command],
        cwd=FOLDER.parent, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, (done.stdout + done.stderr)[-3000:]


@dataclass(frozen=True)
class Check:
    """One command under one tool, and the status it must end with."""

    tool: str
    name: str
    command: tuple[str, ...]
    expected: int = 0

    def run(self) -> tuple[bool, str]:
        """Whether it went as expected, and a line that says so or shows why not."""
        code, text = status(self.tool, *self.command)
        fine = code == self.expected
        passed = re.search(r"\d+ passed", text)
        verdict = ("reported" if self.expected else "clean") if fine else text
        if "pytest" in self.command:
            fine &= passed is not None
            verdict += f", {passed.group()}" if passed else ", but no test ran"
        return fine, f"{self.tool}: {self.name}: {verdict}"


def checks(tools: Iterable[str], files: Iterable[str]) -> Iterator[Check]:
    """The training step and each file under each tool, and what is planted for it."""
    for tool in tools:
        yield Check(tool, "a compiled training step", ("-c", STEP))
        for file in files:
            pytest = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", file)
            yield Check(tool, file, pytest)
        if tool in PLANTED:
            yield Check(tool, "planted", ("-c", PLANTED[tool]), FOUND)


@click.command(help=__doc__)
@click.option("--tools", default=",".join(TOOLS), show_default=True)
@click.option("--jobs", default=4, show_default=True, help="Processes at once on the device.")
@click.argument("files", nargs=-1)
def main(tools: str, jobs: int, files: tuple[str, ...]) -> None:
    failed = False
    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(c.run) for c in checks(tools.split(","), files or FILES)]
        for run in as_completed(runs):
            fine, line = run.result()
            failed |= not fine
            print(line, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
