"""Programs whose state lies in containers that are changed.

Inner functions are as users write them, without annotations.
"""

# pyright: reportAttributeAccessIssue=none, reportFunctionMemberAccess=none, reportIndexIssue=none
# pyright: reportArgumentType=none, reportOptionalSubscript=none, reportUntypedNamedTuple=none
# (Programs change what their types say is fixed.)

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


@dataclass
class Settings:
    """A configuration with a default of each kind."""

    scale: float = 2.0
    on: bool = True
    names: list[str] = field(default_factory=list[str])
    w: Any = None


@TABLE.function()
def state_kept_in_a_dict(w: World) -> Fn:
    state = {}
    w.log.append(state)

    def fn(x):
        state["previous"] = state.get("previous", 0) * 0.5 + x
        return state["previous"] * 2

    return fn


@TABLE.function()
def state_kept_in_a_dataclass(w: World) -> Fn:
    state = Settings()
    w.log.append(state)

    def fn(x):
        state.w = x if state.w is None else state.w + x
        state.names.append(f"call {len(state.names)}")
        return state.w

    return fn


@TABLE.function()
def kinds_of_containers_are_changed(w: World) -> Fn:
    counts, order, queue, groups = Counter(), OrderedDict(), deque(maxlen=2), defaultdict(list)
    w.log += [counts, order, groups]

    def fn(x):
        counts["calls"] += 1
        order[f"k{counts['calls']}"] = x.sum()
        queue.append(x)
        groups["all"].append(x * 2)
        order.move_to_end("k1", last=False)
        return sum(queue)

    return fn


@TABLE.function()
def number_written_into_what_was_found(w: World) -> Fn:
    state = {"kept": {}}
    w.log.append(state)

    def pick(d):
        return d["kept"]

    def fn(x):
        pick(state)["n"] = len(state["kept"])
        return x * 2

    return fn


@TABLE.program()
def argument_written_into_what_was_found(w: World) -> Call:
    state = {"kept": {}}
    w.log.append(state)

    def pick(d):
        return d["kept"]

    def fn(x, n):
        kept = pick(state)
        kept["n"] = n
        kept["half"] = n / 2
        return x * n

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3), 1.5 + i)


@TABLE.function()
def write_through_an_alias(w: World) -> Fn:
    state = [0, 0]
    w.log.append(state)

    def fn(x):
        mine = state
        mine[0] += 1
        return x * mine[0]

    return fn


@TABLE.program()
def length_of_a_list_changes(w: World) -> Call:
    parts = []
    call = w.compile(lambda x: sum(parts, x))

    def step(i):
        if i in (1, 3):
            parts.append(w.data(10 + i, 3))
        return call(w.data(i, 3))

    return step


@TABLE.program()
def element_of_a_list_is_replaced(w: World) -> Call:
    parts = [w.data(7, 3), w.data(8, 3)]
    call = w.compile(lambda x: x * parts[0] + parts[1])

    def step(i):
        if i in (1, 3):
            parts[i % 2] = w.data(10 + i, 3)
        return call(w.data(i, 3))

    return step


@TABLE.program()
def number_in_a_dict_changes(w: World) -> Call:
    config = {"rate": 1.0, "mode": "a", "inner": {"depth": 1}}

    def fn(x):
        x = x * config["rate"]
        for _ in range(config["inner"]["depth"]):
            x = x + 1
        return x if config["mode"] == "a" else -x

    call = w.compile(fn)

    def step(i):
        config["rate"], config["mode"] = 1.0 + i, "ab"[i == 3]
        config["inner"]["depth"] = 1 + (i > 1)
        return call(w.data(i, 3))

    return step


@TABLE.program()
def set_membership_changes(w: World) -> Call:
    active = {"a"}
    call = w.compile(lambda x: x * 2 if "b" in active else x)

    def step(i):
        active.symmetric_difference_update({"b"} if i == 2 else set())
        return call(w.data(i, 3))

    return step
