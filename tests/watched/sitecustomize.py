"""Python imports this first in each process that tests start with `--round-trips=all`: passes are
watched there (see `round_trips`) from when they are imported."""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

PASSES = "ostinato.passes.pipeline"


class Finder(MetaPathFinder):
    """Finds the module of passes as others do, and watches what they do once it is loaded."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """The module of passes, no other."""
        if fullname != PASSES:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        loader: Any = spec and spec.loader
        execute = loader.exec_module

        def executed(module: ModuleType) -> None:
            execute(module)
            watch()

        loader.exec_module = executed
        return spec


def watch() -> None:
    """Watches passes, which have just been loaded."""
    sys.path.append(str(Path(__file__).parents[1]))
    from round_trips import FOLDER, NotingWatch, watch_passes

    watch_passes(NotingWatch(Path(os.environ[FOLDER])))


sys.meta_path.insert(0, Finder())
