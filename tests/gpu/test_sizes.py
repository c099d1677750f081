"""Tensors of several blocks: sums in two stages, rows of every length, sorts of several passes."""

from typing import Any

import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from device_cases import Place, assert_alike, on_cpu, on_cuda, transposed
from op_cases import flat
from ostinato.runtime import _C

NUMBERS = np.random.default_rng(0)


def floats(*shape: int, numbers: Any = NUMBERS) -> Any:
    return numbers.standard_normal(shape).astype("float32")


def ints(high: int, *shape: int) -> Any:
    return NUMBERS.integers(0, high, shape)


REDUCED = [
    ((3, 40001), 1), ((20001, 40), 0), ((2, 5000, 33), 1), ((64, 33, 65), 2), ((301, 7), 0),
    ((1000, 130), 1), ((7, 1030), 1), ((700, 132), 0), ((90, 5, 8), 0),
]  # fmt: skip
REDUCTIONS = ("sum", "mean", "prod", "amax", "amin", "argmax", "argmin", "var", "std", "any", "all")


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(("shape", "dim"), REDUCED)
def test_reductions(name: str, shape: tuple[int, ...], dim: int) -> None:
    # The same ones whatever ran before: of sums that cancel, no digit is certain.
    x = np.round(floats(*shape, numbers=np.random.default_rng(1)), 2)
    x = x + (1 if name in ("any", "all") else 0)
    x = np.sign(x) * 1.001 if name == "prod" else x
    for place in (on_cuda, transposed):
        for dims in (dim, None):
            axis = dims if dims is None or name.startswith("arg") else (dims,)
            found, wanted = (_C.call(name, p(x), axis) for p in (place, on_cpu))
            # Sums of 10^5 elements round on either device.
            assert_alike([found], [wanted], 2.0**-14)


N = 5000
CALLS: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    **{
        f"{name} of {n}": (name, [floats(rows, n), 1], {})
        for name in ("softmax", "log_softmax")
        for rows, n in ((300, 128), (40, 600), (9, 33), (7, 5000))
    },
    **{
        f"{name} of {n}": (name, [floats(rows, n), (n,), floats(n)], {})
        for name in ("layer_norm", "rms_norm")
        for rows, n in ((700, 96), (5, 5000), (33, 35))
    },
    **{
        f"cross_entropy of {n}": ("cross_entropy", [floats(rows, n), ints(n, rows)], {})
        for rows, n in ((500, 100), (20, 5000), (30, 601))
    },
    "sum of wide columns": ("sum", [floats(3, 900, 64).astype("float16"), (0, 1)], {}),
    "sum of two axes": ("sum", [floats(300, 5, 8), (0,)], {}),
    "cumsum of rows": ("cumsum", [floats(5, 3001), 1], {}),
    "cumsum of columns": ("cumsum", [floats(300, 70), 0], {}),
    "embedding gradient": ("index_select_backward", [floats(N, 24), ints(3000, N)],
                           {"dim": 0, "size": (3000, 24)}),
    **{
        f"gradient of {rows} rows of {inner}": (
            "index_select_backward", [np.round(floats(N, inner) * 8), ints(rows, N)],
            {"dim": 0, "size": (rows, inner)},
        )
        for rows, inner in ((1, 8), (3, 5), (40, 132))
    },
    "index_add": ("index_add", [floats(4, 300, 3), 1, ints(300, N), floats(4, N, 3)], {}),
    "scatter_add": ("scatter_add", [floats(70, 400), 1, ints(400, 60, 50), floats(60, 50)], {}),
    "gather": ("gather", [floats(70, 400), 1, ints(400, 60, 50)], {}),
    "index_select": ("index_select", [floats(300, 64), 0, ints(300, N)], {}),
    "broadcast": ("add", [floats(64, 1, 48), floats(33, 48)], {}),
    "broadcast rows": ("mul", [floats(640, 48), floats(640, 1)], {}),
    "cat": ("cat", [[floats(70, 30), floats(50, 30)], 0], {}),
}  # fmt: skip


def called(call: tuple[str, list[Any], dict[str, Any]], place: Place) -> list[Any]:
    name, positional, keyed = call

    def placed(v: Any) -> Any:
        if isinstance(v, list):
            return [placed(w) for w in v]  # pyright: ignore[reportUnknownVariableType]
        return place(v) if isinstance(v, np.ndarray) else v

    return flat(_C.call(name, *map(placed, positional), **keyed))


@pytest.mark.parametrize("place", [on_cuda, transposed])
@pytest.mark.parametrize("name", CALLS)
def test_large_calls(name: str, place: Place) -> None:
    assert_alike(called(CALLS[name], place), called(CALLS[name], on_cpu))


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(100, 70), (3, 65, 33), (2, 40, 3, 50)])
def test_transposed_copies(shape: tuple[int, ...], dtype: str) -> None:
    x = (floats(*shape) * 9).astype(dtype)
    assert_alike([_C.call("clone", transposed(x))], [on_cpu(x)], 0.0)
    dense = on_cuda(np.zeros(shape, dtype))
    dense.copy_(transposed(x))
    assert_alike([dense], [on_cpu(x)], 0.0)


@pytest.mark.parametrize("rows", [700, 40])
@pytest.mark.parametrize("op", ["layer_norm", "rms_norm"])
def test_gradients_of_norms(op: str, rows: int) -> None:
    x, weight, g = floats(rows, 96), floats(96), floats(rows, 96)
    outcomes: list[Any] = []
    for place in (on_cuda, on_cpu):
        leaves = [place(v).requires_grad_() for v in (x, weight)]
        _C.call(op, leaves[0], (96,), leaves[1]).backward(place(g))
        outcomes.append([leaf.grad for leaf in leaves])
    assert_alike(outcomes[0], outcomes[1], 2.0**-17)


@pytest.mark.parametrize("name", ["rand", "randn", "randint", "randperm"])
def test_random_tensors(name: str) -> None:
    attrs: dict[str, Any] = {"n": N} if name == "randperm" else {"size": (N + 3,)}
    attrs |= {"low": -3, "high": 90} if name == "randint" else {}
    made: list[Any] = []
    for device in ("cuda", "cpu"):
        with ot.device(device):
            made.append(_C.call(name, **attrs, rng=ot.Generator(3)))
    assert_alike([made[0]], [made[1]], 2.0**-22 if name == "randn" else 0.0)


def test_a_cpu_tensor_without_axes_goes_along_with_every_kernel() -> None:
    logits, target = np.array([0.5, -1.0, 2.0], "float32"), np.array(2)
    found = F.cross_entropy(on_cuda(logits), on_cpu(target))
    assert_alike([found], [F.cross_entropy(on_cpu(logits), on_cpu(target))], 2.0**-20)
    assert found.device.type == "cuda"


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_rows_without_classes_have_losses(reduction: Any) -> None:
    """They are written, wherever memory that held something else serves them."""
    logits, target = np.zeros((3, 0), "float32"), np.full(3, -100)
    used = on_cuda(np.full(3, 7.0, "float32")).clone()
    del used
    found = F.cross_entropy(on_cuda(logits), on_cuda(target), reduction=reduction)
    assert_alike([found], [F.cross_entropy(on_cpu(logits), on_cpu(target), reduction=reduction)], 0)
