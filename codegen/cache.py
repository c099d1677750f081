"""Compiled Programs on disk: no pickle, atomic writes, digests checked, safe across processes."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from contextlib import suppress
from functools import cache as memoize
from pathlib import Path
from typing import Any

DIRECTORY = "OSTINATO_CACHE"
"""The environment variable: where entries lie; `0` turns the cache off."""

_MAGIC = b"ostinato-program-1\n"


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

    digest = hashlib.sha256(_sources("ir", "passes", "codegen").encode())
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


def key_of(description: str) -> str:
    """The name of the entry for what `description` says, on this machine, with these tools."""
    return hashlib.sha256(f"{_toolchain()}\n{description}".encode()).hexdigest()


def derivation_key(description: str) -> str:
    """The name of the entry for a derived Program, which only the sources of `ir` decide."""
    return hashlib.sha256(f"{_sources('ir')}\n{description}".encode()).hexdigest()


def measurement_key(description: str) -> str:
    """The name of the entry for what was measured; no source of ours decides it."""
    return hashlib.sha256(f"measured\n{description}".encode()).hexdigest()


def load(key: str) -> tuple[dict[str, Any], bytes] | None:
    """The Program of an entry and its machine code; None where there is none or it is damaged."""
    folder = directory()
    if folder is None:
        return None
    try:
        content = (folder / key).read_bytes()
    except OSError:
        return None
    digest, _, body = content.removeprefix(_MAGIC).partition(b"\n")
    if not content.startswith(_MAGIC) or hashlib.sha256(body).hexdigest().encode() != digest:
        discard(key, "its digest does not fit")
        return None
    size, _, rest = body.partition(b"\n")
    length = int(size)
    return json.loads(rest[:length]), rest[length:]


def discard(key: str, reason: str) -> None:
    """Remove a bad entry and say so; it is built again."""
    folder = directory()
    assert folder is not None
    warnings.warn(f"the cache entry {folder / key} is rebuilt: {reason}", stacklevel=3)
    # Where the folder is read-only, the entry stays and is refused again.
    with suppress(OSError):
        (folder / key).unlink()


def store(key: str, program: dict[str, Any], code: bytes) -> None:
    """Write an entry; a directory that cannot be written is reported once and then left alone."""
    folder = directory()
    if folder is None:
        return
    text = json.dumps(program).encode()
    body = str(len(text)).encode() + b"\n" + text + code
    content = _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{key[:8]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(name, folder / key)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        _warn_once(f"compiled Programs are not cached: {error}; set {DIRECTORY} to a folder that "
                   "can be written, or to 0")  # fmt: skip


@memoize
def _warn_once(text: str) -> None:
    warnings.warn(text, stacklevel=4)
