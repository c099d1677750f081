"""The models of `examples/models.py` written in PyTorch, with the same names of parameters."""

# pyright: reportUnknownMemberType=false
# (PyTorch leaves much unannotated.)

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from models import Config, ImageConfig, LanguageModel, VisionTransformer
from torch import Tensor, nn

import ostinato as ot


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


class TorchLanguageModel(nn.Module):
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
        """The mean cross-entropy of next tokens `y` (batch, length)."""
        return F.cross_entropy(self.logits(x).flatten(0, 1), y.flatten())


class TorchVisionTransformer(nn.Module):
    """A transformer over patches and learnt summaries, whose mean chooses the class."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.patch = nn.Linear(config.channels * config.patch**2, dim)
        self.cls = nn.Parameter(torch.zeros(1, config.summaries, dim))
        self.pos = nn.Parameter(torch.zeros(1, config.length, dim))
        self.blocks = nn.Sequential(*[Block(config, causal=False) for _ in range(config.layers)])
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, config.classes)

    def logits(self, x: Tensor) -> Tensor:
        """Images (batch, channels, size, size) to scores (batch, classes)."""
        c, batch = self.config, x.shape[0]
        side = c.image // c.patch
        tiles = x.view(batch, c.channels, side, c.patch, side, c.patch).permute(0, 2, 4, 3, 5, 1)
        patches = self.patch(tiles.reshape(batch, side * side, c.channels * c.patch**2))
        h = torch.cat([self.cls.expand(batch, -1, -1), patches], 1) + self.pos
        return self.head(self.norm(self.blocks(h))[:, : c.summaries].mean(1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy of labels `y` (batch,)."""
        return F.cross_entropy(self.logits(x), y)


def twins(config: Config, seed: int = 0) -> tuple[Any, nn.Module]:
    """Our model and PyTorch's with the same weights, which PyTorch draws."""
    torch.manual_seed(seed)
    theirs = (
        TorchVisionTransformer(config)
        if isinstance(config, ImageConfig)
        else TorchLanguageModel(config)
    )
    ours = VisionTransformer(config) if isinstance(config, ImageConfig) else LanguageModel(config)
    copy_weights(ours, theirs)
    return ours, theirs


def copy_weights(ours: Any, theirs: nn.Module) -> None:
    """Give our module the parameters and buffers of PyTorch's."""
    state = {name: value.detach().cpu().numpy() for name, value in theirs.state_dict().items()}
    ours.load_state_dict({name: ot.tensor(value) for name, value in state.items()})


def batch_of(config: Config, seed: int) -> tuple[Any, Any]:
    """One random batch as two NumPy arrays: tokens and next tokens, or images and labels."""
    rng = torch.Generator().manual_seed(seed)
    if isinstance(config, ImageConfig):
        shape = (config.batch, config.channels, config.image, config.image)
        labels = torch.randint(0, config.classes, (config.batch,), generator=rng)
        return torch.randn(shape, generator=rng).numpy(), labels.numpy()
    tokens = torch.randint(0, config.classes, (2, config.batch, config.length), generator=rng)
    return tokens[0].numpy(), tokens[1].numpy()
