"""`ot.watch`: what it records, eagerly, in replays and where a function is followed; at which
calls; and that nothing else changes by it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato.compiler.recording.table import Statistics
from watch_cases import agrees, drawn, expected, with_others

Fn = Callable[..., Any]
HOW: dict[str, Callable[[Fn], Any]] = {
    "replayed": ot.compile,
    "trusted": lambda fn: ot.compile(fn, verify="trust"),
    "followed": lambda fn: ot.compile(fn, verify="follow"),
    "checked": lambda fn: ot.compile(fn, check="first"),
    "now and then": lambda fn: ot.compile(fn, verify=0.5),
}


@pytest.fixture(autouse=True)
def starts_anew() -> Iterator[None]:
    ot.watched(clear=True)
    yield
    ot.watched(clear=True)


ARRAYS: dict[str, Any] = {
    "float32": drawn(33, 70),
    "float64": drawn(257).astype("float64"),
    "float16": drawn(5, 6, 7).astype("float16"),
    "far from 0": drawn(64, 64) + 1e4,
    "int32": np.arange(-50, 70, dtype="int32").reshape(12, 10),
    "bool": np.arange(40) % 3 == 0,
    "two": np.array([1.0, 4.0], "float32"),
    "NaN and inf": with_others(drawn(40, 50)),
    "one finite": np.array([np.nan, 2.0, np.inf], "float32"),
    "none finite": np.array([np.nan, np.inf, np.inf], "float32"),
    "permuted": drawn(6, 5, 4).transpose(2, 0, 1),
}


def watches_all(*given: Any) -> None:
    for x, name in zip(given, ARRAYS, strict=True):
        ot.watch(x, name)
        ot.watch(x * 2 if x.dtype != ot.bool_ else x, f"{name} doubled")


@pytest.mark.parametrize("how", ["eager", "replayed", "followed"])
def test_statistics_are_those_of_numpy(how: str) -> None:
    fn: Any = watches_all if how == "eager" else HOW[how](watches_all)
    for _ in range(2):
        fn(*map(ot.tensor, ARRAYS.values()))
    found = ot.watched() if how == "eager" else fn.watched()
    for name, array in ARRAYS.items():
        doubled = array if array.dtype == bool else array * 2
        for key, wanted in ((name, expected(array)), (f"{name} doubled", expected(doubled))):
            assert [agrees(v, wanted) for v in found[key].values] == [True, True], key


def test_a_wrong_statistic_would_be_seen() -> None:
    wanted = expected(ARRAYS["float32"])
    for field in ("count", "mean", "std", "min", "max", "nan", "inf"):
        changed = {**vars(wanted), field: getattr(wanted, field) * (1 + 1e-8) + 1e-6}
        assert not agrees(Statistics(**changed), wanted), field


VALUES: dict[str, Any] = {
    "a float": 1.5, "an int": 7, "a bool": True, "axes of 1": [[2.5]], "NaN": math.nan,
}  # fmt: skip


@pytest.mark.parametrize("how", ["eager", "replayed", "followed"])
def test_one_element_is_recorded_as_itself(how: str) -> None:
    def fn(*given: Any) -> None:
        for x, name in zip(given, VALUES, strict=True):
            ot.watch(x, name)

    run: Any = fn if how == "eager" else HOW[how](fn)
    run(*map(ot.tensor, VALUES.values()))
    found = ot.watched() if how == "eager" else run.watched()
    for name, given in VALUES.items():
        (value,), wanted = found[name].values, np.array(given).item()
        assert type(value) is type(wanted)
        assert value == pytest.approx(wanted, nan_ok=True), name


def loops(x: Any, options: Any) -> Any:
    ot.watch(x.sum(), "once", every=options.every)
    for i in range(3):
        x = ot.watch(x + 1, "thrice", every=options.every)
        ot.watch(x.mean(), f"name {i}")
    return helper(x)


def helper(x: Any) -> Any:
    return ot.watch(x.sum())


EVERY = [1, 1, 2, 2, 2, 0, 0, 3, 3, 3]
"""Of ten calls, what each is given."""


@pytest.mark.parametrize("how", HOW)
def test_calls_are_counted_and_every_so_many_are_kept(how: str) -> None:
    fn, options = HOW[how](loops), SimpleNamespace(every=1)
    for call, every in enumerate(EVERY):
        options.every = every
        fn(ot.full((4, 5), float(call)), options)
    found = fn.watched()
    kept = [call for call, every in enumerate(EVERY) if every and call % every == 0]
    assert kept == [0, 1, 2, 4, 9]
    once = [(r.step, r.index, r.value) for r in found["once"].records]
    assert once == [(call, 0, 20.0 * call) for call in kept]
    thrice = [(r.step, r.index, r.value.mean) for r in found["thrice"].records]
    assert thrice == [(call, i, call + i + 1.0) for call in kept for i in range(3)]
    for i in range(3):
        assert found[f"name {i}"].values == [call + i + 1.0 for call in range(len(EVERY))]
    (of_helper,) = [v for v in found.values if not v.name]
    assert of_helper.line == f"{__file__}:{helper.__code__.co_firstlineno + 1}"
    assert of_helper.values == [20.0 * (call + 3) for call in range(len(EVERY))]
    assert all(v.steps == len(EVERY) and v.function == "loops" for v in found.values)


LIVE: dict[str, Fn] = {
    "an attribute": lambda x, options: ot.watch(x, "v", every=options.every),
    "an argument": lambda x, options, every=1: ot.watch(x, "v", every=every),
    "arithmetic": lambda x, options: ot.watch(x, "v", every=options.every + 0),
}


@pytest.mark.parametrize("what", LIVE)
def test_another_every_compiles_nothing(what: str) -> None:
    fn, options = ot.compile(LIVE[what], fullgraph=True), SimpleNamespace(every=1)
    given = (options, 1) if what == "an argument" else (options,)
    fn(ot.ones(3), *given)
    for every in (2, 0, 3):
        options.every = every
        given = (options, every) if what == "an argument" else (options,)
        for _ in range(4):
            fn(ot.ones(3), *given)
    assert [r.step for r in fn.watched()["v"].records] == [0, 2, 4, 9, 12]
    assert len(fn.ledger) == 1


@pytest.mark.parametrize("how", ["eager", "replayed", "followed"])
def test_watching_is_switched_off_and_on(how: str) -> None:
    def of_sum(x: Any) -> Any:
        return ot.watch(x.sum(), "v")

    fn: Any = of_sum if how == "eager" else HOW[how](of_sum)
    with ot.watching(False):
        fn(ot.ones(2))
        with ot.watching():
            fn(ot.ones(3))
        fn(ot.ones(2))
    fn(ot.ones(3))
    found = (ot if how == "eager" else fn).watched()["v"]
    assert [(r.step, r.value) for r in found.records] == [(1, 3.0), (3, 3.0)]
    if how == "replayed":
        assert len(fn.ledger) == 2  # for the two sizes


def test_eager_code_counts_each_run() -> None:
    for i in range(5):
        ot.watch(ot.tensor(float(i)), "v", every=2)
    assert [(r.step, r.index, r.value) for r in ot.watched()["v"].records] == [
        (0, 0, 0.0), (2, 0, 2.0), (4, 0, 4.0),
    ]  # fmt: skip
    assert ot.watched()["v"].function == ""


def test_it_returns_what_it_is_given() -> None:
    x = ot.ones(3)
    assert ot.watch(x, "x") is x
    assert ot.compile(lambda x: ot.watch(x, "x"))(x) is x
    y = ot.watch(ot.ones(2, requires_grad=True) * 2)
    assert y.requires_grad


def test_the_oldest_goes_first() -> None:
    fn = ot.compile(lambda x: (ot.watch(x.sum(), "v", keep=3), ot.watch(x, "w", whole=True)))
    for i in range(12):
        fn(ot.full((2,), float(i)))
    assert [r.step for r in fn.watched()["v"].records] == [9, 10, 11]
    assert [r.step for r in fn.watched()["w"].records] == list(range(4, 12))


def test_an_error_in_the_function_leaves_what_was_before_it() -> None:
    @ot.compile
    def fn(x: Any) -> Any:
        ot.watch(x.sum(), "v")
        raise OverflowError("on purpose")

    with pytest.raises(OverflowError):
        fn(ot.ones(3))
    assert fn.watched()["v"].values == [3.0]


def shown() -> Any:
    def fn(x: Any) -> Any:
        ot.watch(x, "stats")
        ot.watch(x.sum(), "sum")
        ot.watch(x, "copy", whole=True)

    run = ot.compile(fn)
    run(ot.tensor([1.0, 3.0]))
    return run.watched()


def test_it_is_shown_as_text_html_and_json(tmp_path: Path) -> None:
    table = shown()
    text = str(table)
    line = f"test_watch.py:{shown.__code__.co_firstlineno + 2}"
    assert text.startswith(f"stats of fn at {line}: 1 calls\n")
    assert [line.split() for line in text.splitlines()[2:4]] == [
        ["call", "in", "it", "finite", "mean", "std", "min", "max", "NaN", "infinite"],
        ["0", "0", "2", "2", "1.41", "1", "3", "0", "0"],
    ]
    assert "(2,)" in text
    for name in ("watched.html", "watched.json", "watched.txt"):
        table.save(tmp_path / name)
    assert "<td" in (tmp_path / "watched.html").read_text()
    data = json.loads((tmp_path / "watched.json").read_text())["values"]
    assert [v["records"][0]["value"] for v in data[1:]] == [4.0, [1.0, 3.0]]
    assert data[0]["records"][0]["value"]["mean"] == 2.0
    assert (tmp_path / "watched.txt").read_text() == text


def test_json_has_names_for_what_is_no_number() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    fn = ot.compile(lambda x: (ot.watch(x / 0.0, "v"), ot.watch(x[0] / 0.0, "first")))
    fn(ot.tensor([1.0, 0.0, -1.0]))
    v, first = json.loads(fn.watched().to_json(), parse_constant=refuse)["values"]
    told = v["records"][0]["value"]
    assert (told["count"], told["mean"], told["nan"], told["inf"]) == (0, "NaN", 1, 2)
    assert first["records"][0]["value"] == "Infinity"


ERRORS: list[tuple[Fn, type[Exception], str]] = [
    (lambda: ot.watch(3), TypeError, "watch: a int came; give a tensor"),  # pyright: ignore
    (lambda: ot.watch(ot.ones(1), every=-1), ValueError,
     "watch: every=-1 came; give a whole number from 0 on"),
    (lambda: ot.watch(ot.ones(1), keep=0.5), ValueError,  # pyright: ignore
     "watch: keep=0.5 came; give a whole number from 0 on"),
    (lambda: ot.watch(ot.ones(1), name=3), TypeError,  # pyright: ignore
     "watch: name=3 came; give a string"),
    (lambda: shown()["sun"], KeyError, "watched: 'sun' is not there; names are stats, sum, copy"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS)
def test_errors_say_what_came(call: Fn, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.args == (text,)


def test_a_name_of_two_functions_is_asked_of_one() -> None:
    first, second = (ot.compile(lambda x, n=n: ot.watch(x + n, "v")) for n in (1, 2))
    first(ot.ones(1))
    second(ot.ones(1))
    with pytest.raises(KeyError, match="ask one of them"):
        ot.watched()["v"]
    assert first.watched()["v"].values == [2.0]
    assert second.watched()["v"].values == [3.0]
