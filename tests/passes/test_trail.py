"""The trail of passes: every application is noted, and after each the module means the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import ostinato as ot
from fusion_cases import close, floats, written
from graph_cases import Graph, graph
from ostinato.ir.interpret.module import run
from ostinato.ir.op import OPS
from ostinato.ir.stages import is_at
from ostinato.ir.text import parse_module, print_module
from ostinato.passes.pipeline import PASSES, Options, run_passes
from ostinato.passes.target import CPU, CUDA, Target
from ostinato.passes.trail import OFF, Application, Trail
from planted_passes import WRONG


def op(name: str, *operands: Any, **attrs: Any) -> Any:
    """An op of the table by name."""
    return OPS[name](*operands, **attrs)


def step() -> Graph:
    """A layer, a loss, gradients of weight and bias, and their update in place."""

    def build(x: Any, w: Any, b: Any, one: Any) -> Any:
        loss = op("sum", op("softmax", op("matmul", x, w) * 1.0 + b, dim=1))
        gradients = x.builder.gradient([loss], [one], [w, b])
        return [p - g * 0.1 for p, g in zip((w, b), gradients, strict=True)]

    given = floats(4, 6), floats(6, 3, seed=1), floats(3, seed=2), np.float32(1.0)
    return written(build, [(0, 1), (1, 2)], *given)


def gradient_by_an_intermediate() -> Graph:
    """The way back goes on from what is wanted itself, which has another reader."""

    def build(x: Any, one: Any) -> Any:
        y = op("exp", x)
        z = op("sum", op("tanh", y) * y)
        return x.builder.gradient([z], [one], [y, x])

    return graph(build, floats(3, 4), np.float32(1.0))


def sums() -> Graph:
    """Products that are joined, axes that are not side by side, a view among the results."""

    def build(x: Any, y: Any) -> Any:
        parts = [
            op("matmul", *(op("slice", v, dim=d, start=i, stop=i + 1) for v, d in ((x, 1), (y, 0))))
            for i in range(4)
        ]
        total = parts[0] + parts[1] + parts[2] + parts[3]
        cube = op("reshape", total * total, shape=(2, 3, 6))
        return total, op("sum", cube, dim=(0, 2)), op("transpose", x, dim0=0, dim1=1)

    return graph(build, floats(6, 6), floats(6, 6, seed=1))


def chain() -> Graph:
    """Products that live at the same time, with a sum that lies where its operand did."""

    def build(x: Any) -> Any:
        a = op("matmul", x, x)
        b = op("matmul", a, op("exp", a * 0.1))
        return op("matmul", op("exp", b * 0.01), b) - x

    return graph(build, floats(8, 8))


GRAPHS: dict[str, Callable[[], Graph]] = {
    f.__name__: f for f in (step, gradient_by_an_intermediate, sums, chain)
}
TARGETS = {"cpu": CPU, "cuda": CUDA}


def followed(module: ModuleOp, target: Target, **given: Any) -> Trail:
    """The trail of all passes over `module`."""
    trail = Trail(**given)
    run_passes(module, options=Options(target, trail=trail))
    return trail


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", GRAPHS)
def test_passes_may_stop_after_any_application(name: str, target: str) -> None:
    g = GRAPHS[name]()
    expected, text = g.run(), print_module(g.module)
    whole = followed(g.module, TARGETS[target]).applications
    assert is_at(g.module, "planned")
    for count in range(len(whole) + 1):
        module = parse_module(text)
        trail = followed(module, TARGETS[target], stop_after=count)
        assert trail.applications == whole[:count] and trail.done
        close(run(module, g.inputs), expected)
        if count % 5 == 0:
            shown = print_module(module)
            assert print_module(parse_module(shown)) == shown


@pytest.mark.parametrize("name", GRAPHS)
def test_the_module_is_seen_after_each_application(name: str) -> None:
    g = GRAPHS[name]()
    expected = g.run()
    texts: list[str] = []
    noted: list[Application] = []

    def seen(application: Application, module: ModuleOp) -> None:
        noted.append(application)
        texts.append(print_module(module))
        close(run(module, g.inputs), expected)

    trail = followed(g.module, CPU, seen=seen)
    assert noted == trail.applications
    assert [a.number for a in noted] == list(range(1, len(noted) + 1))
    for before, after, application in zip(texts, texts[1:], noted[1:], strict=False):
        is_choice = application.rewrite == "merge" or application.pass_name == "plan_memory"
        assert is_choice or before != after, application


def test_every_pass_notes_what_it_does() -> None:
    noted = {
        a.pass_name: a
        for make in GRAPHS.values()
        for target in TARGETS.values()
        for a in followed(make().module, target).applications
    }
    assert list(noted) and set(noted) == set(PASSES)
    assert all(a.lines for a in noted.values())


def test_what_is_noted() -> None:
    g = gradient_by_an_intermediate()
    trail = Trail()
    run_passes(g.module, ["autodiff", "decompose", "simplify", "fuse"], Options(trail=trail))
    first, second, *_ = trail.applications
    assert first == Application(1, "autodiff", "sum.vjp", "ot.sum", ("model.py:13",))
    assert (second.rewrite, second.op) == ("mul.vjp", "ot.mul")
    assert [a.rewrite for a in trail.applications if a.pass_name == "autodiff"][-1] == "erase_dead"
    assert str(first).split() == ["1", "autodiff", "sum.vjp", "ot.sum", "model.py:13"]
    last = trail.applications[-1]
    assert last.rewrite == "form" and last.op.startswith("ot.fusion of ")


@pytest.mark.parametrize("wrong", [w for w in WRONG if w.pass_name in ("simplify", "fuse")],
                         ids=lambda w: w.name)  # fmt: skip
def test_a_wrong_rewrite_makes_results_wrong_from_its_application_on(wrong: Any) -> None:
    fn, args = wrong.program()
    compiled = ot.compile(fn)
    compiled(*args)
    text = compiled.ir("captured")
    inputs = [a.numpy() for a in args]
    expected = run(parse_module(text), inputs)

    def is_right(**given: Any) -> bool:
        module = parse_module(text)
        run_passes(module, options=Options(trail=Trail(**given)))
        return matches(run(module, inputs), expected)

    with wrong.planted():
        trail = followed(parse_module(text), CPU)
        right = [is_right(stop_after=n) for n in range(len(trail.applications) + 1)]
    assert right[0] and not right[-1]
    first = trail.applications[right.index(False) - 1]
    assert first.pass_name == wrong.pass_name
    assert not any(right[right.index(False) :])


def matches(found: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether results are right."""
    return all(np.allclose(a, b, 1e-4, 1e-4) for a, b in zip(found, expected, strict=True))


def test_some_rewrites_go_on_where_others_stop() -> None:
    def fused(**given: Any) -> list[str]:
        g = chain()
        run_passes(g.module, ["simplify"])
        trail = Trail(always=["form", "keep"], **given)
        run_passes(g.module, ["fuse"], Options(trail=trail))
        assert is_at(g.module, "fused")
        return [a.rewrite for a in trail.applications]

    assert fused().count("merge") == 2
    assert fused(stop_after=1).count("merge") == 1
    apart = fused(stop_after=0)
    assert "merge" not in apart and apart.count("form") == fused().count("form")


def test_nobody_follows_where_nothing_is_asked() -> None:
    assert OFF.left > 1 << 60 and not OFF.done and OFF.allows("anything")
    run_passes(chain().module)
    assert not hasattr(OFF, "applications")
