"""JAX's training steps on a GPU: the same models as functions, one jitted step, donated state."""

# pyright: basic
# (JAX and optax are not installed where types are checked.)

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax  # pyright: ignore[reportMissingImports]
import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
import optax  # pyright: ignore[reportMissingImports]
from models import ImageConfig

from gpu_workloads import Workload
from torch_models import batch_of

SUMMARIES, PATCH_INPUTS = 16, 48


class Model:
    """Parameters and loss of one workload; products in `dtype`."""

    def __init__(self, workload: Workload) -> None:
        self.config = workload.config
        self.is_image = isinstance(self.config, ImageConfig)
        self.dtype = jnp.bfloat16 if workload.precision == "bf16" else jnp.float32
        self.keys = iter(jax.random.split(jax.random.PRNGKey(0), 256))

    def normal(self, *shape: int) -> Any:
        return jax.random.normal(next(self.keys), shape) * 0.02

    def linear_parameters(self, inputs: int, outputs: int) -> Any:
        return self.normal(inputs, outputs), jnp.zeros(outputs)

    def norm_parameters(self) -> Any:
        return jnp.ones(self.config.dim), jnp.zeros(self.config.dim)

    def parameters(self) -> dict[str, Any]:
        c, d = self.config, self.config.dim
        blocks = [
            {"n1": self.norm_parameters(), "n2": self.norm_parameters(),
             "qkv": self.linear_parameters(d, 3 * d), "proj": self.linear_parameters(d, d),
             "fc": self.linear_parameters(d, 4 * d), "out": self.linear_parameters(4 * d, d)}
            for _ in range(c.layers)
        ]  # fmt: skip
        made = {"blocks": blocks, "norm": self.norm_parameters()}
        if self.is_image:
            return made | {
                "patch": self.linear_parameters(PATCH_INPUTS, d),
                "cls": self.normal(1, SUMMARIES, d), "pos": self.normal(1, c.length, d),
                "head": self.linear_parameters(d, c.classes),
            }  # fmt: skip
        head = self.normal(d, c.classes), None  # no bias, as in the others
        return made | {"tok": self.normal(c.classes, d), "pos": self.normal(c.length, d),
                       "head": head}  # fmt: skip

    def linear(self, p: Any, x: Any) -> Any:
        product = x.astype(self.dtype) @ p[0].astype(self.dtype)
        return product if p[1] is None else product + p[1].astype(self.dtype)

    def norm(self, p: Any, x: Any) -> Any:
        x = x.astype(jnp.float32)
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p[0] + p[1]

    def block(self, p: Any, x: Any) -> Any:
        batch, length, dim = x.shape
        heads = self.config.heads
        parts = jnp.split(self.linear(p["qkv"], self.norm(p["n1"], x)), 3, -1)
        q, k, v = (t.reshape(batch, length, heads, dim // heads) for t in parts)
        fused = {"implementation": "cudnn"} if self.dtype == jnp.bfloat16 else {}
        a = jax.nn.dot_product_attention(q, k, v, is_causal=not self.is_image, **fused)
        x = x + self.linear(p["proj"], a.reshape(batch, length, dim))
        return x + self.linear(p["out"], jax.nn.gelu(self.linear(p["fc"], self.norm(p["n2"], x))))

    def embedded(self, p: Any, x: Any) -> Any:
        if not self.is_image:
            return p["tok"][x] + p["pos"]
        tiles = x.reshape(x.shape[0], 3, 8, 4, 8, 4).transpose(0, 2, 4, 3, 5, 1)
        patches = self.linear(p["patch"], tiles.reshape(x.shape[0], 64, PATCH_INPUTS))
        summaries = jnp.broadcast_to(p["cls"], (x.shape[0], SUMMARIES, self.config.dim))
        return jnp.concatenate([summaries, patches], 1) + p["pos"]

    def loss(self, p: Any, x: Any, y: Any) -> Any:
        h = self.embedded(p, x).astype(self.dtype)
        for block in p["blocks"]:
            h = self.block(block, h)
        h = self.norm(p["norm"], h)
        z = self.linear(p["head"], h[:, :SUMMARIES].mean(1) if self.is_image else h)
        wide = z.astype(jnp.float32)
        return optax.softmax_cross_entropy_with_integer_labels(wide, y).mean()


def jax_step(workload: Workload) -> Callable[[], Any]:
    """A whole step on a fixed batch; each call's result is what `synchronize` waits for."""
    precision = "tensorfloat32" if workload.precision == "tf32" else "bfloat16"
    jax.config.update("jax_default_matmul_precision", precision)
    model = Model(workload)
    opt = optax.adamw(1e-3, b1=0.9, b2=0.95, weight_decay=0.1)
    p = model.parameters()
    state = [p, opt.init(p)]
    x, y = (jnp.asarray(a) for a in batch_of(workload.config, seed=1))

    def change(p: Any, s: Any, x: Any, y: Any) -> Any:
        loss, grads = jax.value_and_grad(model.loss)(p, x, y)
        updates, s = opt.update(grads, s, p)
        return optax.apply_updates(p, updates), s, loss

    jitted = jax.jit(change, donate_argnums=(0, 1))

    def step() -> Any:
        state[0], state[1], _last[0] = jitted(*state, x, y)

    return step


_last: list[Any] = [None]


def synchronize() -> None:
    """Wait for the newest step."""
    if _last[0] is not None:
        _last[0].block_until_ready()


def peak_bytes() -> int:
    """The most memory that arrays took."""
    return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
