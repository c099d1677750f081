"""`explain()`: kernels, memory and what did not fuse, against counts made by hand."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import rich.console

import ostinato as ot
from ostinato.compiler.explain import Explanation, Program
from ostinato.ir.dtypes import float32, int64
from ostinato.ir.op import OPS, Type
from ostinato.ir.work import op_operations
from ostinato.nn import functional as F

HERE = Path(__file__).name


def explained(fn: Callable[..., Any], *args: Any) -> Explanation:
    compiled = ot.compile(fn)
    compiled(*args)
    return compiled.explain()


def program_of(fn: Callable[..., Any], *args: Any) -> Program:
    (variant,) = explained(fn, *args).variants
    (program,) = variant.programs
    return program


def tensor(*shape: int) -> Type:
    return Type(shape, float32)


ATTENTION = {"is_causal": False, "scale": 0.25}
OPERATIONS: dict[str, tuple[str, list[Any], dict[str, Any], int]] = {
    "matmul": ("matmul", [tensor(3, 5), tensor(5, 7)], {}, 2 * 3 * 5 * 7),
    "batched matmul": ("matmul", [tensor(4, 3, 5), tensor(5, 7)], {}, 2 * 4 * 3 * 5 * 7),
    "vectors": ("matmul", [tensor(5), tensor(5)], {}, 2 * 5),
    "sum": ("sum", [tensor(6, 7)], {"dim": (1,), "keepdim": False}, 6 * 7),
    "exp": ("exp", [tensor(6, 7)], {}, 6 * 7),
    "broadcast": ("add", [tensor(6, 1), tensor(7)], {}, 6 * 7),
    "comparison": ("lt", [tensor(6), tensor(6)], {}, 0),
    "view": ("transpose", [tensor(6, 7)], {"dim0": 0, "dim1": 1}, 0),
    "moved": ("cat", [[tensor(6), tensor(7)]], {"dim": 0}, 0),
    "picked": ("gather", [tensor(6, 7), Type((6, 2), int64)], {"dim": 1}, 0),
    # max, subtraction, exp, sum, quotient
    "softmax": ("softmax", [tensor(6, 7)], {"dim": -1}, 5 * 6 * 7),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_of_an_op_are_those_counted_by_hand(name: str) -> None:
    op, operands, attrs, expected = OPERATIONS[name]
    assert op_operations(op, operands, attrs) == expected


def test_attention_is_two_products_and_a_softmax() -> None:
    q = tensor(2, 3, 16, 8)
    found = op_operations("attention", [q, q, q, None], ATTENTION)
    products = 2 * (2 * 2 * 3 * 16 * 16 * 8)
    scores = 2 * 3 * 16 * 16
    assert products + 5 * scores <= found <= products + 8 * scores


def test_every_call_of_a_sample_has_a_count() -> None:
    for op in OPS.values():
        if op.kind != "primitive" or op.samples is None:
            continue
        for operands, attrs in op.samples():
            types = [_type_of(o) for o in operands]
            bound = {p.name: attrs.get(p.name, p.default) for p in op.attrs}
            assert op_operations(op.name, types, bound) >= 0, op.name


def _type_of(operand: Any) -> Any:
    from ostinato.ir.dtypes import BY_NAME

    if isinstance(operand, (list, tuple)):
        return [_type_of(o) for o in operand]
    if operand is None or isinstance(operand, (bool, int, float)):
        return None if operand is None else Type((), float32, wrapped=True)
    return Type(operand.shape, BY_NAME[operand.dtype.name])


def test_kernels_tell_bytes_operations_and_lines() -> None:
    x, w = ot.randn(32, 16), ot.randn(16, 8)

    def fn(x: Any, w: Any) -> Any:
        y = x @ w
        return (y.exp() + 1.0) * y

    program = program_of(fn, x, w)
    first = fn.__code__.co_firstlineno
    product, fused = sorted(program.kernels, key=lambda k: k.kind)
    assert (product.name, product.kind, product.launches) == ("matmul", "call", 1)
    assert product.bytes == 4 * (32 * 16 + 16 * 8 + 32 * 8)
    assert product.operations == 2 * 32 * 16 * 8
    assert (fused.kind, fused.launches) == ("kernel", 1)
    assert fused.bytes == 4 * 2 * 32 * 8
    assert fused.operations == 3 * 32 * 8
    assert product.lines == (f"{__file__}:{first + 1}",)
    assert fused.lines == (f"{__file__}:{first + 2}",)


def test_a_reduction_counts_what_it_adds_up() -> None:
    program = program_of(lambda x: (x * x).sum(dim=1), ot.randn(40, 50))
    (kernel,) = program.kernels
    assert kernel.operations == 2 * 40 * 50
    assert kernel.bytes == 4 * (40 * 50 + 40)


def test_memory_is_that_of_the_fullest_moment_by_line() -> None:
    def fn(x: Any) -> Any:
        a = x @ x
        b = a @ x
        c = b @ a
        return c @ x

    program = program_of(fn, ot.randn(32, 32))
    first, size = fn.__code__.co_firstlineno, 4 * 32 * 32
    # The third product reads two and writes one.
    assert {m.line: m.bytes for m in program.memory} == {
        f"{__file__}:{first + i}": size for i in (1, 2, 3)
    }
    assert program.arena == 3 * size


REASONS: dict[str, tuple[Callable[..., Any], set[str]]] = {
    "call": (lambda x: (x @ x).exp(), {"call"}),
    "access": (lambda x: (lambda y: y + y.flip(0))(x.sum(dim=1)), {"access"}),
    "stored": (lambda x: (lambda y: y + y.flip(0))(F.softmax(x, dim=-1)), {"stored"}),
    "unfinished": (lambda x: x - x.sum(dim=0, keepdim=True), {"unfinished"}),
    "none": (lambda x: x.exp() + x, set()),
}


@pytest.mark.parametrize("name", REASONS)
def test_values_through_memory_have_a_reason(name: str) -> None:
    fn, expected = REASONS[name]
    program = program_of(fn, ot.randn(64, 64))
    assert {u.reason for u in program.unfused} == expected
    assert all(u.why and u.bytes > 0 and u.made_at and u.read_at for u in program.unfused)


def test_a_value_that_several_results_of_an_op_need_is_told_once() -> None:
    weight = ot.randn(8, 8, requires_grad=True)
    optimizer = ot.optim.AdamW([weight])

    def step(x: Any) -> None:
        (x @ weight).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    program = program_of(step, ot.randn(4, 8))
    told = [u for u in program.unfused if u.consumer == "adamw_step" and u.producer == "matmul"]
    assert [(u.count, u.reason) for u in told] == [(1, "call")]


def test_a_region_of_the_cache_is_explained_as_one_that_was_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    x = ot.randn(8, 8)

    def fn(x: Any) -> Any:
        return F.softmax(x @ x, dim=-1)

    (compiled,), (loaded,) = (explained(fn, x).variants for _ in range(2))
    assert (compiled.from_cache, loaded.from_cache) == (False, True)
    assert compiled.programs == loaded.programs


def test_forward_and_backward_of_a_region_are_told_apart() -> None:
    weight = ot.randn(8, 8, requires_grad=True)
    (variant,) = explained(lambda x: (x @ weight).exp().sum(), ot.randn(4, 8)).variants
    forward, backward = variant.programs
    assert (forward.part, backward.part) == ("forward", "backward")
    assert {k.name for k in backward.kernels if k.kind == "call"} == {"matmul"}


def followed() -> Explanation:
    def fn(x: Any) -> Any:
        y = x * 2
        return y + 1 if y.sum().item() > 0 else y - 1

    return explained(fn, ot.ones(3))


def test_breaks_are_listed_with_their_price() -> None:
    (found,) = followed().followed
    (place,) = found.breaks
    assert place.line.startswith(__file__)
    assert place.why == "`.item()` needs a value now"
    assert place.count == 1
    assert place.milliseconds > 0
    assert [len(r.programs) for r in found.regions] == [1, 1]


def test_text_html_and_json_say_the_same(tmp_path: Path) -> None:
    found = followed()
    for suffix in ("txt", "html", "json"):
        found.save(tmp_path / f"found.{suffix}")
    text = (tmp_path / "found.txt").read_text()
    page = (tmp_path / "found.html").read_text()
    data = json.loads((tmp_path / "found.json").read_text())
    (place,) = data["followed"][0]["breaks"]
    assert f"break at {place['line']}: {place['why']}" in text
    shown = [" ".join(e.itertext()) for e in ElementTree.fromstring(page).iter("p")]
    assert any(place["why"] in line for line in shown)
    names = [k["name"] for r in data["followed"][0]["regions"] for k in r["programs"][0]["kernels"]]
    cells = [e.text or "" for e in ElementTree.fromstring(page).iter("td")]
    assert names
    for name in names:
        assert name in cells
        assert name in text


def test_a_terminal_shows_tables() -> None:
    out = StringIO()
    console = rich.console.Console(file=out, width=160, force_terminal=True)
    console.print(followed())
    assert "kernels and calls, by bytes moved" in out.getvalue()
    assert "\x1b[" in out.getvalue()


def test_names_are_escaped_in_a_page() -> None:
    from ostinato.compiler.explain.show import Line, Table, as_html

    page = as_html([Line("<lambda>"), Table("<t>", ("<a>",), (("<b>",), (1.5,)))])
    assert [e.text for e in ElementTree.fromstring(page).iter()][1:] == [
        "<lambda>", None, "<t>", None, None, "<a>", None, None, "<b>", None, "1.5"
    ]  # fmt: skip


def test_before_the_first_call_there_is_nothing() -> None:
    assert str(ot.compile(lambda x: x).explain()) == "not captured yet: call the function first"


def test_a_variant_shows_what_it_is_for() -> None:
    def fn(x: Any, scale: float) -> Any:
        return x * scale

    compiled = ot.compile(fn)
    compiled(ot.ones(3), 2.0)
    assert repr(compiled.variants) == "[<variant for x, input1: 1 calls>]"
