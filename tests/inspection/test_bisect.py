"""`ostinato bisect`: a wrong rewrite is named from a bundle that the failing program wrote."""

from __future__ import annotations

import json
import linecache
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from ostinato.cli import main
from ostinato.codegen.llvm import combine
from ostinato.compiler.bisect import bundle, witnesses
from ostinato.compiler.bisect.finding import Finding
from ostinato.compiler.bisect.search import find
from ostinato.ir.interpret.module import run
from ostinato.ir.op import OPS
from ostinato.ir.text import parse_module
from ostinato.passes import (
    batch,
    decompose,
    fuse,
    join_products,
    views,
)
from ostinato.passes.fusion import prepare
from ostinato.passes.lowering import rows
from ostinato.passes.memory import place
from ostinato.passes.pipeline import PASSES, run_passes
from planted_passes import (
    WRONG,
    Program,
    Wrong,
    algebra_of,
    backward_inside,
    floats,
    leaf,
    of_a_cube,
    of_three,
    products,
    thin_products,
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong Programs are not kept for others."""
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Program], Path]:
    """The one bundle that a program writes where the environment asks for it."""

    def write(program: Program) -> Path:
        fn, args = program()
        monkeypatch.setenv(bundle.VARIABLE, str(tmp_path / "bundles"))
        try:
            ot.compile(fn)(*args)
        finally:
            monkeypatch.delenv(bundle.VARIABLE)
        (path,) = bundle.bundles_in(tmp_path / "bundles")
        return path

    return write


def told(monkeypatch: pytest.MonkeyPatch, capsys: Any, folder: Path) -> tuple[int, str]:
    """Exit status of `ostinato bisect`, and what it printed."""
    monkeypatch.setattr(sys, "argv", ["ostinato", "bisect", str(folder)])
    status = main()
    out, err = capsys.readouterr()
    assert not err
    return status, out


# Programs.


def two_updates() -> Any:
    """Two tensors of one structure and two sizes that a region changes in place."""
    a, b = floats(7, seed=3), floats(9, seed=4)

    def step(x: Any, y: Any) -> None:
        a.mul_(0.5).sub_(x)
        b.mul_(0.5).sub_(y)

    return step, (floats(7), floats(9, seed=1))


def through_tanh() -> Any:
    """A gradient by the rule of tanh, among others."""
    w = leaf(5, 5, seed=1)

    def step(x: Any) -> None:
        w.grad = None
        hidden = (x @ w).tanh()
        (hidden.exp() * 0.1).mean().backward()

    return step, (floats(4, 5),)


def normalized() -> Any:
    """A composite that has a native kernel too."""
    return of_three(lambda x, w, b: F.layer_norm(x * 2.0, (6,), w, b).tanh())()


@dataclass(frozen=True)
class Case:
    """What is planted, and what has to be said of it: the rewrite, the op and a piece of the line;
    `ops` are those of the small module that shows it, `device` is what is compiled for."""

    wrong: Wrong
    rewrite: str
    op: str
    line: str
    ops: list[str]
    device: str = "cpu"


def case(
    place: str, function: Any, right: str, wrong: str, program: Program, *told: Any, **more: Any
) -> Case:
    return Case(Wrong(place, function, right, wrong, program), *told, **more)


CASES = [
    case("autodiff", OPS["tanh"].vjp_rule, "out * out", "out", through_tanh,
         "tanh.vjp", "ot.tanh", "(x @ w).tanh()", ["ot.tanh"]),
    case("decompose", decompose._body_values, "op.attribute_values()",
         "{k: 0 if k == 'dim' else v for k, v in op.attribute_values().items()}",
         of_three(lambda x, w, b: ot.softmax(x * w, dim=1) + b),
         "body", "ot.softmax", "ot.softmax(x * w", ["ot.softmax"]),
    case("simplify", views.merge_slices, "start=first + start, stop=first + stop",
         "start=start, stop=stop", of_a_cube(lambda x: (x + 1.0)[1:][:2] * 2.0),
         "merge_slices", "ot.slice", "[1:][:2]", ["ot.slice", "ot.slice"]),
    case("simplify", algebra_of("negated_summand"), "sub(x, y)", "sub(y, x)",
         of_three(lambda x, w, b: (x * w + -(b * 2.0)).tanh()),
         "negated_summand", "ot.add", "+ -(b", ["ot.neg", "ot.add"]),
    case("join_products", join_products._join, "for p in products]",
         "for p in products[:: 1 - 2 * i]]", thin_products,
         "join", "ot.add", "total = total +", ["ot.matmul", "ot.add"] * 4),
    case("fuse", prepare._reduced, "return OPS[name](x", "return OPS['amax'](x",
         of_a_cube(lambda x: ((x * x).sum((0, 2)) * 2.0).exp()),
         "cut", "ot.sum", ".sum((0, 2))", ["ot.sum"]),
    case("lower", rows._Rows._folding, "[n.combiner for n in work.folds]",
         "['max' for n in work.folds]", of_three(lambda x, w, b: ot.softmax(x, dim=-1) @ x + w),
         "rows", "ot.fusion, as kernel amax_sum_div_0", "ot.softmax(x, dim=-1)", ["ot.fusion"]),
    case("batch", batch._Batching._batched, "[numbers[v] for v in op.arguments]",
         "[numbers[v] for v in op.arguments[::-1]]", two_updates,
         "batch", "kernel mul_sub_batch_0", "mul_(0.5)", ["program.launch"] * 2, device="cuda:0"),
    case("plan_memory", place.place, "_best_gap(taken, size)", "0", products,
         "place", "the call of matmul", "x @ x", ["program.launch", *["program.call"] * 2]),
    case("codegen", combine.identity, '"max": -math.inf', '"max": 9.0',
         of_three(lambda x, w, b: (x.amax(1) * w) @ x),
         "emission", "kernel amax_mul_0", "x.amax(1)", ["program.launch"]),
]  # fmt: skip
"""Ten places: a gradient rule, a body, a rewrite and an algebraic pair of simplify, then passes."""

OTHERS = [
    case("fuse", fuse._Body.build, "for v in self.outputs]", "for v in self.outputs[::-1]]",
         of_three(lambda x, w, b: (x * w, (x * w).tanh())),
         "form", "ot.fusion of mul, tanh", "(x * w).tanh()", ["ot.mul", "ot.tanh"]),
    case("decompose", OPS["softmax"].body, "e / sum_(e,", "e / sum_(wide,",
         of_three(lambda x, w, b: ot.softmax(x * x, dim=0) + w),
         "body", "ot.softmax", "ot.softmax(x * x", ["ot.softmax"]),
]  # fmt: skip


def found_by(path: Path, device: str = "cpu") -> Finding | None:
    """What the search finds for a bundle."""
    return find(replace(bundle.read(path), device=device), lambda line: None)


def ops_of(found: Finding) -> list[str]:
    """The ops of the small module, but for literals."""
    assert found.small is not None
    (main,) = (op for op in found.small.module.ops if op.name == "func.func")
    names = [op.name for op in main.regions[0].block.ops][:-1]
    return [name for name in names if not name.endswith(".constant")]


@pytest.mark.parametrize("case", [*CASES, *OTHERS], ids=lambda c: c.wrong.name)
def test_a_planted_rewrite_is_named(case: Case, bundled: Callable[[Program], Path]) -> None:
    with case.wrong.planted():
        path = bundled(case.wrong.program)
        found = found_by(path, case.device)
        assert found is not None
        assert (found.place, found.rewrite) == (case.wrong.pass_name, case.rewrite)
        assert found.op == case.op
        file, _, number = found.lines[-1].rpartition(":")
        assert case.line in linecache.getline(file, int(number))
        assert ops_of(found) == case.ops
        if found.place in PASSES and found.number is not None and case.device == "cpu":
            assert shows(found)
    assert not (found.place in PASSES and shows(found))
    assert found_by(path, case.device) is None


def shows(found: Finding) -> bool:
    """Whether the pass changes what the small module computes."""
    assert found.small is not None
    module, inputs = found.small.module.clone(), found.small.inputs
    before = run(module, inputs)
    run_passes(module, [found.place])
    after = run(module, inputs)
    return not all(np.allclose(a, b, 1e-4, 1e-4) for a, b in zip(before, after, strict=True))


def test_rewrites_are_planted_in_ten_places() -> None:
    assert len(CASES) == 10
    assert {c.wrong.pass_name for c in CASES} == {*PASSES, "codegen"}


@pytest.mark.parametrize("name", ["split: split", "_expand: for w", "codegen: lower"])
def test_other_places_are_named(name: str, bundled: Callable[[Program], Path]) -> None:
    (wrong,) = (w for w in WRONG if name in w.name)
    with wrong.planted():
        found = found_by(bundled(wrong.program))
    assert found is not None and found.place == wrong.pass_name and found.lines


def test_a_pass_that_fails_is_named(
    bundled: Callable[[Program], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (wrong,) = (c.wrong for c in CASES if c.rewrite == "join")
    failing = replace(wrong, wrong="for p in products.none]")
    with failing.planted():
        with pytest.raises(AttributeError):
            bundled(failing.program)
        (path,) = bundle.bundles_in(Path(os.environ["OSTINATO_CACHE"]).parent / "bundles")
        found = found_by(path)
    assert found is not None and found.apart.cannot_run
    assert (found.place, found.rewrite) == ("join_products", "the pass itself")
    assert "no attribute 'none'" in found.apart.told


# The command.


PROGRAM = """
import ostinato as ot

@ot.compile
def normalized(x):
    x = x - x.mean()
    return x / (x * x).mean().sqrt()

print(normalized(ot.arange(6.0).reshape(2, 3)))
"""


def test_a_program_writes_a_bundle_in_which_nothing_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "prog.py").write_text(PROGRAM)
    env = os.environ | {bundle.VARIABLE: str(tmp_path / "out")}
    subprocess.run([sys.executable, tmp_path / "prog.py"], env=env, check=True, capture_output=True)
    (path,) = bundle.bundles_in(tmp_path / "out")
    assert path.name.startswith("normalized-")
    status, out = told(monkeypatch, capsys, tmp_path / "out")
    assert status == 0 and out.startswith(f"{path}: normalized on cpu\n  autodiff: 0 applications")
    assert "  codegen: 3 kernels and calls, right\n" in out
    assert out.endswith("nothing is wrong: no application changes a result\n\n")


def test_what_is_printed_and_written(
    bundled: Callable[[Program], Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (given,) = (c for c in CASES if c.rewrite == "merge_slices")
    with given.wrong.planted():
        path = bundled(given.wrong.program)
        status, out = told(monkeypatch, capsys, path)
    assert status == 1
    start, _, rest = out.partition("\n\n")
    assert start.splitlines()[1:] == [
        "  autodiff: 0 applications, right", "  decompose: 0 applications, right",
        "  simplify: 2 applications, wrong",
    ]  # fmt: skip
    facts, _, rest = rest.partition("\n\n")
    lines = facts.splitlines()
    assert lines[:3] == ["pass     simplify, application 1", "rewrite  merge_slices",
                         "op       ot.slice"]  # fmt: skip
    assert lines[3].startswith(f"line     {__file__}:")
    assert lines[4].startswith("then     result 0[0, 0, 0] is ")
    text, _, commands = rest.partition("\nTo run it:\n")
    file = path / "minimal" / "module.mlir"
    assert file.read_text() == text and parse_module(text)
    given_in = f"--inputs {path / 'minimal' / 'inputs'}"
    assert commands.split("\n")[:2] == [
        f"  ostinato run {file} {given_in}",
        f"  ostinato opt --passes=simplify {file} | ostinato run - {given_in}",
    ]
    monkeypatch.setattr(sys, "argv", commands.split("\n")[0].split())
    assert main() == 0
    assert capsys.readouterr().out.startswith("result 0: tensor<2x4x4xf32>\n[[[")


def test_other_versions_are_told(
    bundled: Callable[[Program], Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = bundled(of_three(lambda x, w, b: x * w + b))
    facts = json.loads((path / "bundle.json").read_text())
    facts["versions"]["xdsl"] = "0.1"
    (path / "bundle.json").write_text(json.dumps(facts))
    _, out = told(monkeypatch, capsys, path)
    assert "  written with xdsl 0.1; this is " in out


@pytest.mark.parametrize("damage", ["module.mlir", "bundle.json", "inputs/0.npy"])
def test_what_is_no_bundle_is_refused(damage: str, bundled: Callable[[Program], Path]) -> None:
    path = bundled(of_three(lambda x, w, b: x * w + b))
    (path / damage).unlink()
    with pytest.raises(ValueError, match=r"bisect: .* is no bundle .*`OSTINATO_BUNDLE=DIR python"):
        bundle.read(path)


def test_arrays_with_code_are_refused(bundled: Callable[[Program], Path]) -> None:
    path = bundled(of_three(lambda x, w, b: x * w + b))
    np.save(path / "inputs" / "0.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(ValueError, match="is no bundle"):
        bundle.read(path)


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(bundle.VARIABLE, str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="set OSTINATO_BUNDLE to a folder that can be written"):
        ot.compile(lambda x: x * 2.0)(floats(3))


def test_kinds_of_arguments_come_back(bundled: Callable[[Program], Path]) -> None:
    def fn(x: Any, n: Any, k: float) -> Any:
        return x * k + n

    path = bundled(lambda: (fn, (floats(3).to(ot.bfloat16), ot.tensor([1, 2, 3]), 0.5)))
    x, *rest = bundle.read(path).inputs
    np.testing.assert_array_equal(x, floats(3).to(ot.bfloat16).to(ot.float32).numpy())
    assert 0.5 in [r for r in rest if isinstance(r, float)] and len(rest) == 2
    assert found_by(path) is None


# Witnesses.


@pytest.mark.parametrize("program", [through_tanh, backward_inside, normalized])
def test_right_ops_and_rules_are_not_blamed(
    program: Program, bundled: Callable[[Program], Path]
) -> None:
    given = bundle.read(bundled(program))
    lines: list[str] = []
    assert witnesses.wrong_op(given, lines.append) is None
    assert witnesses.wrong_rule(given, lines.append) is None
    assert [line.partition(":")[0] for line in lines] == ["eager kernels", "gradient rules"]


def test_a_kink_is_no_wrong_rule(bundled: Callable[[Program], Path]) -> None:
    w = leaf(3)

    def step(x: Any) -> None:
        w.grad = None
        (x * w).relu().sum().backward()

    given = bundle.read(bundled(lambda: (step, (ot.zeros(3),))))
    assert witnesses.wrong_rule(given, lambda line: None) is None
