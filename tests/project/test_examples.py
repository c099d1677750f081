"""The example programs, run briefly as a user runs them, and the readers of their data."""

from __future__ import annotations

import io
import pickle
import signal
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import images
import minigpt
import models
import numpy as np
import pytest
import reverse
import vit
from click.testing import CliRunner, Result
from corpus import Corpus, text_of
from PIL import Image

import ostinato as ot
from ostinato import Generator, optim
from ostinato.compiler.attempt import Attempt, Policy, Unrepeatable
from ostinato.compiler.variant import flattened

TEXT = "def add(x, y):\n    return x + y\n\n" * 200
SMALL = models.Config(dim=16, heads=2, layers=1, classes=0, length=32, batch=2)


def run(program: Any, *arguments: str) -> Result:
    done = CliRunner(catch_exceptions=False).invoke(program.main, arguments)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Tiny models, run in an empty folder that holds a text."""
    monkeypatch.setattr(minigpt, "MINIGPT", SMALL)
    monkeypatch.setattr(minigpt, "LENGTH", SMALL.length)
    monkeypatch.setattr(minigpt, "TIMED", 2)
    tiny = {"dim": 16, "heads": 2, "layers": 1, "batch": 4}
    digits = models.ImageConfig(**tiny, classes=10, length=20, image=8, channels=1)
    monkeypatch.setattr(vit, "DIGITS", digits)
    monkeypatch.setattr(vit, "VIT", models.ImageConfig(**tiny, classes=10, length=80))
    monkeypatch.chdir(tmp_path)
    Path("text.py").write_text(TEXT, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("mode", ["--eager", "--compile"])
def test_reverse(mode: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = models.Config(dim=16, heads=2, layers=1, classes=36, length=64, batch=4)
    monkeypatch.setattr(reverse, "REVERSE", tiny)
    done = run(reverse, mode, "--steps", "3", "--batch", "4")
    assert "of 256 new ones" in done.output
    assert (small / "runs/reverse/loss.png").stat().st_size > 1000


@pytest.mark.parametrize("mode", ["--eager", "--compile"])
def test_vit(mode: str, small: Path) -> None:
    done = run(vit, mode, "--steps", "3", "--batch", "4", "--out", "here")
    assert "of 300 test images" in done.output
    assert (small / "here/loss.png").exists()


def test_minigpt_trains_resumes_and_writes(small: Path) -> None:
    done = run(minigpt, "--steps", "7", "--batch", "2", "--data", "text.py")
    assert "times as fast" in done.output
    folder = small / "runs/minigpt"
    stages = sorted(path.name for path in (folder / "ir").iterdir())
    assert stages[0] == "0_captured.mlir" and stages[-1] == "6_planned.mlir"
    assert "loc(" in (folder / "ir" / stages[0]).read_text()
    assert (folder / "sample.txt").read_text().startswith("def ")
    assert (folder / "loss.png").exists()
    first = minigpt.Run.load(folder / minigpt.CHECKPOINT)
    assert len(first.losses) == first.total == 7
    run(minigpt, "--steps", "3", "--batch", "2", "--data", "text.py", "--resume")
    second = minigpt.Run.load(folder / minigpt.CHECKPOINT)
    assert second.losses[:7] == first.losses and len(second.losses) == second.total == 10
    steps = {state["step"].item() for state in second.opt.state.values()}
    assert steps == {10.0}
    written = run(minigpt, "--generate", "def a", "--characters", "9").output
    assert written.startswith("def a") and len(written) == len("def a") + 9 + 1
    assert run(minigpt, "--generate", "def a", "--characters", "9").output == written


# Once while the step is captured for the first time, and once in training.
@pytest.mark.parametrize(("count", "total"), [(1, 0), (6, 9)])
def test_interrupted_training_finishes_its_step_and_goes_on(
    count: int, total: int, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = minigpt.Run.advance

    def interrupted(self: Any, *args: Any) -> float:
        if len(self.losses) == count:
            signal.raise_signal(signal.SIGINT)
        return advance(self, *args)

    monkeypatch.setattr(minigpt.Run, "advance", interrupted)
    before = signal.getsignal(signal.SIGINT)
    done = run(minigpt, "--steps", "9", "--batch", "2", "--data", "text.py")
    assert f"stopped after {count + 1} steps; --resume goes on" in done.output
    assert signal.getsignal(signal.SIGINT) is before
    saved = minigpt.Run.load(small / "runs/minigpt" / minigpt.CHECKPOINT)
    assert len(saved.losses) == count + 1 and saved.total == total
    monkeypatch.setattr(minigpt.Run, "advance", advance)
    run(minigpt, "--steps", "9", "--batch", "2", "--data", "text.py", "--resume")
    ended = minigpt.Run.load(small / "runs/minigpt" / minigpt.CHECKPOINT)
    assert len(ended.losses) == ended.total == total + 9


def test_resuming_from_nothing_says_so(small: Path) -> None:
    done = CliRunner().invoke(minigpt.main, ["--resume", "--data", "text.py"])
    assert done.exit_code == 1
    assert "model.safetensors is not there; train first, or name another --out" in done.output


def test_lines_hold_their_own_reverse() -> None:
    line, following = reverse.lines(50, Generator().manual_seed(0))
    assert line.shape == following.shape == (50, 64)
    seen: set[int] = set()
    for tokens, targets in zip(line.tolist(), following.tolist(), strict=True):
        assert tokens[reverse.LONGEST] == reverse.SEPARATOR
        source = [t for t in tokens[: reverse.LONGEST] if t != reverse.PAD]
        scored = [t for t in targets if t != reverse.IGNORED]
        assert scored == [*source[::-1], reverse.END]
        assert [t for t in tokens[reverse.LONGEST + 1 :] if t != reverse.PAD] == scored
        assert min(source) >= reverse.FIRST_SYMBOL
        seen.add(len(source))
    assert min(seen) >= 1 and max(seen) <= reverse.LONGEST and len(seen) > 20


def test_excerpts_are_followed_by_the_next_character() -> None:
    corpus = Corpus("abcdefghij" * 50)
    x, y = corpus.batch(4, 8, Generator().manual_seed(0))
    assert x.shape == (4, 8) and (x[:, 1:] == y[:, :-1]).all().item()
    follows = {i: corpus.encode("bcdefghija").tolist()[i - 1] for i in range(1, 11)}
    assert [follows[i] for i in x[:, -1].tolist()] == y[:, -1].tolist()
    assert len(corpus.training) + len(corpus.test) == 500 and len(corpus.test) == 25
    assert corpus.decode(corpus.encode("cab?").tolist()) == "cab\N{REPLACEMENT CHARACTER}"


def test_the_standard_library_is_text() -> None:
    text = text_of(None)
    assert len(text) > 1_000_000 and "class OrderedDict" in text


def labelled(count: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    pixels = np.kron(rng.integers(0, 256, (count, 3, 4, 4)), np.ones((1, 1, 8, 8)))
    return pixels.astype(np.uint8), rng.integers(0, 10, count).astype(np.uint8)


def write_npz(path: Path, pixels: Any, labels: Any) -> None:
    files: list[bytes] = []
    for image in pixels.transpose(0, 2, 3, 1):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=95)
        files.append(buffer.getvalue())
    offsets = np.cumsum([0, *map(len, files)])
    jpeg = np.frombuffer(b"".join(files), np.uint8)
    np.savez(path, jpeg=jpeg, offsets=offsets, labels=labels)


def write_archive(path: Path, parts: dict[str, tuple[Any, Any]]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, (pixels, labels) in parts.items():
            entries = {b"data": pixels.reshape(len(pixels), -1), b"labels": labels.tolist()}
            content = pickle.dumps(entries, protocol=2)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_cifar10_as_jpeg_files(small: Path) -> None:
    (pixels, labels), test = labelled(6, 0), labelled(3, 1)
    write_npz(small / "cifar10_train.npz", pixels, labels)
    write_npz(small / "cifar10_test.npz", *test)
    found, _ = images.cifar10(small, minigpt.console)
    assert found.pixels.shape == (6, 3, 32, 32)
    assert np.abs(found.pixels.astype(int) - pixels).mean() < 16
    np.testing.assert_array_equal(found.labels, labels)
    done = run(vit, "--eager", "--steps", "1", "--batch", "4", "--data", str(small))
    assert "of 3 test images" in done.output


def test_cifar10_as_published(small: Path) -> None:
    parts = {f"data_batch_{i}": labelled(2, i) for i in range(1, 3)} | {
        "test_batch": labelled(3, 9)
    }
    write_archive(small / images.ARCHIVE, parts)
    train, test = images.cifar10(small, minigpt.console)
    expected = [np.concatenate(a) for a in zip(parts["data_batch_1"], parts["data_batch_2"],
                                               strict=True)]  # fmt: skip
    np.testing.assert_array_equal(train.pixels, expected[0])
    np.testing.assert_array_equal(train.labels, expected[1])
    np.testing.assert_array_equal(test.pixels, parts["test_batch"][0])


class Harmful:
    def __reduce__(self) -> Any:
        return print, ("called",)


def test_archives_cannot_call_anything(capsys: pytest.CaptureFixture[str]) -> None:
    content = io.BytesIO(pickle.dumps({b"data": Harmful()}, protocol=2))
    with pytest.raises(pickle.UnpicklingError, match=r"print is no part of an image set"):
        images.Plain(content, encoding="bytes").load()
    assert capsys.readouterr().out == ""


def test_a_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(images.urllib.request, "urlretrieve", refuse)
    with pytest.raises(click.ClickException) as caught:
        images.cifar10(tmp_path / "new", minigpt.console)
    assert caught.value.message == (
        f"{images.CIFAR10} cannot be had (no network); "
        f"put {images.ARCHIVE} into {tmp_path / 'new'} yourself"
    )
    assert not (tmp_path / "new" / images.ARCHIVE).exists()


def test_a_device_that_is_not_there_is_refused(small: Path) -> None:
    with pytest.raises(ValueError, match="device: 'gpu' came"):
        run(reverse, "--device", "gpu")
    assert ot.is_grad_enabled()


def test_a_text_that_is_too_short_is_refused() -> None:
    with pytest.raises(click.ClickException) as refusal:
        Corpus("abcdefghij" * 10).batch(2, 128, Generator())
    assert refusal.value.message == (
        "excerpts of 128 characters come from 95 here (the last 5% of a text are held out); "
        "give a longer text"
    )


def captured(step: Any, *args: Any) -> Any:
    """The region of a call, none of which runs; CaptureError where it would have to break."""
    leaves, structure = flattened((args, {}))
    policy = Policy(follows=False, breaks=False, dry=True)
    compiled = ot.compile(step)
    found = Attempt(compiled.fn, compiled.name, leaves, structure, policy).capture()
    assert not isinstance(found, Unrepeatable)
    return found[0]


def test_the_whole_step_of_gpt2_small_is_one_region_without_a_break() -> None:
    config = replace(models.GPT2, batch=1)
    model = models.LanguageModel(config)
    parameters = list(model.parameters())
    opt = optim.AdamW(parameters, lr=3e-4)

    def step(x: Any, y: Any) -> Any:
        loss = model(x, y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    x, y = (ot.randint(0, config.classes, (1, config.length)) for _ in range(2))
    region = captured(step, x, y)
    names = [node.name for node in region.nodes]
    assert (names.count("attention"), names.count("adamw_step")) == (12, len(parameters))
    assert len(region.changed) >= 3 * len(parameters)
    with pytest.raises(ot.CaptureError, match=r"`\.item\(\)` needs a value now; .*test_examples"):
        captured(lambda x, y: step(x, y).item(), x, y)
