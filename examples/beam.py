"""Writes on after a text with the model that minigpt.py trained: the likeliest line there is.

A beam search keeps the likeliest beginnings of the line, and lengthens each by a character at a
time. What attention has to know of earlier characters, their keys and values, is kept in a cache.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import minigpt
from corpus import Corpus
from models import Block, LanguageModel
from training import console, options

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import Tensor

BEAMS = 4
END = "\n"
# Keys and values of a block: (beams, heads, length, dim / heads) each.
Cache = list[tuple[Tensor, Tensor]]
Grown = tuple[list[int], list[int], list[float], Tensor, Tensor, Cache]
Grow = Callable[[Tensor, Tensor, Tensor, Cache], Grown]


def empty_cache(model: LanguageModel, beams: int) -> Cache:
    """A cache that no character was read into."""
    length, dim = model.pos.weight.shape
    blocks: Any = model.blocks
    shape = (beams, blocks[0].heads, length, dim // blocks[0].heads)
    device = model.pos.weight.device
    return [(ot.zeros(shape, device=device), ot.zeros(shape, device=device)) for _ in blocks]


def attended(
    block: Block, x: Tensor, position: Tensor, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What the character at `position` reads from itself and those before it, and the new cache."""
    places = ot.arange(keys.shape[2], device=x.device)
    q, k, v = block.split(x)
    here = (places == position).unsqueeze(-1)
    keys, values = ot.where(here, k, keys), ot.where(here, v, values)
    a = F.scaled_dot_product_attention(q, keys, values, attn_mask=places <= position)
    return block.proj(a.transpose(1, 2).flatten(2)), keys, values


def read(
    model: LanguageModel, tokens: Tensor, position: Tensor, cache: Cache
) -> tuple[Tensor, Cache]:
    """The logarithms (beams, classes) of the odds of what follows `tokens` (beams,), and the cache
    with them in it."""
    x = (model.tok(tokens) + model.pos(position)).unsqueeze(1)
    blocks: Any = model.blocks
    grown: Cache = []
    for block, (keys, values) in zip(blocks, cache, strict=True):
        a, keys, values = attended(block, block.n1(x), position, keys, values)
        x = x + a
        x = x + block.perceptron(block.n2(x))
        grown.append((keys, values))
    return F.log_softmax(model.head(model.norm(x))[:, 0], -1), grown


def growing_step(model: LanguageModel, compiled: bool) -> Grow:
    """One step from the last character of each beam, its score, its position and the cache to
    those of the best longer ones, and which beam each of them goes on from."""

    def grow(tokens: Tensor, scores: Tensor, position: Tensor, cache: Cache) -> Grown:
        odds, cache = read(model, tokens, position, cache)
        total = scores.unsqueeze(1) + odds
        scores, best = total.flatten().topk(len(tokens))
        parents, tokens = best // odds.shape[1], best % odds.shape[1]
        cache = [(keys[parents], values[parents]) for keys, values in cache]
        return parents.tolist(), tokens.tolist(), scores.tolist(), tokens, scores, cache

    return ot.compile(grow) if compiled else grow


def search(
    model: LanguageModel, grow: Grow, prompt: list[int], beams: int, count: int, end: int
) -> tuple[list[int], float]:
    """The likeliest `count` characters after `prompt`, or fewer if they end with `end`, and the
    logarithm of their odds for each character."""
    device = model.pos.weight.device
    cache = empty_cache(model, beams)
    # All beams are alike at first, so only one of them counts.
    scores = ot.tensor([0.0] + [float("-inf")] * (beams - 1), device=device)
    written: list[list[int]] = [[] for _ in range(beams)]
    finished: list[tuple[float, list[int]]] = []
    tokens = ot.full((beams,), prompt[-1], device=device)
    for i, token in enumerate(prompt[:-1]):
        _, cache = read(model, ot.full((beams,), token, device=device), ot.tensor(i), cache)
    for i in range(len(prompt) - 1, len(prompt) - 1 + count):
        parents, chosen, odds, tokens, scores, cache = grow(tokens, scores, ot.tensor(i), cache)
        written = [[*written[p], t] for p, t in zip(parents, chosen, strict=True)]
        for text, score in zip(written, odds, strict=True):
            if text[-1] == end:
                finished.append((score / len(text), text))
        if len(finished) >= beams:
            break
        scores = ot.where(tokens == end, float("-inf"), scores)
    finished += [(score / len(t), t) for t, score in zip(written, scores.tolist(), strict=True)]
    score, text = max(finished)
    return text, score


@click.command(help=__doc__)
@options(steps=80)
@click.option("--prompt", default="def __init__(self", show_default=True)
@click.option("--beams", default=BEAMS, show_default=True, type=click.IntRange(1))
def main(
    device: str, compiled: bool, steps: int, seed: int, out: Path | None, prompt: str, beams: int
) -> None:
    ot.manual_seed(seed)
    run = minigpt.Run.load((out or Path("runs/minigpt")) / minigpt.CHECKPOINT, device)
    corpus = Corpus(run.characters, run.characters)
    numbers = corpus.encode(prompt or END).tolist()
    count = min(steps, run.model.pos.num_embeddings - len(numbers))
    if count < 1:
        raise click.ClickException(
            f"the prompt has {len(numbers)} characters; give fewer than "
            f"{run.model.pos.num_embeddings}"
        )
    grow = growing_step(run.model, compiled)
    with ot.no_grad():
        text, score = search(run.model, grow, numbers, beams, count, corpus.numbers[END])
    console.print(prompt + corpus.decode(text).rstrip(END), markup=False)
    console.print(f"{score:.3f} a character, with {beams} beams")


if __name__ == "__main__":
    main()
