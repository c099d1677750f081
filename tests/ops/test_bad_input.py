"""Calls that no tensor can answer: each is an error that says what to do, and no crash."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ostinato as ot

X: Any = ot.ones(4)
W: Any = ot.ones(2, requires_grad=True)
AS_BYTES = np.frombuffer(b"abcd", "uint8")
FIELD = np.zeros(3, dtype=[("a", "float32"), ("b", "int8")])["a"]
HUGE = 1 << 62

ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "more bytes than 63 bits count": (
        lambda: ot.zeros(HUGE), ot.ShapeError,
        f"shape ({HUGE},) of float32 has too many bytes to be counted; give smaller sizes"),
    "more elements than 63 bits count": (
        lambda: X[:1].expand(HUGE, 4), ot.ShapeError,
        f"shape ({HUGE}, 4) has too many elements to be counted; give smaller sizes"),
    "strides that reach around memory": (
        lambda: ot.as_strided(X, (3,), (HUGE,)), IndexError,
        "as_strided: elements 0 to -9223372036854775808 of memory that has 4; "
        "give a size, stride and offset that stay inside"),
    "a view of a number": (
        lambda: ot.squeeze(1.5), TypeError,
        "squeeze: x is a number, which has no memory to view; give a tensor"),
    "numbers to stack": (
        lambda: ot.stack([1.0, 2.0]), TypeError,  # pyright: ignore[reportArgumentType]
        "unsqueeze: x is a number, which has no memory to view; give a tensor"),
    "the gradient of a function that returns a number": (
        lambda: ot.grad(lambda t: 3)(W), TypeError,
        "grad: the function returned a int; return a tensor"),
    "the gradient by a dictionary": (
        lambda: ot.grad(lambda t: t)({}), TypeError,
        "grad: the argument is a dict; give a tensor"),
    "a vjp of a function that returns a number": (
        lambda: ot.vjp(lambda t: 3, W), TypeError,
        "grad: the function returned a int; return a tensor"),
    "a gradient that is no tensor": (
        lambda: (W * 2).backward("a"), TypeError,  # pyright: ignore[reportArgumentType]
        "backward: the gradient is a str; give a tensor"),
    "an input that is no tensor": (
        lambda: ot.autograd.gradients((W * 2).sum(), [None]), TypeError,  # pyright: ignore
        "backward: an input is None; give a tensor"),
    "a list for an array": (
        lambda: ot.from_numpy([1]), TypeError,
        "from_numpy: a list came; give a NumPy array, or use tensor()"),
    "an array of complex numbers": (
        lambda: ot.from_numpy(np.zeros(2, "complex64")), ot.DTypeError,
        "from_numpy: dtype complex64 has no ostinato dtype; convert it with .astype(...)"),
    "an array of another byte order": (
        lambda: ot.from_numpy(np.zeros(2, ">f4")), ot.DTypeError,
        "from_numpy: dtype >f4 has no ostinato dtype; convert it with .astype(...)"),
    "a read-only array": (
        lambda: ot.from_numpy(AS_BYTES), ValueError,
        "from_numpy: the array is read-only; give its .copy()"),
    "a read-only array through DLPack": (
        lambda: ot.from_dlpack(AS_BYTES), ValueError,
        "from_numpy: the array is read-only; give its .copy()"),
    "an array of fields": (
        lambda: ot.from_numpy(FIELD), ValueError,
        "from_numpy: the array has elements between the places of such elements in memory; "
        "give its .copy()"),
    "DLPack of a number": (
        lambda: ot.from_dlpack(3), TypeError,
        "from_dlpack: a int came; give an object with __dlpack__"),
    "threads by a text": (
        lambda: ot.set_num_threads("2"), TypeError,  # pyright: ignore[reportArgumentType]
        "set_num_threads: a str came; give an int"),
    "a seed of 70 bits": (
        lambda: ot.manual_seed(1 << 70), ValueError,
        f"manual_seed: {1 << 70} came; give an int of 64 bits"),
    "a seed that is no int": (
        lambda: ot.manual_seed(None), TypeError,  # pyright: ignore[reportArgumentType]
        "manual_seed: a NoneType came; give an int"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_it_is_refused(name: str) -> None:
    call, kind, text = ERRORS[name]
    with pytest.raises(kind) as refusal:
        call()
    assert str(refusal.value) == text


def test_empty_shapes_may_have_huge_sizes() -> None:
    assert ot.zeros(0, 1 << 40, 1 << 40).shape == (0, 1 << 40, 1 << 40)


@pytest.mark.parametrize("array", [AS_BYTES, FIELD, np.arange(3, dtype=">f4")], ids=str)
def test_what_cannot_be_shared_is_copied(array: Any) -> None:
    for make in (ot.tensor, ot.as_tensor):
        made = make(array)
        np.testing.assert_array_equal(made.numpy(), array)
        made.add_(1)  # writes to memory of its own


def test_memory_of_a_file_that_is_only_read_stays_as_it_is(tmp_path: Path) -> None:
    np.ones(8, "float32").tofile(tmp_path / "data")
    mapped = np.memmap(tmp_path / "data", dtype="float32", mode="r")
    with pytest.raises(ValueError, match="read-only"):
        ot.from_numpy(mapped)
    assert ot.as_tensor(mapped).add_(1).tolist() == [2.0] * 8


@pytest.mark.parametrize("package", ["llvmlite", "xdsl"])
def test_a_missing_compiler_is_named(package: str) -> None:
    code = f"""
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "{package}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import ostinato as ot
double = lambda x: x * 2
try:
    ot.compile(double)(ot.ones(2))
except ot.CompileError as error:
    print(error)
print(double(ot.ones(2)).tolist())
"""
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True,
        env=os.environ | {"OSTINATO_CACHE": "0"},
    ).stdout  # fmt: skip
    assert shown.splitlines() == [
        f"compile: the package {package} is missing; `pip install {package}` brings it, and "
        "without ot.compile the function runs as it is",
        "[2.0, 2.0]",
    ]


def test_stages_that_cannot_be_written_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OSTINATO_DUMP", str(tmp_path / "file"))
    with pytest.warns(UserWarning) as said:
        assert ot.compile(lambda x: x * 2)(ot.ones(2)).tolist() == [2.0, 2.0]
    text = str(said[0].message)
    assert text.startswith("the stages of <lambda> are not written: [Errno 20] Not a directory")
    assert text.endswith("; set OSTINATO_DUMP to a folder that can be written")
    assert said[0].filename == __file__
