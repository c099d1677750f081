"""Uses an installed wheel as a stranger would: no compiler, no torch, nothing of this tree."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

MAX_MEGABYTES = 400


def installed_megabytes() -> int:
    """Disk space of the package with all it needs, leaving out pip, which venv brought."""
    packages = Path(sys.prefix).rglob("site-packages/*")
    files = (f for p in packages if not p.name.startswith("pip") for f in [p, *p.rglob("*")])
    return sum(f.lstat().st_blocks * 512 for f in files) // 10**6


def train(ot: Any) -> None:
    """A regression that learns, step by step and compiled alike."""
    ot.manual_seed(0)
    x, solution = ot.randn(64, 4), ot.tensor([1.0, -2.0, 3.0, 0.5])
    target = x @ solution

    def step(weight: Any) -> Any:
        loss = ((x @ weight - target) ** 2).mean()
        loss.backward()
        with ot.no_grad():
            weight -= 0.1 * weight.grad
        weight.grad = None
        return loss

    losses: list[list[float]] = []
    for run in (step, ot.compile(step)):
        weight = ot.zeros(4, requires_grad=True)
        losses.append([run(weight).item() for _ in range(50)])
    eager, compiled = losses
    assert eager[-1] < 0.01 * eager[0], eager
    assert all(abs(a - b) <= 1e-5 * a + 1e-9 for a, b in zip(eager, compiled, strict=True))


def dump_and_view(ot: Any) -> None:
    """What was dumped becomes a page, of files that the wheel has to bring."""
    from ostinato.view.page import page_of

    with TemporaryDirectory() as folder, patch.dict(os.environ, {"OSTINATO_DUMP": folder}):
        ot.compile(lambda x: (x * 2).exp())(ot.ones(3))
        page = page_of(Path(folder))
    assert all(part in page for part in ("ot.exp", "class Region {", "--ground:"))


def main() -> None:
    assert find_spec("torch") is None
    assert not [name for name in ("gcc", "g++", "cc", "clang") if shutil.which(name)]
    import ostinato

    root = Path(ostinato.__file__).parent
    assert root.is_relative_to(sys.prefix)
    assert not [path for path in root.rglob("*") if path.suffix in {".cpp", ".hpp"}]
    train(ostinato)
    dump_and_view(ostinato)
    size = installed_megabytes()
    assert size <= MAX_MEGABYTES, f"{size} MB on disk; at most {MAX_MEGABYTES} were promised"
    print(f"ostinato {ostinato.__version__}: the wheel works, {size} MB with all it needs")


if __name__ == "__main__":
    main()
