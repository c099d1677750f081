"""Regions over tensors without elements, some of which a function may not look at."""

from collections.abc import Callable
from typing import Any

import pytest

import ostinato as ot
import ostinato.nn.functional as F


def attended(values: Any) -> Any:
    """Rows of x by what they look at."""
    keys = ot.ones(values.shape[0], 4)
    return F.scaled_dot_product_attention(keys, keys, values)


# Of x of two axes.
CASES: dict[str, Callable[[Any], Any]] = {
    "pointwise": lambda x: F.gelu(x) * 2 + 1,
    "sums": lambda x: (x.sum(), x.sum(0), x.mean(-1), x.prod(1)),
    "softmax": lambda x: F.softmax(ot.cat([x, ot.ones(x.shape[0], 1)], 1), -1) * 2,
    "softmax of nothing": lambda x: (F.softmax(x, 0), F.softmax(x, 1), F.log_softmax(x, 1)),
    "no classes": lambda x: F.cross_entropy(x, ot.full((x.shape[0],), -100), reduction="sum"),
    "norms": lambda x: F.layer_norm(x, (x.shape[-1],)) + F.rms_norm(x, (x.shape[-1],)),
    "products": lambda x: (x @ x.t(), x.t() @ x),
    "linear": lambda x: F.linear(x, ot.ones(4, x.shape[1]), ot.ones(4)).relu(),
    "attention": lambda x: attended(x),
    "loss": lambda x: F.mse_loss(x, x * 0, reduction="sum"),
    "running": lambda x: x.cumsum(-1),
    "moved": lambda x: ot.cat([x, x.flip(0)]).t(),
    "dropped": lambda x: F.dropout(x, 0.5),
}


def outcome(fn: Callable[[Any], Any], shape: tuple[int, ...]) -> list[Any]:
    """Shapes and elements of the results and of the gradient."""
    x = ot.zeros(*shape, requires_grad=True)
    made = fn(x)
    results = list(made) if isinstance(made, tuple) else [made]
    total = results[0].sum()
    for r in results[1:]:
        total = total + r.sum()
    total.backward()
    assert x.grad is not None
    return [(tuple(t.shape), t.tolist()) for t in (*results, x.grad)]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
@pytest.mark.parametrize("name", CASES)
def test_results_are_the_eager_ones(name: str, shape: tuple[int, ...]) -> None:
    compiled = ot.compile(CASES[name])
    wanted = outcome(CASES[name], shape)
    assert str(outcome(compiled, shape)) == str(wanted)  # texts, since NaN is not itself
    assert str(outcome(compiled, shape)) == str(wanted)


def test_what_has_nothing_to_choose_from_is_refused_alike() -> None:
    x = ot.zeros(3, 0)
    for fn in (lambda x: x.amax(1), lambda x: x.argmin(1)):
        with pytest.raises(ot.ShapeError) as eager:
            fn(x)
        with pytest.raises(ot.ShapeError) as compiled:
            ot.compile(fn)(x)
        assert str(compiled.value).startswith(str(eager.value))
