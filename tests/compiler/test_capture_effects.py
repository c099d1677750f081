"""Changes that a captured function makes outside of itself: each is refused, naming the line, or
leaves nothing behind that a replay would have to repeat."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot

OUTSIDE: list[Any] = [0, 1, 2]
RECORD: dict[str, Any] = {"n": 0}
MEMBERS: set[int] = {1}
ARRAY = np.zeros(3)
QUEUE: collections.deque[Any] = collections.deque([1, 2])
COUNTER = itertools.count()
WALK = iter([1, 2, 3])


class Holder:
    """Something that holds containers."""

    def __init__(self) -> None:
        self.items: list[Any] = [0]
        self.nested = {"inner": [0]}
        self.data: Any = None


HOLDER = Holder()


def slice_store(x: Any) -> Any:
    OUTSIDE[:] = [x]
    return x + 1


def item_store(x: Any) -> Any:
    OUTSIDE[0] = x
    return x + 1


def item_deleted(x: Any) -> Any:
    del OUTSIDE[0]
    return x + 1


def slice_deleted(x: Any) -> Any:
    del OUTSIDE[1:]
    return x + 1


def item_added_to(x: Any) -> Any:
    OUTSIDE[0] += 1
    return x + 1


def added_to_an_alias(x: Any) -> Any:
    seen = OUTSIDE
    seen += [1]
    return x + 1


def entry_store(x: Any) -> Any:
    RECORD["n"] = 1
    return x + 1


def entry_added_to(x: Any) -> Any:
    RECORD["n"] += 1
    return x + 1


def attribute_item(x: Any) -> Any:
    HOLDER.items[0] = x
    return x + 1


def nested_item(x: Any) -> Any:
    HOLDER.nested["inner"][0] = x
    return x + 1


def item_of_a_call(x: Any) -> Any:
    vars(HOLDER)["items"] = x
    return x + 1


def alias_in_a_loop(x: Any) -> Any:
    for part in (OUTSIDE,):
        part[0] = x
    return x + 1


def array_item(x: Any) -> Any:
    ARRAY[0] = 1
    return x + 1


def array_in_place(x: Any) -> Any:
    array = ARRAY
    array += 1
    return x + 1


def set_merged(x: Any) -> Any:
    members = MEMBERS
    members |= {2}
    return x + 1


def reader_of_an_iterator(x: Any) -> Any:
    for _ in WALK:
        x = x + 1
    return x


def next_of_a_counter(x: Any) -> Any:
    return x * next(COUNTER)


def attribute_like_a_tensors(x: Any) -> Any:
    HOLDER.data = x
    return x + 1


def method(name: str, owner: Any, *args: Any) -> Callable[[Any], Any]:
    def fn(x: Any) -> Any:
        getattr(owner, name)(*args)
        return x + 1

    return fn


ITEMS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "x[:] = ": (slice_store, "a write into `OUTSIDE`"),
    "x[k] =": (item_store, "a write into `OUTSIDE`"),
    "del x[k]": (item_deleted, "a write into `OUTSIDE`"),
    "del x[k:]": (slice_deleted, "a write into `OUTSIDE`"),
    "x[k] +=": (item_added_to, "a write into `OUTSIDE`"),
    "x += [...]": (added_to_an_alias, "a change of `seen`"),
    "d[k] =": (entry_store, "a write into `RECORD`"),
    "d[k] +=": (entry_added_to, "a write into `RECORD`"),
    "o.x[k] =": (attribute_item, "a write into `HOLDER`"),
    "o.d[k][0] =": (nested_item, "a write into `HOLDER`"),
    "f(o)[k] =": (item_of_a_call, "a write into `vars`"),
    "an alias": (alias_in_a_loop, "a write into `part`"),
    "an array": (array_item, "a write into `ARRAY`"),
    "array += 1": (array_in_place, "`ARRAY` leads to the content of a ndarray, which"),
    "set |= ...": (set_merged, "a change of `members`"),
    "o.data =": (attribute_like_a_tensors, "a write to `data`"),
    "an iterator that is used up": (
        reader_of_an_iterator,
        "`WALK` leads to an iterator, which",
    ),
    "an iterator that goes on": (next_of_a_counter, "`COUNTER` leads to an iterator, which"),
    "a call": (method("append", OUTSIDE, 1), "a call of `list.append`"),
}
METHODS: list[tuple[str, Any, tuple[Any, ...]]] = [
    ("append", OUTSIDE, (1,)), ("extend", OUTSIDE, ([1],)), ("insert", OUTSIDE, (0, 1)),
    ("pop", OUTSIDE, ()), ("remove", OUTSIDE, (1,)), ("clear", OUTSIDE, ()),
    ("sort", OUTSIDE, ()), ("reverse", OUTSIDE, ()), ("update", RECORD, ({"n": 2},)),
    ("pop", RECORD, ("n",)), ("popitem", RECORD, ()), ("setdefault", RECORD, ("m", 1)),
    ("clear", RECORD, ()), ("add", MEMBERS, (3,)), ("discard", MEMBERS, (1,)),
    ("update", MEMBERS, ([4],)), ("clear", MEMBERS, ()), ("append", QUEUE, (1,)),
    ("popleft", QUEUE, ()),
]  # fmt: skip


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The containers are as they were."""
    OUTSIDE[:] = [0, 1, 2]
    RECORD.clear()
    RECORD["n"] = 0
    MEMBERS.clear()
    MEMBERS.add(1)
    ARRAY[:] = 0
    QUEUE.clear()
    QUEUE.extend([1, 2])
    HOLDER.__init__()


