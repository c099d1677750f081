"""The plugin by which a test fails where a module that it made was not as `round_trips` says.

    make test PYTEST_ARGS=--round-trips=all

takes each text there and back, of processes that tests start too, and each region through the
passes for a GPU as well; the suite without it the text of those modules that hold something which
no module before held in the same process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from round_trips import FOLDER, Watch, watch_passes

NONE, NEW, ALL = "none", "new", "all"
INSIDE = f"--round-trips={NONE}"
"""The option for a test that runs others in a process: what the suite looks at in its own processes
is not looked at again there, and with `all` every process is watched anyway."""
BREAKS_IR = "breaks_ir"
"""The mark of tests that break modules on purpose."""
GPU, RANDOM_STATE = "cuda:0", (2,)
COUNTS = "round_trips"
"""What a process of tests sends to the one that shows the summary."""


def watch_tests(config: pytest.Config, mode: str) -> None:
    """Begins to watch, before tests are collected. With `all` every pass runs, since nothing comes
    from a cache."""
    runs_tests = hasattr(config, "workerinput") or not config.getoption("numprocesses", None)
    folder = None
    if mode == ALL and runs_tests:
        made = TemporaryDirectory(prefix="round-trips-")
        config.add_cleanup(made.cleanup)
        folder = Path(made.name) / "notes"
        folder.mkdir()
        home = Path(__file__).parent
        paths = [str(home / "watched"), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["OSTINATO_CACHE"] = str(Path(made.name) / "cache")
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        os.environ[FOLDER] = str(folder)
    if mode != NONE:
        plugin = WatchedTests(config, folder)
        watch_passes(plugin.watch)
        if plugin.watch.every:
            _take_regions_to_a_gpu()
        config.pluginmanager.register(plugin, "watched_tests")


def _take_regions_to_a_gpu() -> None:
    """Each region that is compiled for a CPU goes through the passes for a GPU first."""
    from ostinato.compiler import built, lowered, narrowing, passed
    from ostinato.compiler.check import blame
    from ostinato.compiler.sizes import family, texts

    whole, narrowed = passed.run_all_passes, passed.run_narrowed

    def on_gpu(run: Any, region: Any, options: dict[str, Any]) -> None:
        """There numbers and random states lie in the CPU's memory."""
        if region.device == "cpu":
            shapes = [tuple(region.values[v][2]) for v in region.inputs]
            hosted = [shape in ((), RANDOM_STATE) for shape in shapes]
            kept = {k: v for k, v in options.items() if k in ("symbols", "reuse")}
            run(replace(region, device=GPU, on_host=hosted), **kept)

    def both(region: Any, dump: Any = None, symbols: Any = (), **more: Any) -> Any:
        on_gpu(whole, region, {"symbols": symbols, **more})
        return whole(region, dump, symbols, **more)

    def both_narrowed(region: Any, narrow: Any, *dump: Any, **more: Any) -> Any:
        on_gpu(lambda r, **kept: narrowed(r, passed.Narrow(narrow.came), **kept), region, more)
        return narrowed(region, narrow, *dump, **more)

    homes: list[Any] = [passed, built, lowered, narrowing, blame, family, texts]
    for home in homes:
        home.run_all_passes = both
        home.run_narrowed = both_narrowed


class WatchedTests:
    """The plugin. `folder` is where processes note what they see, where they are watched."""

    def __init__(self, config: pytest.Config, folder: Path | None) -> None:
        self.watch = Watch(folder is not None)
        self._config, self._folder = config, folder
        self._elsewhere = [0, 0]  # seen and looked at in other processes

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """A test fails by what was seen from its beginning to the end of its fixtures."""
        yield
        problems = [*self.watch.taken(), *self.noted()]
        if problems and item.get_closest_marker(BREAKS_IR) is None:
            pytest.fail("\n".join(problems), pytrace=False)

    def noted(self) -> Iterator[str]:
        """The problems that processes noted since this was asked last."""
        for file in () if self._folder is None else self._folder.glob("*.notes"):
            taken = file.rename(file.with_suffix(".taken"))
            for line in taken.read_text().splitlines():
                looked_at, problems = json.loads(line)
                self._add(1, looked_at)
                yield from problems

    def _add(self, seen: int, looked_at: int) -> None:
        self._elsewhere = [self._elsewhere[0] + seen, self._elsewhere[1] + looked_at]

    def counts(self) -> tuple[int, int]:
        """How many modules were seen, and how many texts looked at."""
        return self.watch.seen + self._elsewhere[0], self.watch.looked_at + self._elsewhere[1]

    def pytest_sessionfinish(self) -> None:
        """What this process counted goes to the one that started it."""
        if output := getattr(self._config, "workeroutput", None):
            output[COUNTS] = self.counts()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A process of tests has ended; one that crashed sent nothing."""
        self._add(*getattr(node, "workeroutput", {}).get(COUNTS, (0, 0)))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """So that a run which looked at nothing is seen to."""
        seen, looked_at = self.counts()
        terminalreporter.write_line(f"round trips: {looked_at} texts, of {seen} modules seen")
