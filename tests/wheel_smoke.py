"""Uses an installed wheel as a stranger would: no compiler, no torch, nothing of this tree."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

MAX_MEGABYTES = 400


def installed_megabytes() -> int:
    """Disk space of the package with all it needs, leaving out pip, which venv brought."""
    packages = Path(sys.prefix).rglob("site-packages/*")
    files = (f for p in packages if not p.name.startswith("pip") for f in [p, *p.rglob("*")])
    return sum(f.lstat().st_blocks * 512 for f in files) // 10**6


def main() -> None:
    assert find_spec("torch") is None
    assert not [name for name in ("gcc", "g++", "cc", "clang") if shutil.which(name)]
    import ostinato

    root = Path(ostinato.__file__).parent
    assert root.is_relative_to(sys.prefix)
    assert not [path for path in root.rglob("*") if path.suffix in {".cpp", ".hpp"}]
    size = installed_megabytes()
    assert size <= MAX_MEGABYTES, f"{size} MB on disk; at most {MAX_MEGABYTES} were promised"
    print(f"ostinato {ostinato.__version__}: the wheel works, {size} MB with all it needs")


if __name__ == "__main__":
    main()
