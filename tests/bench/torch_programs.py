"""Five of the examples written in PyTorch, with the same names of parameters: an LSTM, a mixture of
experts, a GAN, a neural ODE and a beam search."""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from models import Config
from torch import Tensor, nn, optim

from torch_models import Block, TorchLanguageModel

State = tuple[Tensor, Tensor]
Cache = list[State]


class Reader(nn.Module):
    """Scores of the next character, from the last one and a state."""

    def __init__(self, classes: int, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, dim)
        self.lstm = nn.LSTM(dim, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Characters (batch, length) to scores (batch, length, classes), and the next state."""
        said, state = self.lstm(self.embedding(x), state)
        return self.head(said), state

    def start(self, batch: int) -> State:
        """The state before any text."""
        shape = (self.lstm.num_layers, batch, self.lstm.hidden_size)
        return torch.zeros(shape), torch.zeros(shape)


def reading_step(model: Reader, opt: optim.Optimizer) -> Callable[..., tuple[Tensor, State]]:
    """One step from a chunk and the state before it to the loss and the state after it."""

    def step(x: Tensor, y: Tensor, state: State) -> tuple[Tensor, State]:
        scores, (h, c) = model(x, state)
        loss = F.cross_entropy(scores.flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        opt.step()
        return loss.detach(), (h.detach(), c.detach())

    return step


class Experts(nn.Module):
    """Perceptrons, of which each place sees those that a router chooses for it."""

    def __init__(self, dim: int, count: int, top: int, spare: float) -> None:
        super().__init__()
        self.count, self.top, self.spare = count, top, spare
        self.router = nn.Linear(dim, count, bias=False)
        bound, inner = 1 / math.sqrt(dim), 1 / math.sqrt(4 * dim)
        self.fc = nn.Parameter(torch.rand(count, dim, 4 * dim) * (2 * bound) - bound)
        self.out = nn.Parameter(torch.rand(count, 4 * dim, dim) * (2 * inner) - inner)

    def forward(self, x: Tensor) -> State:
        """Places (n, dim) to the same, and how unevenly they were spread: 1 where evenly."""
        odds = F.softmax(self.router(x), -1)
        weights, chosen = odds.topk(self.top, -1)
        weights = weights / weights.sum(-1, keepdim=True)
        slots, room = self.slots(chosen)
        queues = torch.zeros(self.count * room + 1, x.shape[1])
        queues = queues.index_add(0, slots, torch.cat([x] * self.top))
        queues = queues[:-1].view(self.count, room, -1)
        said = (F.gelu(queues @ self.fc, approximate="tanh") @ self.out).flatten(0, 1)
        said = torch.cat([said, torch.zeros(1, x.shape[1])])[slots]
        y = said.view(self.top, *x.shape) * weights.t().unsqueeze(-1)
        share = F.one_hot(chosen[:, 0], self.count).float().mean(0)
        return y.sum(0), (share * odds.mean(0)).sum() * self.count

    def slots(self, chosen: Tensor) -> tuple[Tensor, int]:
        """Where in the experts' queues each choice goes, and the length of a queue."""
        chosen = chosen.t().flatten()
        room = math.ceil(self.spare * len(chosen) / self.count)
        queue = F.one_hot(chosen, self.count)
        place = (queue.cumsum(0) * queue).sum(1) - 1
        return torch.where(place < room, chosen * room + place, self.count * room), room


class ExpertBlock(Block):
    """A block of a transformer with experts in place of its perceptron."""

    def __init__(self, config: Config, count: int, top: int, spare: float) -> None:
        super().__init__(config, causal=True)
        del self.fc, self.out
        self.experts = Experts(config.dim, count, top, spare)

    def forward(self, x: Tensor) -> Any:
        """(batch, length, dim) to the same, and how unevenly the experts are used."""
        x = x + self.attended(self.n1(x))
        said, uneven = self.experts(self.n2(x).flatten(0, 1))
        return x + said.view(x.shape), uneven


class ExpertModel(nn.Module):
    """A decoder-only transformer over characters."""

    def __init__(self, config: Config, count: int, top: int, spare: float, balance: float) -> None:
        super().__init__()
        self.balance = balance
        self.tok = nn.Embedding(config.classes, config.dim)
        self.pos = nn.Embedding(config.length, config.dim)
        blocks = [ExpertBlock(config, count, top, spare) for _ in range(config.layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.classes, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy of the next characters, and a little for using experts
        unevenly."""
        h = self.tok(x) + self.pos.weight[: x.shape[1]]
        total = torch.zeros(())
        for block in self.blocks:
            h, uneven = block(h)
            total = total + uneven
        scores = self.head(self.norm(h))
        return F.cross_entropy(scores.flatten(0, 1), y.flatten()) + self.balance * total


def training_step(model: nn.Module, opt: optim.Optimizer) -> Callable[..., Tensor]:
    """One step from a batch to its loss: gradients, clipping, and the optimizer's change."""

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = model(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        return loss.detach()

    return step


def artist(noise: int, width: int, pixels: int) -> nn.Module:
    """Noise to pixels from -1 to 1."""
    return nn.Sequential(
        nn.Linear(noise, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2),
        nn.Linear(width, pixels), nn.Tanh(),
    )  # fmt: skip


def critic(pixels: int, width: int) -> nn.Module:
    """Pixels to the logit that they are real."""
    return nn.Sequential(
        nn.Linear(pixels, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2),
        nn.Linear(width, 1),
    )  # fmt: skip


def duel(
    draw: nn.Module, judge: nn.Module, opt_draw: optim.Optimizer, opt_judge: optim.Optimizer
) -> Callable[..., tuple[float, float]]:
    """One step of each network from real pixels and noise: the losses of critic and artist."""

    def step(real: Tensor, noise: Tensor) -> tuple[float, float]:
        drawn = draw(noise)
        says_real, says_drawn = judge(real), judge(drawn.detach())
        judge_loss = F.binary_cross_entropy_with_logits(
            says_real, torch.ones_like(says_real)
        ) + F.binary_cross_entropy_with_logits(says_drawn, torch.zeros_like(says_drawn))
        opt_judge.zero_grad()
        judge_loss.backward()
        opt_judge.step()

        says_drawn = judge(drawn)
        draw_loss = F.binary_cross_entropy_with_logits(says_drawn, torch.ones_like(says_drawn))
        opt_draw.zero_grad()
        draw_loss.backward()
        opt_draw.step()
        return judge_loss.item(), draw_loss.item()

    return step


class Motion(nn.Module):
    """The velocity at a place: what the network learns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(2, width), nn.Linear(width, 2)

    def forward(self, y: Tensor) -> Tensor:
        """Places (n, 2) to velocities (n, 2)."""
        return self.outer(torch.tanh(self.inner(y**3)))


def solve(law: Callable[[Tensor], Tensor], y: Tensor, span: float, tolerance: float) -> Tensor:
    """Where y (n, 2) is after `span`, moving with the velocity that `law` gives."""
    t, h = 0.0, span
    k1 = law(y)
    while t < span:
        h = min(h, span - t)
        k2 = law(y + h / 2 * k1)
        k3 = law(y + h * 3 / 4 * k2)
        moved = y + h / 9 * (2 * k1 + 3 * k2 + 4 * k3)
        k4 = law(moved)
        away = h / 72 * (-5 * k1 + 6 * k2 + 8 * k3 - 9 * k4)
        error = away.abs().amax().item()
        if error < tolerance:
            t, y, k1 = t + h, moved, k4
        h *= min(4.0, max(0.2, 0.9 * (tolerance / max(error, 1e-12)) ** (1 / 3)))
    return y


def learning_step(
    law: Motion, opt: optim.Optimizer, span: float, tolerance: float
) -> Callable[..., float]:
    """One step from places (n, 2) and where they are `span` later to the loss."""

    def step(y: Tensor, later: Tensor) -> float:
        loss = (solve(law, y, span, tolerance) - later).abs().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss.item()

    return step


def empty_cache(model: TorchLanguageModel, beams: int) -> Cache:
    """A cache that no character was read into."""
    length, dim = model.pos.weight.shape
    heads: Any = model.blocks[0].heads
    shape = (beams, heads, length, dim // heads)
    return [(torch.zeros(shape), torch.zeros(shape)) for _ in model.blocks]


def read(
    model: TorchLanguageModel, tokens: Tensor, position: Tensor, cache: Cache
) -> tuple[Tensor, Cache]:
    """The logarithms of the odds of what follows `tokens` (beams,), and the cache with them."""
    x = (model.tok(tokens) + model.pos(position)).unsqueeze(1)
    places = torch.arange(cache[0][0].shape[2])
    here, seen = (places == position).unsqueeze(-1), places <= position
    grown: Cache = []
    blocks: Any = model.blocks
    for block, (keys, values) in zip(blocks, cache, strict=True):
        q, k, v = block.split(block.n1(x))
        keys, values = torch.where(here, k, keys), torch.where(here, v, values)
        a = F.scaled_dot_product_attention(q, keys, values, attn_mask=seen.unsqueeze(0))
        x = x + block.proj(a.transpose(1, 2).flatten(2))
        x = x + block.perceptron(block.n2(x))
        grown.append((keys, values))
    return F.log_softmax(model.head(model.norm(x))[:, 0], -1), grown


def growing_step(model: TorchLanguageModel) -> Callable[..., Any]:
    """One step from beams to the best longer ones, and which beam each of them goes on from."""

    def grow(tokens: Tensor, scores: Tensor, position: Tensor, cache: Cache) -> Any:
        odds, cache = read(model, tokens, position, cache)
        total = scores.unsqueeze(1) + odds
        scores, best = total.flatten().topk(len(tokens))
        parents, tokens = best // odds.shape[1], best % odds.shape[1]
        cache = [(keys[parents], values[parents]) for keys, values in cache]
        return parents.tolist(), tokens.tolist(), scores.tolist(), tokens, scores, cache

    return grow
