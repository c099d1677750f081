"""Text as numbers: one for each character."""

from __future__ import annotations

import sysconfig
from collections import Counter
from pathlib import Path

import click
import numpy as np

import ostinato as ot
from ostinato import Generator, Tensor

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
CHARACTERS = 127
HELD_OUT = 0.05


class Corpus:
    """A text, the end of which is held out to test on.

    `characters` are those that have numbers, rare ones being UNKNOWN; by default they are found in
    the text.
    """

    def __init__(self, text: str, characters: str | None = None) -> None:
        if characters is None:
            common = {c for c, _ in Counter(text).most_common(CHARACTERS)}
            characters = UNKNOWN + "".join(sorted(common - {UNKNOWN}))
        self.characters = characters
        self.numbers = {c: i for i, c in enumerate(characters)}
        encoded = self.encode(text)
        held_out = int(len(encoded) * HELD_OUT)
        self.training, self.test = encoded[:-held_out], encoded[-held_out:]

    def encode(self, text: str) -> Tensor:
        """The numbers (length,) of the characters, int64."""
        found = [self.numbers.get(c, 0) for c in text]
        return ot.from_numpy(np.array(found, np.int64))

    def decode(self, numbers: list[int]) -> str:
        """The text of character numbers."""
        return "".join(self.characters[i] for i in numbers)

    def batch(
        self, count: int, length: int, generator: Generator, test: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Excerpts (count, length) from random places, and for each character the next one."""
        text = self.test if test else self.training
        if len(text) <= length:
            raise click.ClickException(
                f"excerpts of {length} characters come from {len(text)} here (the last "
                f"{HELD_OUT:.0%} of a text are held out); give a longer text"
            )
        starts = ot.randint(0, len(text) - length, (count, 1), generator=generator)
        places = starts + ot.arange(length)
        return take(text, places), take(text, places + 1)


def take(text: Tensor, places: Tensor) -> Tensor:
    """The numbers at `places`, in their shape."""
    return text.index_select(0, places.flatten()).view(places.shape)


def text_of(file: Path | None) -> str:
    """What `file` holds; without one the sources of this Python's standard library."""
    if file is not None:
        return _read(file)
    folder = Path(sysconfig.get_path("stdlib"))
    left_out = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3"}
    files = (p for p in sorted(folder.rglob("*.py")) if not left_out & set(p.parts))
    return "\n".join(_read(p) for p in files)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")
