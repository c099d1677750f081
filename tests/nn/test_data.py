"""Batches of data sets, and tensors in safetensors files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import ostinato as ot
from ostinato.checkpoint import (
    load_safetensors,
    read_safetensors,
    save_safetensors,
    write_atomically,
)
from ostinato.data import DataLoader, TensorDataset

ROWS = 7


class Squares:
    """A data set of plain Python."""

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> Any:
        return ot.full((2,), float(index)), index * index


def rows() -> TensorDataset:
    return TensorDataset(ot.arange(ROWS * 2).view(ROWS, 2), ot.arange(ROWS))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 8])
def test_batches_in_order_are_the_rows(batch_size: int, drop_last: bool) -> None:
    loader = DataLoader(rows(), batch_size, drop_last=drop_last)
    batches = list(loader)
    assert len(loader) == len(batches)
    kept = ROWS // batch_size * batch_size if drop_last else ROWS
    labels = [i for _, y in batches for i in y.tolist()]
    pairs = [row for x, _ in batches for row in x.tolist()]
    assert labels == list(range(kept))
    assert pairs == [[2 * i, 2 * i + 1] for i in range(kept)]
    assert all(len(y) == batch_size for _, y in batches[:-1])


def test_shuffled_batches_hold_each_row_once_in_a_new_order() -> None:
    loader = DataLoader(rows(), 3, shuffle=True, generator=ot.Generator(5))
    first, second = ([i for _, y in loader for i in y.tolist()] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert first != second
    again = DataLoader(rows(), 3, shuffle=True, generator=ot.Generator(5))
    assert [i for _, y in again for i in y.tolist()] == first


def test_samples_of_plain_python_are_stacked() -> None:
    batches = list(DataLoader(Squares(), 4))
    assert batches[1][0].tolist() == [[4.0, 4.0], [5.0, 5.0], [6.0, 6.0]]
    assert batches[1][1].tolist() == [16, 25, 36]


def test_own_collation() -> None:
    loader = DataLoader(rows(), 5, collate_fn=lambda samples: sum(int(y) for _, y in samples))
    assert list(loader) == [10, 11]


def test_one_sample() -> None:
    x, y = rows()[2]
    assert x.tolist() == [4, 5] and y.item() == 2


VALUES = [0.0, 1.0, -2.5, 3.0e4, 0.3]
DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
          "float64"]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_files_are_those_of_the_safetensors_library(dtype: str, tmp_path: Path) -> None:
    unsigned = [abs(v) % 200 for v in VALUES]
    theirs = torch.tensor(unsigned).to(getattr(torch, dtype)).reshape(5, 1)
    ours = ot.tensor(unsigned).to(getattr(ot, dtype)).view(5, 1)
    save_safetensors({"x": ours, "empty": ot.zeros(0, 3)}, tmp_path / "ours")
    safetensors.torch.save_file({"x": theirs}, tmp_path / "theirs")
    read = safetensors.torch.load_file(tmp_path / "ours")
    assert read["x"].dtype == theirs.dtype and torch.equal(read["x"], theirs)
    assert read["empty"].shape == (0, 3)
    for name in ("ours", "theirs"):
        back = load_safetensors(tmp_path / name)["x"]
        assert back.dtype is getattr(ot, dtype) and back.shape == (5, 1)
        np.testing.assert_array_equal(back.tolist(), theirs.double().tolist())


def test_views_and_numbers_are_saved_as_they_look(tmp_path: Path) -> None:
    x = ot.arange(6).view(2, 3)
    save_safetensors({"t": x.t(), "n": ot.tensor(2.5)}, tmp_path / "f", {"step": "3"})
    tensors, metadata = read_safetensors(tmp_path / "f")
    assert tensors["t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert tensors["n"].shape == () and tensors["n"].item() == 2.5
    assert metadata == {"step": "3"}
    tensors["t"].add_(1)


def test_parameters_are_saved_with_their_values(tmp_path: Path) -> None:
    model, other = (ot.nn.Linear(3, 2) for _ in range(2))
    save_safetensors(model.state_dict(), tmp_path / "new folder" / "f")
    other.load_state_dict(load_safetensors(tmp_path / "new folder" / "f"))
    assert other.weight.tolist() == model.weight.tolist()


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]


def damaged(folder: Path) -> None:
    path = folder / "f"
    save_safetensors({"x": ot.ones(4)}, path)
    path.write_bytes(path.read_bytes()[:-1])
    load_safetensors(path)


def foreign(folder: Path) -> None:
    state = {"x": torch.ones(2, dtype=torch.complex64)}
    safetensors.torch.save_file(state, folder / "f")
    load_safetensors(folder / "f")


ERRORS: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "damaged": (
        damaged,
        ValueError,
        "load_safetensors: {folder}/f came (Error while deserializing header: incomplete metadata, "
        "file not fully covered); give a whole safetensors file",
    ),
    "foreign dtype": (
        foreign,
        ValueError,
        "load_safetensors: 'x' of type C64 came; Ostinato has BOOL, U8, I8, I16, I32, I64, F16, "
        "F32, F64 and BF16",
    ),
    "rows": (
        lambda _: TensorDataset(ot.zeros(2, 3), ot.zeros(3)),
        ot.ShapeError,
        "TensorDataset: (2, 3), (3,) came; give tensors with equally many rows",
    ),
    "nothing": (
        lambda _: TensorDataset(),
        ot.ShapeError,
        "TensorDataset: nothing came; give tensors with equally many rows",
    ),
    "batch": (
        lambda _: DataLoader(rows(), 0),
        ValueError,
        "DataLoader: batch_size 0 came; give at least 1",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, tmp_path: Path) -> None:
    call, kind, text = ERRORS[name]
    with pytest.raises(kind) as caught:
        call(tmp_path)
    assert str(caught.value) == text.format(folder=tmp_path)
