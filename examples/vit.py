"""Trains a vision transformer to tell digits apart, or the ten classes of CIFAR-10.

Without --data it reads the 8x8 digits that come with scikit-learn. With --data DIR it reads
CIFAR-10 from there (cifar10_train.npz and cifar10_test.npz, or cifar-10-python.tar.gz), and
downloads it when neither is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click
import numpy as np
from images import Images, cifar10, digits
from models import DIGITS, VIT, VisionTransformer
from training import Bar, console, options, plot, training_step

import ostinato as ot
from ostinato import Generator, Tensor, optim
from ostinato.data import DataLoader, TensorDataset


def tensors(images: Images) -> TensorDataset:
    """Pixels as float32 from -1 to 1 and labels as int64."""
    pixels = np.ascontiguousarray(images.pixels, np.float32) / 127.5 - 1
    return TensorDataset(ot.from_numpy(pixels), ot.from_numpy(images.labels.astype(np.int64)))


def epochs(loader: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end, in a new order each time round."""
    while True:
        yield from loader


def accuracy(model: VisionTransformer, test: TensorDataset) -> float:
    """The share of test images whose class the model finds."""
    right = 0
    device = model.pos.device
    with ot.no_grad():
        for x, y in DataLoader(test, batch_size=256):
            predicted = model.logits(x.to(device)).argmax(-1)
            right += int((predicted == y.to(device)).sum().item())
    return right / len(test)


@click.command(help=__doc__)
@options(steps=60, batch=VIT.batch, lr=3e-4)
@click.option("--data", type=Path, help="Train on CIFAR-10 in this directory.")
def main(
    device: str,
    compiled: bool,
    steps: int,
    batch: int,
    lr: float,
    seed: int,
    out: Path | None,
    data: Path | None,
) -> None:
    ot.manual_seed(seed)
    out = out or Path("runs/vit")
    config = DIGITS if data is None else VIT
    training, test = map(tensors, digits(seed) if data is None else cifar10(data, console))
    generator = Generator().manual_seed(seed)
    loader = DataLoader(training, batch, shuffle=True, drop_last=True, generator=generator)
    model = VisionTransformer(config).to(device)
    opt = optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    step = training_step(model, opt, compiled)
    with Bar(steps, "images") as bar:
        for x, y in islice(epochs(loader), steps):
            bar.advance(step(x.to(device), y.to(device)).item(), len(x))
    console.print(f"accuracy     {accuracy(model, test):.1%} of {len(test)} test images")
    curve = dict(enumerate(bar.losses, start=1))
    plot(out / "loss.png", "vision transformer", {"training": curve})


if __name__ == "__main__":
    main()
