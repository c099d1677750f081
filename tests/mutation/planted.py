"""Plants errors, one at a time, and tells which of them the tests find.

    python tests/mutation/planted.py --all
    python tests/mutation/planted.py --family gradient --family shape --out planted.json

The errors are generated from the op table, the rewrites and the kernels; the checks are tests of
the suite. An error that none finds and that `planted_reasons.py` does not explain is a hole, which
ends in status 1.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

# The checks lie in the folders of what they check.
sys.path += [str(folder) for folder in Path(__file__).parents[1].iterdir() if folder.is_dir()]

import planted_gradients
import planted_kernels
import planted_plans
import planted_rewrites
import planted_shapes
from mutants import Mutant, NoErrorAtAll
from planted_reasons import REASONS

SOURCES = planted_gradients, planted_shapes, planted_rewrites, planted_kernels, planted_plans
SECONDS = 60
"""After which a check counts as hanging, which is a way of finding an error."""


@dataclass(frozen=True)
class Verdict:
    """What became of a planted error.

    `verdict` is `caught` where a check failed, `no error` where one showed that nothing is wrong,
    else `explained` or `survived`.
    """

    family: str
    name: str
    verdict: str
    by: str
    reason: str
    seconds: float


def mutants() -> list[Mutant]:
    """Every error that can be planted."""
    return [mutant for source in SOURCES for mutant in source.mutants()]


def sample(found: Sequence[Mutant], each: int, seed: int) -> list[Mutant]:
    """`each` errors of every family; which, depends on their names and the seed alone."""
    families: dict[str, list[Mutant]] = {}
    for mutant in found:
        families.setdefault(mutant.family, []).append(mutant)
    return [
        m
        for of in families.values()
        for m in sorted(of, key=lambda m: sha256(f"{seed} {m.name}".encode()).digest())[:each]
    ]


def tried(mutant: Mutant) -> Verdict:
    """Plants an error and runs its checks until one fails, which must pass without the error."""
    start = time.perf_counter()
    verdict, by, reason = "survived", "", ""
    for check in mutant.checks:
        with mutant.planted():
            failure = _failure(check)
        if failure is None:
            continue
        by = f"{_name(check)}: {type(failure).__name__}"
        if isinstance(failure, NoErrorAtAll):
            verdict, reason = "no error", str(failure)
            break
        if (always := _failure(check)) is not None:
            raise RuntimeError(f"{_name(check)} fails without {mutant.name}") from always
        verdict = "caught"
        break
    if verdict == "survived" and mutant.name in REASONS:
        verdict, reason = "explained", REASONS[mutant.name]
    seconds = round(time.perf_counter() - start, 3)
    return Verdict(mutant.family, mutant.name, verdict, by, reason, seconds)


def _failure(check: Callable[[], None]) -> BaseException | None:
    try:
        with _limited(), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check()
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # pytest's own failures are no Exceptions
        return failure
    return None


@contextmanager
def _limited() -> Generator[None]:
    """TimeoutError where the block takes longer than `SECONDS`."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"still running after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _name(check: Callable[[], None]) -> str:
    inner: Any = check.func if isinstance(check, partial) else check
    return f"{inner.__module__}.{inner.__name__}"


def unused_reasons(found: Iterable[Mutant], verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Reasons for errors that do not exist, or that a check finds."""
    names = {m.name for m in found}
    yield from (f"{name}: no such error" for name in REASONS if name not in names)
    for v in verdicts:
        if v.name in REASONS and v.verdict != "explained":
            yield f"{v.name}: {v.verdict}"


def _print(verdicts: Sequence[Verdict], console: Console) -> None:
    kinds = "caught", "no error", "explained", "survived"
    table = Table("family", "planted", *kinds, title="planted errors", title_justify="left")
    for family in dict.fromkeys(v.family for v in verdicts):
        of = [v.verdict for v in verdicts if v.family == family]
        table.add_row(family, str(len(of)), *(str(of.count(kind)) for kind in kinds))
    console.print(table)
    for v in verdicts:
        if v.verdict in ("explained", "survived"):
            console.print(f"{v.verdict}: {v.name}\n    {v.reason or 'no check finds it'}",
                          markup=False, highlight=False)  # fmt: skip


@click.command(help=__doc__)
@click.option("--all", "every", is_flag=True, help="Plant the errors of every family.")
@click.option("--family", "families", multiple=True, help="Plant those of this family.")
@click.option("--only", default="", help="Plant those whose name contains this text.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write JSON there.")
def main(every: bool, families: tuple[str, ...], only: str, out: Path | None) -> None:
    if not (every or families or only):
        raise click.UsageError("give --all, --family NAME or --only TEXT")
    found = mutants()
    chosen = [m for m in found if m.family in (families or (m.family,)) and only in m.name]
    console = Console(soft_wrap=True)
    verdicts = [tried(m) for m in track(chosen, "planting", console=Console(stderr=True))]
    _print(verdicts, console)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps([asdict(v) for v in verdicts], indent=1) + "\n")
    stale = list(unused_reasons(found, verdicts))
    for text in stale:
        console.print(f"reason without an error: {text}", markup=False)
    if stale or any(v.verdict == "survived" for v in verdicts):
        sys.exit(1)


if __name__ == "__main__":
    main()
