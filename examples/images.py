"""Reads the image sets of the vision example into NumPy arrays."""

from __future__ import annotations

import codecs
import io
import itertools
import pickle
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import click
import numpy as np
from rich.console import Console

CIFAR10 = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE = "cifar-10-python.tar.gz"
Array = np.ndarray[Any, np.dtype[Any]]


class Images(NamedTuple):
    """Pixels uint8 or float from 0 to 255 (n, channels, size, size) and labels (n,)."""

    pixels: Array
    labels: Array


def digits(seed: int) -> tuple[Images, Images]:
    """The 1,797 digits of scikit-learn, 8x8 in grey: a training set, and 300 to test on."""
    try:
        from sklearn.datasets import load_digits  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise click.ClickException(
            "scikit-learn is missing; `pip install ostinato[demo]` brings it, or give --data DIR"
        ) from error
    found: Any = load_digits()  # pyright: ignore[reportUnknownVariableType]
    order = np.random.default_rng(seed).permutation(len(found.target))
    pixels = found.images[order, None] * (255 / 16)
    labels = found.target[order]
    return Images(pixels[300:], labels[300:]), Images(pixels[:300], labels[:300])


def cifar10(folder: Path, console: Console) -> tuple[Images, Images]:
    """CIFAR-10 from `folder`, downloaded where it is not there: 32x32 in colour."""
    if (folder / "cifar10_train.npz").exists():
        return from_npz(folder / "cifar10_train.npz"), from_npz(folder / "cifar10_test.npz")
    archive = folder / ARCHIVE
    if not archive.exists():
        download(archive, console)
    batches = list(from_archive(archive))
    train = [batch for name, batch in batches if "test" not in name]
    test = [batch for name, batch in batches if "test" in name]
    return join(train), join(test)


def join(parts: list[Images]) -> Images:
    """All parts as one."""
    return Images(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def from_npz(path: Path) -> Images:
    """Images kept as JPEG files end to end: arrays `jpeg`, `offsets` and `labels`."""
    try:
        from PIL import Image
    except ImportError as error:
        raise click.ClickException("Pillow is missing; `pip install pillow` brings it") from error
    with np.load(path) as arrays:
        jpeg, offsets, labels = arrays["jpeg"], arrays["offsets"], arrays["labels"]
    files = (jpeg[a:b].tobytes() for a, b in itertools.pairwise(offsets))
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
    return Images(pixels.transpose(0, 3, 1, 2), labels)


def from_archive(path: Path) -> Iterator[tuple[str, Images]]:
    """Each batch of the published archive, with its name."""
    with tarfile.open(path) as archive:
        for member in archive:
            name = Path(member.name).name
            file = archive.extractfile(member) if "_batch" in name else None
            if file is not None:
                entries = Plain(file, encoding="bytes").load()
                pixels = np.asarray(entries[b"data"]).reshape(-1, 3, 32, 32)
                yield name, Images(pixels, np.asarray(entries[b"labels"]))


class Plain(pickle.Unpickler):
    """Makes NumPy arrays and nothing else, since a pickle can call anything."""

    allowed: ClassVar[dict[tuple[str, str], Any]] = {
        ("multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): codecs.encode,
    }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = self.allowed.get((module_name.split(".")[-1], global_name))
        if found is None:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is no part of an image set")
        return found


def download(path: Path, console: Console) -> None:
    """Fetch the archive, 163 MB, so that `path` is there only when whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    console.print(f"downloading {CIFAR10} to {path}")
    try:
        urllib.request.urlretrieve(CIFAR10, part)
    except OSError as error:
        raise click.ClickException(
            f"{CIFAR10} cannot be had ({error}); put {ARCHIVE} into {path.parent} yourself"
        ) from error
    part.replace(path)
