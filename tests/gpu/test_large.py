"""More rows than an axis of a grid has blocks, and more elements than 32 bits count."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from device_cases import assert_alike, on_cpu, on_cuda

NUMBERS = np.random.default_rng(0)
ROWS = 70_001
BEYOND = (1 << 31) + 24
GIB = 1 << 30


def floats(*shape: int) -> Any:
    return NUMBERS.standard_normal(shape).astype("float32")


# Of x (ROWS, 6), and what they are given besides.
CALLS: dict[str, Callable[[Any], Any]] = {
    "pointwise": lambda x: (x * 2 + x[:, :1]).exp(),
    "sum of rows": lambda x: x.sum(1),
    "sum of columns": lambda x: x.reshape(6, -1).sum(0),
    "softmax": lambda x: F.softmax(x, -1),
    "layer_norm": lambda x: F.layer_norm(x, (6,)),
    "running": lambda x: x.cumsum(1),
    "running down": lambda x: x.reshape(6, -1).cumsum(0),
    "topk": lambda x: x.topk(3, 1)[0],
    "planes transposed": lambda x: x.reshape(-1, 2, 3).permute(0, 2, 1).clone(),
    "tall transposed": lambda x: x.t().clone(),
    "products": lambda x: x.reshape(-1, 2, 3) @ x.reshape(-1, 3, 2),
    "integer products": lambda x: x.long().reshape(-1, 2, 3) @ (x * 9).long().reshape(-1, 3, 2),
    "gathered": lambda x: x.gather(1, (x * 0).long() + 2),
    "embedded": lambda x: F.embedding((x[:, 0] * 0).long() + 69_999, x),
    "losses": lambda x: F.cross_entropy(x, (x[:, 0] * 0).long() + 2),
}  # fmt: skip
ATTENTION = "heads of attention"


def attended(x: Any) -> Any:
    """Attention of ROWS heads of two queries each."""
    heads = x.reshape(-1, 2, 3)
    return F.scaled_dot_product_attention(heads, heads, heads)


@pytest.mark.parametrize("way", ["eager", "compiled"])
@pytest.mark.parametrize("name", [*CALLS, ATTENTION])
def test_many_rows(name: str, way: str) -> None:
    fn = CALLS.get(name, attended)
    x = floats(ROWS, 6)
    leaf = on_cuda(x).requires_grad_()
    found = (ot.compile(fn) if way == "compiled" else fn)(leaf)
    mine = on_cpu(x).requires_grad_()
    wanted = fn(mine)
    assert_alike([found.detach()], [wanted.detach()], 2.0**-12)
    if not wanted.requires_grad:
        return
    for t in (found, wanted):
        t.backward(ot.ones_like(t))
    assert_alike([leaf.grad], [mine.grad], 2.0**-12)


def ends(x: Any) -> list[int]:
    """The first and last elements, as integers."""
    return [*x[:3].long().tolist(), *x[-3:].long().tolist()]


# Of x with BEYOND bytes: what comes first and last.
BEYOND_CALLS: dict[str, tuple[Callable[[Any], Any], list[int]]] = {
    "flat": (lambda x: x * 3 + 1, [1, 1, 1, 7, 10, 13]),
    "converted": (lambda x: x.to(ot.int16) - 5, [-5, -5, -5, -3, -2, -1]),
    "copied": (lambda x: x.clone(), [0, 0, 0, 2, 3, 4]),
    "chosen": (lambda x: ot.where(x > 2, x, x + 9), [9, 9, 9, 11, 3, 4]),
    "transposed": (lambda x: (x.reshape(2, -1).t() + 1).reshape(-1), [1, 1, 1, 4, 1, 5]),
    "halves": (lambda x: (x.reshape(2, -1) + x[:2].reshape(2, 1)).reshape(-1), [0, 0, 0, 2, 3, 4]),
    "sliced": (lambda x: x[1:] + 1, [1, 1, 1, 3, 4, 5]),
}  # fmt: skip


@pytest.fixture(scope="module")
def far() -> Any:
    """BEYOND bytes, all zero but the last three: 2, 3, 4."""
    if ot.cuda.mem_get_info()[0] < 24 * GIB:
        pytest.skip("needs 24 GiB of the device")
    x = ot.zeros(BEYOND, dtype=ot.uint8, device="cuda")
    x[-3:] = ot.tensor([2, 3, 4], dtype=ot.uint8, device="cuda")
    return x


@pytest.mark.parametrize("way", ["eager", "compiled"])
@pytest.mark.parametrize("name", BEYOND_CALLS)
def test_many_elements(name: str, way: str, far: Any) -> None:
    fn, wanted = BEYOND_CALLS[name]
    y = (ot.compile(fn) if way == "compiled" else fn)(far)
    assert ends(y) == wanted
    del y
    ot.cuda.empty_cache()


@pytest.mark.parametrize("way", ["eager", "compiled"])
def test_many_elements_are_added_up_or_refused(way: str, far: Any) -> None:
    fn = lambda x: x.sum()  # noqa: E731
    try:
        found = (ot.compile(fn) if way == "compiled" else fn)(far)
    except ot.ShapeError as error:
        assert str(error).startswith("sum: 2147483672 elements; on CUDA give fewer than 2^31")
    else:
        assert found.item() == 9


def test_many_elements_of_a_product() -> None:
    if ot.cuda.mem_get_info()[0] < 24 * GIB:
        pytest.skip("needs 24 GiB of the device")
    x = ot.ones(ROWS, 2, dtype=ot.bfloat16, device="cuda")
    y = x @ ot.ones(2, 40_000, dtype=ot.bfloat16, device="cuda")
    assert y.numel() > 1 << 31
    assert (y[-1, -3:].tolist(), y[0, :3].tolist()) == ([2.0] * 3, [2.0] * 3)
    last = ot.compile(lambda y: (y * 2)[-1])(y)
    assert (last.amin().item(), last.amax().item()) == (4.0, 4.0)
