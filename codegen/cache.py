"""What was compiled, on disk: no pickle, atomic writes, digests checked, safe across processes.

An entry is a file named by its key: a line that names the format, a line with the SHA-256 of the
key and all that follows, a line with the size of the JSON, the JSON, and bytes of code.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import warnings
from contextlib import suppress
from functools import cache as memoize
from pathlib import Path
from typing import Any

from . import ownership

DIRECTORY = "OSTINATO_CACHE"
"""The environment variable: where entries lie; `0` turns the cache off."""

_MAGIC = b"ostinato-entry-2\n"
_HEAD_SIZE = len(_MAGIC) + 2 * hashlib.sha256().digest_size + 1

_UNFINISHED = ".ostinato-unfinished"
"""How the names of files end that are being written."""

_ABANDONED = 3600.0
"""The age in seconds at which an unfinished file has no writer any more."""


def directory() -> Path | None:
    """Where entries lie, None where the cache is off."""
    given = os.environ.get(DIRECTORY)
    if given == "0":
        return None
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ostinato"


@memoize
def _toolchain() -> str:
    """What turns a trace into a Program: our compiler's sources, tool versions, the machine."""
    from importlib.metadata import version

    digest = hashlib.sha256(_sources("ir", "passes", "codegen", "compiler").encode())
    for package in ("llvmlite", "xdsl"):
        digest.update(version(package).encode())
    digest.update(_processor())
    return digest.hexdigest()


@memoize
def _sources(*folders: str) -> str:
    digest = hashlib.sha256()
    root = Path(__file__).parent.parent
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _processor() -> bytes:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return b""
    kept = [line for line in text.splitlines() if line.startswith(("flags", "model name"))]
    return "\n".join(kept[:2]).encode()


def entry_name(text: str) -> str:
    """The name of the entry that `text` decides; entries of another format have other names."""
    return hashlib.sha256(_MAGIC + text.encode()).hexdigest()


def key_of(description: str) -> str:
    """The name of the entry for what `description` says, on this machine, with these tools."""
    return entry_name(f"{_toolchain()}\n{description}")


def derivation_key(description: str) -> str:
    """The name of the entry for a derived Program, which only the sources of `ir` decide."""
    return entry_name(f"{_sources('ir')}\n{description}")


def measurement_key(description: str) -> str:
    """The name of the entry for what was measured; no source of ours decides it."""
    return entry_name(f"measured\n{description}")


def load(key: str) -> tuple[dict[str, Any], bytes] | None:
    """The Program of an entry and its machine code; None where there is none or it is damaged."""
    folder = _private_directory()
    if folder is None:
        return None
    try:
        content = ownership.read_own(folder / key)
    except FileNotFoundError:
        return None
    except OSError as error:
        if os.path.lexists(folder / key):
            discard(key, error.strerror or str(error))
        return None
    body = content[_HEAD_SIZE:]
    if content[:_HEAD_SIZE] != _head(key, body):
        discard(key, "its digest does not fit")
        return None
    size, _, rest = body.partition(b"\n")
    try:
        length = int(size)
        return json.loads(rest[:length]), rest[length:]
    except ValueError:
        discard(key, "another version wrote it")
        return None


def discard(key: str, reason: str) -> None:
    """Remove a bad entry and say so; it is built again."""
    folder = directory()
    assert folder is not None
    # Where the folder is read-only, the entry stays and is refused again.
    with suppress(OSError):
        (folder / key).unlink()
    warnings.warn(f"the cache entry {folder / key} is rebuilt: {reason}", stacklevel=3)


def store(key: str, program: dict[str, Any], code: bytes) -> None:
    """Write an entry; a directory that cannot be written is reported once and then left alone."""
    folder = _private_directory()
    if folder is None:
        return
    text = json.dumps(program).encode()
    body = str(len(text)).encode() + b"\n" + text + code
    try:
        _make_private(folder)
        _remove_abandoned(folder)
        _write(folder, key, _head(key, body) + body)
    except OSError as error:
        _warn_once(f"compiled Programs are not cached: {error}; set {DIRECTORY} to a folder that "
                   "can be written, or to 0")  # fmt: skip


def _head(key: str, body: bytes) -> bytes:
    """What an entry starts with; an entry under the name of another has another head."""
    digest = hashlib.sha256(key.encode() + b"\n" + body).hexdigest()
    return _MAGIC + digest.encode() + b"\n"


def _private_directory() -> Path | None:
    """Where entries lie. None where the cache is off, and where others could leave entries for us
    to run, which is said once."""
    folder = directory()
    if folder is None or (fault := ownership.fault_of_folder(folder)) is None:
        return folder
    _warn_once(f"the cache {folder} is not used: {fault}; set {DIRECTORY} to a folder that "
               "only you can write, or to 0")  # fmt: skip
    return None


def _make_private(folder: Path) -> None:
    """Make `folder` and what is missing above it, whatever the umask says."""
    if not folder.exists():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _write(folder: Path, key: str, content: bytes) -> None:
    """Others see the whole file or none of it, whenever this process ends."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{key[:8]}.", suffix=_UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, folder / key)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


@memoize
def _remove_abandoned(folder: Path) -> None:
    """Once a process, remove what writers left that were killed."""
    oldest = time.time() - _ABANDONED
    for path in [folder / name for name in os.listdir(folder) if name.endswith(_UNFINISHED)]:
        # Another process may do the same.
        with suppress(OSError):
            if path.lstat().st_mtime < oldest:
                path.unlink()


@memoize
def _warn_once(text: str) -> None:
    warnings.warn(text, stacklevel=4)
