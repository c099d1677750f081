"""Which algorithm the products of compiled Programs run by: measured once, and then remembered."""

from __future__ import annotations

import os
import re
from itertools import count
from typing import Any

import pytest

from ostinato.codegen import cache
from ostinato.codegen.products import TUNE, Choice, choose_products
from ostinato.runtime import _C

ON_STAND_IN = "OSTINATO_LIBCUBLASLT" in os.environ
SIZES = count(72, 8)  # no test finds what another chose


def tensor(
    space: str, sizes: list[int], index: int = 0, transposed: bool = False
) -> dict[str, Any]:
    rows, columns = sizes
    return {
        "space": space, "index": index, "offset": 0, "dtype": "float32", "sizes": sizes,
        "strides": [1, rows] if transposed else [columns, 1], "start": 0,
    }  # fmt: skip


def program_of(n: int) -> Any:
    """x (64, n) by y (n, 32), and the same by y as it lies transposed."""
    shaped = {"dtype": "float32", "number": False, "host": False}
    call: dict[str, Any] = {
        "kind": "call", "op": "matmul", "attrs": [], "scratch": [], "host": False, "lines": [],
    }  # fmt: skip
    spec = {
        "arena": 0, "host": 0, "constants": [], "kernels": [],
        "inputs": [shaped | {"sizes": [64, n]}, shaped | {"sizes": [n, 32]}],
        "outputs": [
            {"dtype": "float32", "sizes": [64, 32], "writes": None, "input": None, "host": False}
            for _ in range(2)
        ],
        "tensors": [
            tensor("input", [64, n]), tensor("input", [n, 32], 1),
            tensor("input", [n, 32], 1, transposed=True),
            tensor("output", [64, 32]), tensor("output", [64, 32], 1),
        ],
        "instructions": [
            call | {"operands": [0, 1], "results": [3]}, call | {"operands": [0, 2], "results": [4]}
        ],
    }  # fmt: skip
    return _C.CompiledProgram(spec, b"", "cuda", [])


class Shelf:
    """Keeps choices, and counts what it was asked."""

    def __init__(self) -> None:
        self.choices: dict[str, Choice] = {}
        self.asked = 0

    def recall(self, product: str) -> Choice | None:
        self.asked += 1
        return self.choices.get(product)

    def choose(self, n: int) -> None:
        program_of(n).choose_products(self.recall, self.choices.__setitem__)


def test_every_product_is_measured_once_in_a_process() -> None:
    shelf, n = Shelf(), next(SIZES)
    shelf.choose(n)
    assert len(shelf.choices) == 2
    for _, _, seconds, first in shelf.choices.values():
        assert 0 < seconds <= first
    shelf.choose(n)
    assert shelf.asked == 2


def chosen_elsewhere(m: int) -> Shelf:
    """Choices for the products of `program_of(m)` which this process has not seen."""
    shelf, n = Shelf(), next(SIZES)
    shelf.choose(n)
    shelf.choices = {re.sub(rf"\b{n}\b", str(m), p): c for p, c in shelf.choices.items()}
    shelf.asked = 0
    return shelf


def test_what_is_kept_is_not_measured() -> None:
    m = next(SIZES)
    shelf = chosen_elsewhere(m)
    before = dict(shelf.choices)
    shelf.choose(m)
    assert (shelf.asked, shelf.choices) == (2, before)


def test_a_choice_that_the_library_refuses_is_measured_again() -> None:
    m = next(SIZES)
    shelf = chosen_elsewhere(m)
    refused = b"\xff" * 64
    shelf.choices = dict.fromkeys(shelf.choices, (refused, 0, 1.0, 1.0))
    shelf.choose(m)
    assert len(shelf.choices) == 2
    assert all(algorithm != refused for algorithm, *_ in shelf.choices.values())


@pytest.mark.skipif(not ON_STAND_IN, reason="a GPU does not say which is fastest")
def test_the_fastest_that_runs_is_chosen() -> None:
    """Of 40, refused, 30, 20 and 25 ms; see tests/cuda_on_cpu/cublaslt.cpp."""
    shelf = Shelf()
    shelf.choose(next(SIZES))
    for algorithm, workspace, seconds, first in shelf.choices.values():
        assert (algorithm[0], workspace) == (3, 1024)
        assert (seconds, first) == (pytest.approx(2e-2), pytest.approx(4e-2))


def test_choices_lie_in_the_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    monkeypatch.setenv(TUNE, "0")
    n = next(SIZES)
    choose_products(program_of(n), "cuda")
    assert not list(tmp_path.iterdir())
    monkeypatch.delenv(TUNE)
    choose_products(program_of(n), "cuda")
    entries = [cache.load(p.name) for p in tmp_path.iterdir()]
    assert len(entries) == 2
    assert all(e is not None and f" {n} " in e[0]["product"] for e in entries)
