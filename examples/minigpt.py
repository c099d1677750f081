"""Trains a small GPT, character by character, on the sources of Python's standard library.

First it times eager against compiled steps; then it trains for about two minutes and leaves the
loss curve, a checkpoint, a sample of text and the IR of the training step in --out. Ctrl-C saves a
checkpoint and leaves; --resume goes on from it; --generate "def " writes text from it.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import click
from corpus import Corpus, text_of
from models import MINIGPT, LanguageModel
from training import Bar, Interruption, Step, console, options, plot, training_step

import ostinato as ot
from ostinato import Generator, optim
from ostinato.checkpoint import read_safetensors, save_safetensors
from ostinato.ir.stages import STAGES

SECONDS = 120
WARM_UP = 20
TIMED = 6
LENGTH = MINIGPT.length
CHECKPOINT = "model.safetensors"


@dataclass
class Run:
    """All that a checkpoint holds: model, optimizer, and the losses so far by step."""

    characters: str
    lr: float
    total: int = 0
    losses: list[float] = field(default_factory=list[float])
    tested: dict[int, float] = field(default_factory=dict[int, float])
    device: str = "cpu"

    def __post_init__(self) -> None:
        config = replace(MINIGPT, classes=len(self.characters))
        self.model = LanguageModel(config).to(self.device)
        self.opt = optim.AdamW(
            self.model.parameters(), lr=self.lr, betas=(0.9, 0.95), weight_decay=0.1
        )
        self.schedule = optim.lr_scheduler.LambdaLR(self.opt, self.rate, len(self.losses) - 1)

    def advance(self, step: Step, x: ot.Tensor, y: ot.Tensor) -> float:
        """Take one training step; the loss."""
        loss = step(x.to(self.device), y.to(self.device)).item()
        self.losses.append(loss)
        self.schedule.step()
        return loss

    def save(self, path: Path) -> None:
        """Write the checkpoint; the old one stays until the new one is whole."""
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        for i, state in self.opt.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": t for name, t in state.items()}
        names = ("characters", "lr", "total", "losses", "tested")
        metadata = {name: json.dumps(getattr(self, name)) for name in names}
        save_safetensors(tensors, path, metadata)
        console.print(f"checkpoint   {path}")

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Run:
        """The run of a checkpoint, on `device`."""
        if not path.exists():
            raise click.ClickException(f"{path} is not there; train first, or name another --out")
        tensors, metadata = read_safetensors(path)
        values = {name: json.loads(text) for name, text in metadata.items()}
        values["tested"] = {int(step): loss for step, loss in values["tested"].items()}
        run = cls(**values, device=device)
        parts: dict[str, dict[str, ot.Tensor]] = {"model": {}, "optimizer": {}}
        for name, t in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = t
        run.model.load_state_dict(parts["model"])
        saved = run.opt.state_dict()
        for name, t in parts["optimizer"].items():
            index, key = name.split(".")
            saved["state"][int(index)][key] = t
        run.opt.load_state_dict(saved)
        return run

    def rate(self, step: int) -> float:
        """The factor of the learning rate: up for WARM_UP steps, then down half a cosine to 0.1."""
        if step < WARM_UP:
            return (step + 1) / WARM_UP
        return 0.55 + 0.45 * math.cos(math.pi * min(step / max(self.total, 1), 1.0))


def compare(
    run: Run, corpus: Corpus, steps: dict[str, Step], batch: int, seed: int, stop: Interruption
) -> float:
    """Train some steps eager and compiled by turns, print their times, return the compiled."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    generator = Generator().manual_seed(seed)
    for name in [*steps] * TIMED:
        x, y = corpus.batch(batch, LENGTH, generator)
        started = time.perf_counter()
        run.advance(steps[name], x, y)
        times[name].append(time.perf_counter() - started)
        if stop:
            return 0.0
    eager, compiled = (median(taken[1:]) for taken in times.values())
    console.print(
        f"eager step   {eager * 1e3:.0f} ms\n"
        f"compiled     {compiled * 1e3:.0f} ms, {eager / compiled:.2f} times as fast "
        f"(the first took {times['compiled'][0]:.1f} s: it was compiled)"
    )
    return compiled


