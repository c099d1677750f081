"""Functions whose arguments are padded to buckets: those that must give what eager ops give at each
size, and those that must be refused, with what is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ostinato as ot
import ostinato.nn.functional as F
from ostinato import nn

Arguments = tuple[Any, ...]
Dims = Mapping[str, Mapping[int, Any]]
DIM = 6
FEW = ot.Bucket(16, 40)
ROWS: Dims = {"x": {0: FEW}}
BOTH: Dims = {"x": {0: FEW}, "y": {0: FEW}}
LENGTH: Dims = {"x": {1: FEW}}


@dataclass(frozen=True)
class Case:
    """A function, its arguments for a size, and the axes that are padded."""

    fn: Callable[..., Any]
    given: Callable[[int], Arguments]
    dims: Dims = field(default_factory=lambda: ROWS)
    why: str = ""
    """What refuses it."""

    @property
    def name(self) -> str:
        """What a failing test is called."""
        return self.fn.__name__


def rows(n: int) -> Arguments:
    return (ot.randn(n, DIM),)


def line(n: int) -> Arguments:
    return (ot.randn(n),)


def pair(n: int) -> Arguments:
    return ot.randn(n, DIM), ot.randn(n, DIM)


def labelled(n: int) -> Arguments:
    return ot.randn(n, DIM), ot.randint(0, DIM, (n,))


def sequences(n: int) -> Arguments:
    return (ot.randn(3, n, DIM),)


def words(n: int) -> Arguments:
    return (ot.randint(1, 9, (3, n)),)


def ints(n: int) -> Arguments:
    return (ot.randint(-50, -2, (n, 3)),)


def signs(n: int) -> Arguments:
    return (ot.randn(n, 3) > -9,)


WEIGHT = ot.randn(DIM, 4)
TABLE = ot.randn(64, DIM)
WORDS = ot.randn(9, DIM)
ONES = ot.ones(DIM)


def pointwise(x: Any) -> Any:
    return (x * 2 + 1).sigmoid(), 1 / (x - x)


def row_wise(x: Any) -> Any:
    return F.softmax(x, 1), x.sum(1), F.layer_norm(x, (DIM,)), x.argmax(1), x @ WEIGHT


def sums(x: Any) -> Any:
    y = x.exp()
    return y.sum(), y.sum(0), y.mean(), y.mean(0, keepdim=True), y.var(0), y.std(), y.norm()


def extremes(x: Any) -> Any:
    return x.amax(0), (-1 - x.abs()).amax(), x.abs().amin(0), x.argmax(0), (x + 9).argmin(0)


def of_ints(x: Any) -> Any:
    return x.amax(0), (-x).amin(0), x.sum(0), (x + 1).prod(), x.argmax(), x.cumsum(0)


def of_bools(x: Any) -> Any:
    y = ~x
    return x.all(0), x.all(), y.any(), y.any(0), y.sum(0)


def products(x: Any) -> Any:
    y = x.exp()
    return y.transpose(0, 1) @ x, (x + 1).prod(0), ONES @ y.transpose(0, 1) @ y


def softmax_over_it(x: Any) -> Any:
    return F.softmax(x, 0), F.log_softmax(x.exp(), 0), x.logsumexp(0)


def scaled_by_the_size(x: Any) -> Any:
    return x.sum(0) / x.shape[0], x * (2 * x.shape[0] + 3), x.shape[0]


def numbered(x: Any) -> Any:
    return x + ot.arange(x.shape[0]) * 3, (ot.arange(x.shape[0]) * x).sum()


def positions(x: Any) -> Any:
    return x + TABLE[: x.shape[1]], (TABLE[3 : 3 + x.shape[1]] * x).sum(1)


def first_ones(x: Any) -> Any:
    return x[:2] * 2, x[0], x[1:3].sum(), x[:, 1:4].sum()


def shapes(x: Any) -> Any:
    y = x.unsqueeze(0).expand(2, x.shape[0], DIM)
    return y.reshape(-1, DIM).sum(0), y.reshape(2, -1), x.flatten().cumsum(0), x.reshape(-1, 2, 3)


def flattened_behind(x: Any) -> Any:
    y = x.exp().flatten(0, 1)
    return y, y.sum(0), y.amax(0), F.softmax(y, 0), y.transpose(0, 1) @ y, y.cumsum(0)


def side_by_side(x: Any) -> Any:
    y = ot.cat([x, x * 2])
    return y.sum(0), y, ot.stack([x, x + 1], 1).flatten(0, 1), ot.cat([x, x], 1).mean(0)


def equal_everywhere(x: Any) -> Any:
    ones = ot.ones(x.shape[0], 3)
    return ones.sum(0), ones * 2, x.transpose(0, 1) @ ones, ones.cumsum(0), ones.argmax(0)


def repeated(x: Any) -> Any:
    n = x.shape[0]
    y = x.exp().unsqueeze(1).expand(n, 2 * n)
    return y.sum(0) + ot.cat([x, x]), y.sum(), y.sum(1), y.transpose(0, 1) @ ot.ones(n, 3)


def masked_square(x: Any) -> Any:
    scores = x @ x.transpose(0, 1)
    mask = ot.ones(x.shape[0], x.shape[0]).tril() > 0
    return F.softmax(ot.where(mask, scores, float("-inf")), -1) @ x, scores.triu().sum()


def attended(x: Any) -> Any:
    q = x.reshape(3, x.shape[1], 2, 3).transpose(1, 2)
    return F.scaled_dot_product_attention(q, q.exp(), q, is_causal=True).transpose(1, 2)


def seen_by_all(x: Any) -> Any:
    q = x.reshape(3, x.shape[1], 2, 3).transpose(1, 2)
    return F.scaled_dot_product_attention(q, q.exp(), q), F.scaled_dot_product_attention(x, x, x)


def of_words(x: Any) -> Any:
    return WORDS[x], WORDS[x - 1].sum(1), F.one_hot(x, 9).sum(1)


def picked(x: Any, y: Any) -> Any:
    at = y.unsqueeze(1)
    spread = ot.zeros(x.shape[0], DIM).scatter_add(1, at, x[:, :1])
    return x.gather(1, at), spread.sum(0), spread, ot.zeros(DIM).index_add(0, y, x[:, 0].exp())


def classified(x: Any, y: Any) -> Any:
    return (
        F.cross_entropy(x, y), F.cross_entropy(x, y, reduction="sum", label_smoothing=0.1),
        F.cross_entropy(x, y, reduction="none"), (x.argmax(1) == y).sum(),
    )  # fmt: skip


def compared(x: Any, y: Any) -> Any:
    return F.mse_loss(x, y), ((x - y) ** 2).sum(1).sqrt().mean(), (x * y).sum() / x.norm()


def largest_of_rows(x: Any) -> Any:
    return x.topk(2, 1)[0], x.flip(1)


def grown(x: Any) -> Any:
    return F.pad(x, (1, 2)).sum(0), F.pad(x, (0, 0, 2, 38 - x.shape[0]), value=2.0)


LAYER = nn.Linear(DIM, DIM)


def gradients_inside(x: Any, y: Any) -> Any:
    loss = F.cross_entropy(F.gelu(LAYER(x)), y)
    loss.backward()
    found = [p.grad for p in LAYER.parameters()]
    LAYER.zero_grad()
    return loss.detach(), found[0], found[1]


TABLE_OF_WORDS = nn.Embedding(9, DIM)


def learned_words(x: Any) -> Any:
    TABLE_OF_WORDS(x - 1).exp().sum().backward()
    found = TABLE_OF_WORDS.weight.grad
    TABLE_OF_WORDS.zero_grad()
    return found


RIGHT = [
    Case(pointwise, rows), Case(row_wise, rows), Case(sums, rows), Case(extremes, rows),
    Case(of_ints, ints), Case(of_bools, signs), Case(products, rows), Case(softmax_over_it, rows),
    Case(scaled_by_the_size, rows), Case(numbered, line), Case(positions, sequences, LENGTH),
    Case(first_ones, rows), Case(shapes, rows), Case(flattened_behind, sequences, LENGTH),
    Case(side_by_side, rows), Case(equal_everywhere, rows), Case(repeated, line),
    Case(masked_square, rows), Case(attended, sequences, LENGTH),
    Case(seen_by_all, sequences, LENGTH),
    Case(of_words, words, LENGTH), Case(picked, labelled, BOTH),
    Case(classified, labelled, BOTH), Case(compared, pair, BOTH), Case(largest_of_rows, rows),
    Case(grown, rows), Case(gradients_inside, labelled, BOTH),
    Case(learned_words, words, LENGTH),
]  # fmt: skip


def reversed_rows(x: Any) -> Any:
    return x.flip(0)


def drawn(x: Any) -> Any:
    return F.dropout(x, 0.5)


def noise(x: Any) -> Any:
    return x + ot.randn(x.shape[0], DIM)


def last(x: Any) -> Any:
    return x[-1] * 2


def all_but_the_last(x: Any) -> Any:
    return x[:-1] * 2


def every_second(x: Any) -> Any:
    return x[::2]


def sorted_rows(x: Any) -> Any:
    return x.topk(2, 0)[0]


def one_more(x: Any) -> Any:
    return ot.cat([x, ONES.unsqueeze(0)])


def turned(x: Any) -> Any:
    return x.reshape(DIM, -1) * 2


def place_in_all(x: Any) -> Any:
    return x.transpose(0, 1).argmax()


def in_place(x: Any) -> Any:
    return x.mul_(2).sum()


def halved_by_size(x: Any) -> Any:
    return x * x.shape[0] ** 0.5


def branched(x: Any) -> Any:
    return x * 2 if x.shape[0] > 20 else x - 1


def undeclared(x: Any, y: Any) -> Any:
    return x + y


def mixed_orders(x: Any) -> Any:
    return x.flatten() + x.transpose(0, 1).flatten()


DRAWS = (
    "a random op at {line} draws for padding too, after which other numbers come than eager ops "
    "draw; draw outside of the function"
)
HEAD = "{name}: axis 0 of x cannot be padded: "
REFUSED = [
    Case(reversed_rows, rows, why="flip at {line} reverses the padded axis; do that outside of "
         "the function"),
    Case(drawn, rows, why=DRAWS),
    Case(noise, rows, why=DRAWS),
    Case(last, rows, why="select at {line} takes another index for another size, as 10, 22, 36; do "
         "that outside of the function"),
    Case(all_but_the_last, rows, why="slice at {line} cuts a part off the padded axis whose size "
         "follows from the axis; do that outside of the function"),
    Case(every_second, rows, why="6, 12, 19 at {line} is no polynomial of the sizes; leave it out "
         "of dims"),
    Case(sorted_rows, rows, why="topk at {line} orders the elements of the padded axis; do that "
         "outside of the function"),
    Case(one_more, rows, why="cat at {line} joins tensors of other sizes along the padded axis; do "
         "that outside of the function"),
    Case(turned, rows, why="reshape at {line} splits or joins the padded axis in another order; do "
         "that outside of the function"),
    Case(place_in_all, rows, why="argmax at {line} counts places behind padding; name an axis"),
    Case(in_place, rows, why="x is changed in place; clone() it before"),
    Case(halved_by_size, rows, why="3.3166247903554, 4.795831523312719, 6.082762530298219 at "
         "{line} is no polynomial of the sizes; leave it out of dims"),
    Case(branched, rows, why="another size makes other ops, first at {line} (sub)"),
    Case(undeclared, pair, why="a call with 11 instead of 30 fails: add: shapes (11, 6) and "
         "(30, 6) do not broadcast; sizes must be equal or 1, counted from the last; name all "
         "arguments of that size in dims"),
    Case(mixed_orders, rows, why="add at {line} pairs elements whose padding lies in different "
         "places; do that outside of the function"),
]  # fmt: skip

SIZES = (5, 16, 17, 40, 3, 2, 33, 1, 16)