def refusal(fn: Callable[[Any], Any]) -> str:
    with pytest.raises(ot.CaptureError) as caught:
        ot.compile(fn, verify="trust")(ot.ones(3))
    return str(caught.value)


@pytest.mark.parametrize("name", ITEMS)
def test_a_write_into_what_lies_outside_is_refused(name: str) -> None:
    fn, what = ITEMS[name]
    message = refusal(fn)
    lines = [f"{__file__}:{fn.__code__.co_firstlineno + i}" for i in range(1, 4)]
    assert message in [
        f"capture: {what} at {line} would not be repeated by a replay; do it outside the compiled "
        "function, or return the value"
        for line in lines
    ]


@pytest.mark.parametrize(
    ("name", "owner", "args"), METHODS, ids=[f"{type(o).__name__}.{n}" for n, o, _ in METHODS]
)
def test_a_method_that_changes_what_lies_outside_is_refused(
    name: str, owner: Any, args: tuple[Any, ...]
) -> None:
    assert f"a call of `{type(owner).__name__}.{name}` at " in refusal(method(name, owner, *args))


# What may be done.


def collects(x: Any) -> Any:
    made = []
    for _ in range(3):
        x = x.sin()
        made.append(x * 2)
    made[0] = x
    made += [x.exp()]
    made.reverse()
    return ot.stack(made)


def names(x: Any) -> Any:
    found: dict[str, Any] = {}
    found["a"] = x * 2
    found.update(b=x * 3)
    return found


def tensor_items(x: Any) -> Any:
    h = x * 2
    h[0] = 1.0
    h.t()[1:] = 3.0
    h[1:2][0] += 1
    h += 1
    return h


def numbers(x: Any) -> Any:
    n = 1
    n += 2
    shape = (3,)
    shape += (1,)
    return x.reshape(shape) * n


ALLOWED = {f.__name__: f for f in (collects, names, tensor_items, numbers)}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_made_inside_may_be_changed(name: str) -> None:
    compiled = ot.compile(ALLOWED[name])
    for seed in range(3):
        x = ot.from_numpy(np.random.default_rng(seed).standard_normal(3))
        want, got = ALLOWED[name](x), compiled(x)
        if isinstance(want, dict):
            want, got = ot.stack([*want.values()]), ot.stack([*got.values()])
        np.testing.assert_allclose(got.numpy(), want.numpy())
    assert len(compiled.variants) == 1


def test_a_name_that_may_be_another_container_is_not_taken_for_a_fresh_one() -> None:
    def fn(x: Any, flag: bool = True) -> Any:
        made: list[Any] = []
        if flag:
            made = OUTSIDE
        made.append(1)
        return x + 1

    assert "a call of `list.append`" in refusal(fn)