def held_out_loss(run: Run, corpus: Corpus, batch: int) -> float:
    """The mean loss of text that is not trained on."""
    generator = Generator().manual_seed(0)
    with ot.no_grad():
        batches = [corpus.batch(batch, LENGTH, generator, test=True) for _ in range(4)]
        losses = [run.model(x.to(run.device), y.to(run.device)).item() for x, y in batches]
    return sum(losses) / len(losses)


def train(run: Run, corpus: Corpus, step: Step, batch: int, seed: int, stop: Interruption) -> None:
    """Go on to `run.total` steps, testing ten times on the way."""
    done = len(run.losses)
    generator = Generator().manual_seed(seed + done)
    with Bar(run.total, "tokens", done) as bar:
        while len(run.losses) < run.total and not stop:
            x, y = corpus.batch(batch, LENGTH, generator)
            bar.advance(run.advance(step, x, y), x.numel())
            if len(run.losses) % max(run.total // 10, 1) == 0:
                run.tested[len(run.losses)] = held_out_loss(run, corpus, batch)


def generate(run: Run, prompt: str, count: int, seed: int, temperature: float = 0.8) -> str:
    """`prompt` and `count` characters that the model finds likely after it."""
    corpus = Corpus(run.characters, run.characters)
    numbers = corpus.encode(prompt or "\n")
    generator = Generator().manual_seed(seed)
    with ot.no_grad():
        for _ in range(count):
            seen = numbers[-LENGTH:].unsqueeze(0).to(run.device)
            likely = ot.softmax(run.model.logits(seen)[0, -1] / temperature, 0).cpu()
            chosen = likely.multinomial(1, generator=generator)
            numbers = ot.cat([numbers, chosen])
    return corpus.decode(numbers.tolist())


def leave(run: Run, out: Path, seed: int) -> None:
    """Write what is to be seen of a run: its checkpoint, loss curve and a sample of text."""
    run.save(out / CHECKPOINT)
    curves = {"training": dict(enumerate(run.losses, start=1)), "held-out text": run.tested}
    plot(out / "loss.png", "minigpt", curves)
    sample = generate(run, "def ", 400, seed)
    (out / "sample.txt").write_text(sample, encoding="utf-8")
    console.print(f"sample       {out / 'sample.txt'}\n")
    console.print(sample, markup=False, style="dim")


def dump(step: Any, folder: Path) -> None:
    """Write the IR of the compiled step after each stage, one file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, stage in enumerate(STAGES):
        (folder / f"{i}_{stage}.mlir").write_text(step.ir(stage), encoding="utf-8")
    console.print(
        f"IR           {folder}: the step after each stage, from what was captured to what runs.\n"
        "             `loc(...)` ends each op: the lines of Python that it came from.\n"
        f"             `ostinato opt --passes=fuse {folder}/3_simplified.mlir` runs a pass again."
    )


@click.command(help=__doc__)
@options(steps=None, batch=16, lr=1e-3)
@click.option("--data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")
@click.option("--generate", "prompt", help="Only write text that goes on from this.")
@click.option("--characters", default=400, show_default=True, help="How much text.")
def main(
    device: str,
    compiled: bool,
    steps: int | None,
    batch: int,
    lr: float,
    seed: int,
    out: Path | None,
    data: Path | None,
    resume: bool,
    prompt: str | None,
    characters: int,
) -> None:
    ot.manual_seed(seed)
    out = out or Path("runs/minigpt")
    if prompt is not None:
        run = Run.load(out / CHECKPOINT, device)
        click.echo(generate(run, prompt, characters, seed))
        return
    text = text_of(data)
    run = Run.load(out / CHECKPOINT, device) if resume else None
    corpus = Corpus(text, run.characters if run else None)
    run = run or Run(corpus.characters, lr, device=device)
    eager, fast = (training_step(run.model, run.opt, c) for c in (False, True))
    console.print(f"text         {len(text):,} characters, {len(corpus.characters)} different ones")
    with Interruption() as stop:
        if run.total:
            run.total += steps or 0
        else:
            both = {"eager": eager, "compiled": fast}
            seconds = compare(run, corpus, both, batch, seed, stop)
            if not stop:
                run.total = steps or int(SECONDS / seconds)
                dump(fast, out / "ir")
        train(run, corpus, fast if compiled else eager, batch, seed, stop)
    if stop:
        run.save(out / CHECKPOINT)
        console.print(f"stopped after {len(run.losses)} steps; --resume goes on")
        return
    leave(run, out, seed)


if __name__ == "__main__":
    main()
