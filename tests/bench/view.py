"""The viewer's page of the compiled minigpt step: how large it is, and how soon it is open.

The page is opened in a fresh headless Chromium each time, from the command to go there to the event
that says that all of it is loaded and the first step is shown.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from measure import Bar, options, report

sys.path.insert(0, str(Path(__file__).parents[1] / "inspection"))

MEGABYTES, SECONDS = 5, 2
FIRST_STEP = Path(__file__).with_name("first_step.py")
PARTS = "[...document.querySelectorAll('#steps li, #ir .row')].length"


def dumped(folder: Path) -> Path:
    """What a fresh process dumps of a minigpt step, as a page."""
    environment = os.environ | {"OSTINATO_DUMP": str(folder)}
    subprocess.run([sys.executable, str(FIRST_STEP), "ours"], env=environment, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    return folder / "view.html"


def open_seconds(program: str, page: Path) -> float:
    """From the command to open the page until it is there."""
    from browser import browser

    with browser(program) as tab:
        started = time.perf_counter()
        tab.open(page.as_uri())
        taken = time.perf_counter() - started
        assert tab.js(PARTS) > 100, tab.trouble
        return taken


@click.command(help=__doc__)
@options
@click.option("--rounds", default=5, show_default=True)
def main(rounds: int, **given: Any) -> None:
    from browser import find_browser
    from ostinato.view.page import page_of

    program = find_browser()
    if program is None:
        raise click.ClickException("no Chromium is installed; `apt-get install chromium` brings it")
    with TemporaryDirectory() as name:
        page = dumped(Path(name))
        started = time.perf_counter()
        page.write_text(page_of(page.parent), encoding="utf-8")
        making = time.perf_counter() - started
        size = page.stat().st_size / 1e6
        taken = [open_seconds(program, page) for _ in range(rounds)]
    rows = [
        ["megabytes", f"{size:.2f}"],
        ["s to make it", f"{making:.1f}"],
        ["s to open it, median", f"{median(taken):.2f}"],
        ["s to open it, slowest", f"{max(taken):.2f}"],
    ]
    bars = [Bar("megabytes", size, MEGABYTES), Bar("s to open the page", max(taken), SECONDS)]
    figures = {"megabytes": size, "seconds to make": making, "seconds to open": taken}
    report("the page of a minigpt step", ["figure", "value"], rows, bars, figures, **given)


if __name__ == "__main__":
    main()
