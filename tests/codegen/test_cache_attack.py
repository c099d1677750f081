"""The cache under attack: killed writers, flipped bits, two writers, folders that others can write.

Results are compared with closed forms, entries with digests computed here.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ostinato as ot
from cache_rounds import power, wrong
from ostinato.codegen import cache, derived, products
from ostinato.codegen.triton import build as triton_build
from ostinato.codegen.triton.client import Made
from ostinato.codegen.triton.kernel import Launch, TritonKernel
from ostinato.ir.dtypes import float32

SCRIPT = Path(__file__).with_name("cache_rounds.py")
PROGRAM, CODE = {"slots": 3}, b"code"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where entries lie; what is done once in a process was not done yet."""
    monkeypatch.setenv(cache.DIRECTORY, str(tmp_path))
    for once in (cache._warn_once, cache._remove_abandoned):
        once.cache_clear()
    return tmp_path


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs `cache_rounds` over a cache in `folder`, in which all warnings fail
    that are not recorded."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", SCRIPT, *map(str, arguments)],
        env=os.environ | {cache.DIRECTORY: str(folder)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def replies(process: subprocess.Popen[str]) -> list[dict[str, list[str]]]:
    """What a process printed, once it ended well."""
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def is_whole(entry: Path) -> bool:
    """Whether the digest in an entry is that of its name and its content."""
    magic, digest, body = entry.read_bytes().split(b"\n", 2)
    found = hashlib.sha256(entry.name.encode() + b"\n" + body).hexdigest()
    return (magic, digest.decode()) == (b"ostinato-entry-2", found)


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def unfinished(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.startswith("."))


def test_two_processes_compile_the_same_at_once(tmp_path: Path) -> None:
    both, alone = tmp_path / "both", tmp_path / "alone"
    processes = [start(f, "check", 3, 8) for f in (both, both, alone)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:  # all have imported what they need
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        assert replies(process) == [{"wrong": [], "said": []}]
    assert [e.name for e in entries(both)] == [e.name for e in entries(alone)]
    assert len(entries(both)) > 10 and all(map(is_whole, entries(both)))
    assert unfinished(both) == []


def test_kill_at_50_random_moments(folder: Path) -> None:
    found = replies(start(folder, "rounds", 4, 25, 25))
    assert found == 50 * [{"wrong": [], "said": []}]
    assert len(entries(folder)) >= 50 * 2 and all(map(is_whole, entries(folder)))
    left = unfinished(folder)
    assert left, "no moment fell between the start and the end of a file"
    for path in left:
        os.utime(path, (0, time.time() - 2 * cache._ABANDONED))
    (young := folder / f".another{cache._UNFINISHED}").touch()
    cache.store("key", PROGRAM, CODE)
    assert unfinished(folder) == [young]


def test_a_careless_writer_would_be_noticed(folder: Path) -> None:
    """Entries that are written in place, which ours are not, are damaged by the same moments."""
    found = replies(start(folder, "careless", 4, 0, 10))
    assert [reply["wrong"] for reply in found] == 10 * [[]]
    said = [text for reply in found for text in reply["said"]]
    assert said and all(text.endswith("is rebuilt: its digest does not fit") for text in said)


Make = Callable[[], tuple[bool, Any]]
"""Gives whether what it returns was made, not loaded, and the value."""


def region(_: pytest.MonkeyPatch) -> Make:
    def make() -> tuple[bool, Any]:
        x = ot.tensor([0.5, 2.0], requires_grad=True)
        compiled = power(2)
        y = compiled(x)
        y.backward()
        made = "loaded from the cache" not in str(compiled.explain())
        return made, (y.item(), x.grad.tolist()) == (8.125, [0.75, 12.0])

    return make


VECTOR = [(float32, 1, 0, False)]
TAPE = ([("exp", VECTOR, VECTOR, [], [(-1, 0, -2)], [(3, False)], 0, float32)], 0, [])
CALL = ("gradient", "exp", VECTOR, VECTOR, [], [True], [True])


def call(_: pytest.MonkeyPatch) -> Make:
    return lambda: (derived.program_of(*CALL)[1], True)


def tape(_: pytest.MonkeyPatch) -> Make:
    return lambda: (derived.tape_program_of(*TAPE)[1], True)


def cubin(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Kernels of a GPU; the compile server is a stand-in."""
    about = {"symbol": "k", "warps": 4, "shared": 0, "global_scratch": 0, "profile_scratch": 0}
    asked: list[Any] = []

    def compile_all(jobs: Any) -> list[Made]:
        asked.extend(jobs)
        return [Made(b"ELF" * 50, about) for _ in jobs]

    monkeypatch.setattr(triton_build.client, "compile_all", compile_all)
    monkeypatch.setattr(triton_build, "_tools", lambda: "")
    found = triton_build.Resources(parameters=2, registers=8, local_bytes=0)
    monkeypatch.setattr(triton_build, "resources", lambda _: found)

    def make() -> tuple[bool, Any]:
        asked.clear()
        launch = Launch(parameters=(), programs=1, num_warps=4, num_stages=1)
        (built,) = triton_build.build([TritonKernel("k", "source", launch)], 90)
        return bool(asked), (built.cubin, built.warps)

    return make


def choice(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Which algorithm a product of matrices runs by; the device is a stand-in."""
    device = SimpleNamespace(cuda_properties=lambda _: {"name": "x"}, cublaslt_version=lambda: 1)
    monkeypatch.setattr(products, "_C", device)
    monkeypatch.delenv(products.TUNE, raising=False)

    def make() -> tuple[bool, Any]:
        measured = (bytes(range(64)), 1024, 0.25, 0.5)
        used: list[tuple[bool, Any]] = []

        def choose(recall: Any, keep: Any) -> None:
            if (found := recall("64x64")) is None:
                keep("64x64", measured)
            used.append((found is None, found or measured))

        products.choose_products(SimpleNamespace(choose_products=choose), "cuda")
        return used[0]

    return make


KINDS = {"region": region, "call": call, "tape": tape, "cubin": cubin, "choice": choice}


def places(kind: str, size: int) -> list[tuple[int, int]]:
    """Bytes and bits of a file to flip: of magic, digest and length, and random ones."""
    choose = random.Random(kind)
    often = 1 if kind == "region" else 6
    head = [choose.randrange(100) for _ in range(10 * often)]
    body = [choose.randrange(size) for _ in range(25 * often)]
    return [(at, choose.randrange(8)) for at in (*head, *body, size - 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_said_and_does_no_harm(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = KINDS[kind](monkeypatch)
    made, value = make()
    assert made and value and make() == (False, value)
    for entry in entries(folder):
        whole = entry.read_bytes()
        for at, bit in places(kind, len(whole)):
            entry.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            with pytest.warns(UserWarning, match=f"{entry} is rebuilt: its digest does not fit"):
                assert make()[1] == value
            assert entry.read_bytes() == whole
    assert make() == (False, value)


def test_an_entry_under_the_name_of_another_is_refused(folder: Path) -> None:
    cache.store("one", PROGRAM, CODE)
    cache.store("two", PROGRAM, b"other")
    (folder / "one").rename(folder / "two")
    with pytest.warns(UserWarning, match="two is rebuilt: its digest does not fit"):
        assert cache.load("two") is None


def stored(place: Path, mode: int = 0o700) -> Path:
    """A cache with an entry in it, which gets `mode` afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.DIRECTORY, str(place))
        cache.store("key", PROGRAM, CODE)
        assert cache.load("key") == (PROGRAM, CODE)
    place.chmod(mode)
    return place


def linked(link: Path, target: Path) -> Path:
    link.symlink_to(target)
    return link


def below(top: Path, *names: str, mode: int, empty: bool = False) -> Path:
    """A cache some levels below `top`, which gets `mode`."""
    place = top.joinpath(*names)
    if empty:
        top.mkdir()
    else:
        stored(place)
    top.chmod(mode)
    return place


def open_link(place: Path) -> Path:
    """A link that others can replace, to a folder that they can not."""
    link = below(place / "a", "link", mode=0o777, empty=True)
    return linked(link, stored(place / "own"))


# What is made of a folder; the part of it that is at fault, and its mode.
OPEN: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "group": (lambda p: stored(p / "a", 0o770), "a", "770"),
    "others": (lambda p: stored(p / "a", 0o702), "a", "702"),
    "sticky": (lambda p: stored(p / "a", 0o1777), "a", "1777"),
    "link": (lambda p: linked(p / "link", stored(p / "a", 0o777)), "a", "777"),
    "parent": (lambda p: below(p / "a", "b", mode=0o777), "a", "777"),
    "far above": (lambda p: below(p / "a", "b", "c", "d", mode=0o730), "a", "730"),
    "not there": (lambda p: below(p / "a", "b", mode=0o777, empty=True), "a", "777"),
    "link above": (lambda p: linked(p / "link", below(p / "a", "b", mode=0o777)), "a", "777"),
    "place of a link": (open_link, "a", "777"),
}


@pytest.mark.parametrize("name", OPEN)
def test_a_folder_that_others_can_write_is_refused(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, fault, mode = OPEN[name]
    given = make(folder)
    before = sorted(folder.rglob("*"))
    monkeypatch.setenv(cache.DIRECTORY, str(given))
    with pytest.warns(UserWarning) as said:
        assert cache.load("key") is None
        assert wrong(3) == []
    assert [str(w.message) for w in said] == [
        f"the cache {given} is not used: {folder / fault} can be written by others (mode {mode}); "
        "set OSTINATO_CACHE to a folder that only you can write, or to 0"
    ]
    assert sorted(folder.rglob("*")) == before


ANOTHER = {
    "a": f"belongs to user 4242, not to user {os.geteuid()};",
    "above": "belongs to user 4242, who can replace what lies in it;",
}


@pytest.mark.parametrize("name", ANOTHER)
def test_a_folder_of_another_user_is_refused(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stored(folder / "above" / "a")
    real = Path.stat

    def stat(path: Path, **options: Any) -> Any:
        found = real(path, **options)
        return with_owner(found, 4242) if path.name == name else found

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setenv(cache.DIRECTORY, str(given))
    with pytest.warns(UserWarning, match=f"is not used: .*/{name} {ANOTHER[name]}"):
        assert cache.load("key") is None
    assert wrong(3) == []


def with_owner(found: os.stat_result, user: int) -> os.stat_result:
    return os.stat_result([user if i == 4 else field for i, field in enumerate(found)])


# Folders that only we can write.
PRIVATE: dict[str, Callable[[Path], Path]] = {
    "readable": lambda p: stored(p / "a", 0o755),
    "sticky parent": lambda p: below(p / "a", "b", mode=0o1777),
    "link": lambda p: linked(p / "link", stored(p / "a")),
}


@pytest.mark.parametrize("name", PRIVATE)
def test_a_folder_of_ours_is_used(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.DIRECTORY, str(PRIVATE[name](folder)))
    assert cache.load("key") == (PROGRAM, CODE)


def test_what_is_made_is_private_whatever_the_umask(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.DIRECTORY, str(folder / "a" / "b"))
    before = os.umask(0)
    try:
        cache.store("key", PROGRAM, CODE)
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in sorted(folder.rglob("*"))]
    assert modes == [0o700, 0o700, 0o600]
    assert cache.load("key") == (PROGRAM, CODE)


def owned_by_another(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda handle: with_owner(real(handle), 4242))


def a_link(entry: Path, _: pytest.MonkeyPatch) -> None:
    entry.rename(entry.with_name("elsewhere"))
    entry.symlink_to("elsewhere")


def a_pipe(entry: Path, _: pytest.MonkeyPatch) -> None:
    entry.unlink()
    os.mkfifo(entry, 0o600)


FOREIGN: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], str]] = {
    "of another": (owned_by_another, f"it belongs to user 4242, not to user {os.geteuid()}"),
    "open": (lambda e, _: e.chmod(0o606), r"it can be written by others \(mode 606\)"),
    "link": (a_link, "Too many levels of symbolic links"),
    "pipe": (a_pipe, "it is no regular file"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_is_not_ours_alone_is_not_loaded(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, reason = FOREIGN[name]
    cache.store("key", PROGRAM, CODE)
    with monkeypatch.context() as patch:
        change(folder / "key", patch)
        with pytest.warns(UserWarning, match=f"{folder / 'key'} is rebuilt: {reason}$"):
            assert cache.load("key") is None
    assert not os.path.lexists(folder / "key")
    cache.store("key", PROGRAM, CODE)
    assert cache.load("key") == (PROGRAM, CODE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away; others stand in above")
def test_a_file_that_was_given_away_is_not_loaded(folder: Path) -> None:
    cache.store("key", PROGRAM, CODE)
    os.chown(folder / "key", 4242, -1)
    with pytest.warns(UserWarning, match="is rebuilt: it belongs to user 4242"):
        assert cache.load("key") is None
