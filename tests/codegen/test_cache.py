"""Entries on the disk: whatever happens to one, it is read whole or built again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ostinato.codegen import cache

PROGRAM, CODE = {"slots": 3, "name": "é"}, bytes(range(256))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where entries lie; warnings that are given once were not given yet."""
    monkeypatch.setenv(cache.DIRECTORY, str(tmp_path))
    cache._warn_once.cache_clear()
    return tmp_path


def test_what_is_stored_is_loaded(folder: Path) -> None:
    assert cache.load("key") is None
    cache.store("key", PROGRAM, CODE)
    assert cache.load("key") == (PROGRAM, CODE)
    assert [f.name for f in folder.iterdir()] == ["key"]


def refused(folder: Path, content: bytes, why: str = "its digest does not fit") -> None:
    """Asserts that an entry of that content is taken for none, removed, and can be stored again."""
    (folder / "key").write_bytes(content)
    with pytest.warns(UserWarning) as said:
        assert cache.load("key") is None
    assert [str(w.message) for w in said] == [f"the cache entry {folder / 'key'} is rebuilt: {why}"]
    assert not (folder / "key").exists()


def test_any_byte_that_is_flipped_is_noticed(folder: Path) -> None:
    cache.store("key", PROGRAM, CODE)
    whole = (folder / "key").read_bytes()
    for at in range(len(whole)):
        for bit in (0x01, 0x80):
            refused(folder, whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
    cache.store("key", PROGRAM, CODE)
    assert (folder / "key").read_bytes() == whole


def test_any_end_that_is_missing_is_noticed(folder: Path) -> None:
    cache.store("key", PROGRAM, CODE)
    whole = (folder / "key").read_bytes()
    for length in range(len(whole)):
        refused(folder, whole[:length])
    refused(folder, whole + b"\0")


@pytest.mark.parametrize("body", [b"", b"junk\n{}", b"4\njunk", b"2\n\xff\xff"])
def test_content_of_another_kind_under_its_digest_is_noticed(folder: Path, body: bytes) -> None:
    refused(folder, cache._head("key", body) + body, "another version wrote it")


def test_a_damaged_entry_that_cannot_be_removed_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (folder / "key").write_bytes(b"junk")
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.warns(UserWarning, match="is rebuilt: its digest does not fit"):
        assert cache.load("key") is None


KILLED = """
import os
from ostinato.codegen import cache
os.replace = lambda *_: os.kill(os.getpid(), 9)
cache.store("key", {"slots": 3}, b"code")
"""


def test_a_process_killed_while_it_writes_leaves_no_entry(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], env=os.environ, check=False)
    assert done.returncode == -9
    (left,) = folder.iterdir()
    assert left.name.startswith(".key.")
    assert cache.load("key") is None
    cache.store("key", PROGRAM, CODE)
    assert cache.load("key") == (PROGRAM, CODE)


def test_a_full_disk_is_said_once_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning) as said:
        cache.store("key", PROGRAM, CODE)
        cache.store("other", PROGRAM, CODE)
    assert [str(w.message) for w in said] == [
        "compiled Programs are not cached: [Errno 28] No space left on device; set "
        "OSTINATO_CACHE to a folder that can be written, or to 0"
    ]
    assert list(folder.iterdir()) == []
    assert cache.load("key") is None


def test_a_cache_that_is_off_holds_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.DIRECTORY, "0")
    cache.store("key", PROGRAM, CODE)
    assert cache.load("key") is None
    assert list(folder.iterdir()) == []


def test_entries_lie_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.DIRECTORY, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.directory() == Path("/somewhere/ostinato")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.directory() == Path.home() / ".cache" / "ostinato"
