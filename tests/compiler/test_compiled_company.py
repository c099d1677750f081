"""Compiled functions that are copied, pickled, called by several threads at once, and that other
processes go on with."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

import ostinato as ot
from ostinato import nn
from ostinato.codegen import cache
from ostinato.compiler.compiled import Compiled
from ostinato.compiler.effects import silent_ends


@ot.compile
def doubled(x: Any) -> Any:
    return x * 2


def tripled(x: Any) -> Any:
    return x * 3


class Net(nn.Module):
    """With a compiled method of the class, and one that each has."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ot.ones(2))
        self.own = ot.compile(self.plain)

    def plain(self, x: Any) -> Any:
        return x * self.weight

    @ot.compile
    def forward(self, x: Any) -> Any:
        return x + self.weight


def loaded(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


OPTIONS: dict[str, Any] = {
    "fullgraph": True, "verify": 0.25, "check": 3, "limit": 5, "on_event": {"break": "warn"},
    "dims": {"x": {0: ot.Bucket(4, 8)}},
}  # fmt: skip


@pytest.mark.parametrize("again", [loaded, copy.copy, copy.deepcopy])
def test_copies_are_captured_anew_with_the_same_options(again: Callable[[Any], Any]) -> None:
    compiled = ot.compile(tripled, **OPTIONS)
    assert compiled(ot.ones(3)).tolist() == [3.0] * 3
    other = again(compiled)
    assert type(other) is Compiled and other is not compiled and other.fn is tripled
    assert not other.ledger and other(ot.ones(3)).tolist() == [3.0] * 3
    assert other.check.when == OPTIONS["check"]
    for name in ("fullgraph", "verify", "limit", "on_event"):
        assert getattr(other, name) == OPTIONS[name]
    assert "bucket N in [1, 4]" in str(other.ledger)


@pytest.mark.parametrize("again", [loaded, copy.copy, copy.deepcopy])
def test_a_decorated_function_goes_by_its_name(again: Callable[[Any], Any]) -> None:
    assert again(doubled) is doubled
    assert again(Net.forward) is Net.forward


def test_a_function_of_no_name_is_not_pickled() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(ot.compile(lambda x: x))


@pytest.mark.parametrize("again", [loaded, copy.deepcopy])
def test_compiled_methods_of_a_copy_are_its_own(again: Callable[[Any], Any]) -> None:
    net, x = Net(), ot.ones(2)
    assert (net(x).tolist(), net.own(x).tolist()) == ([2.0] * 2, [1.0] * 2)
    other = again(net)
    with ot.no_grad():
        other.weight.mul_(5)
    assert (other(x).tolist(), other.own(x).tolist()) == ([6.0] * 2, [5.0] * 2)
    assert (net(x).tolist(), net.own(x).tolist()) == ([2.0] * 2, [1.0] * 2)


def test_a_method_shows_what_its_function_has() -> None:
    net = Net()
    net.forward(ot.ones(2))
    assert net.forward.ledger is Net.forward.ledger and net.forward.__self__ is net
    assert "variant of Net.forward" in str(net.forward.ledger)


def together(count: int, call: Callable[[int], Any]) -> list[Any]:
    """What `call` gives for each number, by threads that begin at once."""
    made: list[Any] = [None] * count
    gate = threading.Barrier(count)

    def work(k: int) -> None:
        gate.wait()
        made[k] = call(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made


def test_first_calls_at_once_are_captured_once() -> None:
    compiled = ot.compile(lambda x: (x * 2).tanh())
    made = together(6, lambda k: compiled(ot.full((3,), float(k))))
    assert [m.tolist() for m in made] == [ot.full((3,), 2.0 * k).tanh().tolist() for k in range(6)]
    assert len(compiled.ledger) == len(compiled.variants) == 1


def test_captures_that_overlap_leave_the_hook_that_was_there() -> None:
    before = sys.unraisablehook
    one, other = ExitStack(), ExitStack()
    for stack in (one, other):
        stack.enter_context(silent_ends)
    assert sys.unraisablehook is not before
    one.close()
    assert sys.unraisablehook is not before
    other.close()
    assert sys.unraisablehook is before


def test_a_thread_that_the_capture_waits_for_may_call_it_too() -> None:
    def fn(x: Any, deep: list[bool]) -> Any:
        made: list[Any] = []
        if deep:
            thread = threading.Thread(target=lambda: made.append(compiled(x.detach(), [])))
            thread.start()
            thread.join()
        return x * 2 + sum(made)

    compiled = ot.compile(fn, verify="follow")
    assert compiled(ot.ones(2), [True]).tolist() == [4.0, 4.0]


def test_what_has_no_value_yet_is_refused_in_another_thread() -> None:
    texts: list[str] = []

    def read(x: Any) -> None:
        with pytest.raises(ot.CaptureError) as refused:
            x.tolist()
        texts.append(str(refused.value))

    def fn(x: Any) -> Any:
        y = x * 2
        thread = threading.Thread(target=read, args=(y,))
        thread.start()
        thread.join()
        return y

    assert ot.compile(fn)(ot.ones(2)).tolist() == [2.0, 2.0]
    assert texts[0].startswith(
        "capture: this tensor has no value: the capture that made it ended with an error, or goes "
        "on in another thread; call the function again, or return the tensor before other threads "
        "take it"
    )


def outcome_of_child(check: Callable[[], bool], seconds: float) -> int | None:
    """The status of a forked process that ends with what `check` says; None where it hangs."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            status = 0 if check() else 1
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def test_a_child_compiles_though_another_thread_did_at_the_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Locks that the thread held stay as they are in the child, where it is not."""
    monkeypatch.setenv(cache.DIRECTORY, "0")
    compiled = ot.compile(lambda x: x.exp() + 1)
    compiled(ot.zeros(2))
    over = threading.Event()

    def compile_all() -> None:
        while not over.is_set():
            ot.compile(lambda x: (x * 2).tanh())(ot.ones(3))

    def check() -> bool:
        fresh = ot.compile(lambda x: x.sin() + 2)
        return [f(ot.zeros(2)).tolist() for f in (compiled, fresh)] == [[2.0] * 2] * 2

    thread = threading.Thread(target=compile_all)
    thread.start()
    try:
        found = [outcome_of_child(check, 30.0) for _ in range(6)]
    finally:
        over.set()
        thread.join()
    assert found == [0] * 6
