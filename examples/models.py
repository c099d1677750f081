"""The models of the examples and benchmarks, and the sizes they are measured at."""

from __future__ import annotations

from dataclasses import dataclass

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import Tensor, nn


@dataclass(frozen=True)
class Config:
    """Sizes of a transformer; `classes` counts what it chooses from, tokens or labels."""

    dim: int
    heads: int
    layers: int
    classes: int
    length: int
    batch: int


@dataclass(frozen=True)
class ImageConfig(Config):
    """A vision transformer on square images; `length` is their patches and `summaries`."""

    image: int = 32
    channels: int = 3
    patch: int = 4
    summaries: int = 16


REVERSE = Config(dim=128, heads=4, layers=2, classes=36, length=64, batch=64)
MINIGPT = Config(dim=256, heads=8, layers=6, classes=4096, length=128, batch=64)
GPT2 = Config(dim=768, heads=12, layers=12, classes=50304, length=1024, batch=16)
VIT = ImageConfig(dim=256, heads=8, layers=6, classes=10, length=80, batch=256)
DIGITS = ImageConfig(
    dim=256, heads=8, layers=6, classes=10, length=20, batch=256, image=8, channels=1
)


class Block(nn.Module):
    """Attention and a perceptron, each after a norm and added to what came in."""

    def __init__(self, config: Config, causal: bool) -> None:
        super().__init__()
        dim = config.dim
        self.heads, self.causal = config.heads, causal
        self.n1, self.n2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc, self.out = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def attended(self, x: Tensor) -> Tensor:
        """What each place reads from those that it sees: (batch, length, dim) to the same."""
        q, k, v = self.split(x)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.proj(a.transpose(1, 2).flatten(2))

    def split(self, x: Tensor) -> Tensor:
        """Query, key and value of each head: (3, batch, heads, length, dim / heads)."""
        batch, length, dim = x.shape
        split = self.qkv(x).view(batch, length, 3, self.heads, dim // self.heads)
        return split.permute(2, 0, 3, 1, 4)

    def perceptron(self, x: Tensor) -> Tensor:
        """(batch, length, dim) to the same."""
        return self.out(F.gelu(self.fc(x), approximate="tanh"))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, dim) to the same."""
        x = x + self.attended(self.n1(x))
        return x + self.perceptron(self.n2(x))


class LanguageModel(nn.Module):
    """A decoder-only transformer over tokens."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tok = nn.Embedding(config.classes, config.dim)
        self.pos = nn.Embedding(config.length, config.dim)
        self.blocks = nn.Sequential(*[Block(config, causal=True) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.classes, bias=False)

    def logits(self, x: Tensor) -> Tensor:
        """Tokens (batch, length) to scores of the next one (batch, length, classes)."""
        h = self.tok(x) + self.pos.weight[: x.shape[1]]
        return self.head(self.norm(self.blocks(h)))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy of next tokens `y` (batch, length); -100 does not count."""
        return F.cross_entropy(self.logits(x).flatten(0, 1), y.flatten())


class VisionTransformer(nn.Module):
    """A transformer over patches and learnt summaries, whose mean chooses the class."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.patch = nn.Linear(config.channels * config.patch**2, dim)
        self.cls = nn.Parameter(ot.zeros(1, config.summaries, dim))
        self.pos = nn.Parameter(ot.zeros(1, config.length, dim))
        self.blocks = nn.Sequential(*[Block(config, causal=False) for _ in range(config.layers)])
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, config.classes)

    def logits(self, x: Tensor) -> Tensor:
        """Images (batch, channels, size, size) to scores (batch, classes)."""
        c, batch = self.config, x.shape[0]
        side = c.image // c.patch
        tiles = x.view(batch, c.channels, side, c.patch, side, c.patch).permute(0, 2, 4, 3, 5, 1)
        patches = self.patch(tiles.reshape(batch, side * side, c.channels * c.patch**2))
        h = ot.cat([self.cls.expand(batch, -1, -1), patches], 1) + self.pos
        return self.head(self.norm(self.blocks(h))[:, : c.summaries].mean(1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy of labels `y` (batch,)."""
        return F.cross_entropy(self.logits(x), y)
