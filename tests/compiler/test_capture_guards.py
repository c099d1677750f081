"""What a compiled function reads outside of its arguments may change between calls: each row of the
table is one kind of reading, run eagerly and compiled before and after the change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ostinato as ot
from ostinato import optim
from read_cases import ROWS, differ, run, values


@pytest.mark.parametrize("name", ROWS)
def test_a_change_is_seen(name: str) -> None:
    want, got, compiled = run(name)
    assert differ(want[1], want[2]), "the change makes no difference"
    for w, g in zip(want, got, strict=True):
        assert not differ(w, g)
    grads = name == "requires_grad of a parameter"  # a grad that is there or not tells them apart
    assert len(compiled.variants) <= (4 if grads else 2)


LIVE = ("a global number", "an attribute number", "a number of a module")


@pytest.mark.parametrize("name", LIVE)
def test_a_number_that_is_only_computed_with_needs_no_variant(name: str) -> None:
    *_, compiled = run(name)
    assert len(compiled.variants) == 1


def test_the_table_sees_a_replay_without_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: variants that are replayed whatever changed fail all rows but those whose
    numbers are live and those that the arguments tell apart."""
    from ostinato.compiler.variant import Variant

    monkeypatch.setattr(Variant, "fits", lambda self, leaves: True)
    unseen: list[str] = []
    for name in ROWS:
        try:
            test_a_change_is_seen(name)
        except Exception:
            continue
        unseen.append(name)
    assert unseen == [*LIVE[:2], "the data of a parameter", LIVE[2], "requires_grad of an argument"]


# What a thread has set.

SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "grad mode": (ot.no_grad, lambda x: x.requires_grad + 0 * x.detach()),
    "autocast": (
        lambda: ot.autocast("cpu", dtype=ot.bfloat16),
        lambda x: (x @ x.t()).detach().float(),
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_seen(name: str) -> None:
    setting, fn = SETTINGS[name]
    compiled = ot.compile(fn)
    x = values(3, 3).requires_grad_()
    for _ in range(2):
        assert not differ(compiled(x), fn(x))
        with setting():
            assert not differ(compiled(x), fn(x))


def test_the_precision_of_products_is_seen() -> None:
    """On the CPU it changes nothing but which variant is replayed."""
    compiled, x, before = ot.compile(lambda x: x @ x), values(3, 3), "highest"
    try:
        for precision, count in (("highest", 1), ("high", 2), ("highest", 2)):
            ot.set_float32_matmul_precision(precision)
            assert not differ(compiled(x), x @ x)
            assert len(compiled.variants) == count
    finally:
        ot.set_float32_matmul_precision(before)
    assert compiled.ledger[1].cause.what == "matmul precision"


def test_options_of_an_optimizer_are_seen() -> None:
    def make() -> tuple[Any, Any, Any]:
        w = values(3).requires_grad_()
        opt = optim.SGD([w], lr=0.1, momentum=0.9)

        def step() -> None:
            opt.zero_grad()
            (w * w).sum().backward()
            opt.step()

        return w, opt, step

    (w, opt, eager), (w2, opt2, plain) = make(), make()
    compiled = ot.compile(plain)
    for i in range(6):
        for o in (opt, opt2):
            o.param_groups[0]["lr"] = 0.1 / (i + 1)
            o.param_groups[0]["nesterov"] = i >= 3
        eager()
        compiled()
        assert not differ(w, w2)
    more = [values(3, seed=7).requires_grad_() for _ in range(2)]
    for o, p in zip((opt, opt2), more, strict=True):
        o.add_param_group({"params": [p]})
    eager()
    compiled()
    assert not differ(w, w2)
    assert len(compiled.variants) <= 4


def test_an_argument_that_is_also_read_as_a_closure_is_told_apart() -> None:
    w = values(3)
    fn = ot.compile(lambda x: x * 2 + w)
    for x in (w, values(3, seed=1), w):
        assert not differ(fn(x), x * 2 + w)
