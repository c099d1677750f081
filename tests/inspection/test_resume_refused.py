"""Edited dumps that are refused: what is said of each, in a program and by `ostinato run`."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ostinato as ot
import resume_cases as cases
from ostinato.cli import main
from ostinato.compiler.dumps import DUMP
from ostinato.compiler.resume.edits import REPLACE
from ostinato.ir.errors import CompileError, IRError
from resume_cases import X

SOURCE = """import ostinato as ot


def doubled(x):
    y = x * 2.0
    return y.exp() + 1.0
"""


class Program:
    """A module of the user's that is dumped, and loaded again as another text."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.file, self.dumps, self.patch = folder / "user.py", folder / "dumps", patch
        patch.setenv("OSTINATO_CACHE", str(folder / "cache"))
        self.write(SOURCE)
        patch.setenv(DUMP, str(self.dumps))
        self.call()
        patch.delenv(DUMP)
        patch.setenv(REPLACE, str(self.dumps))
        (self.region,) = self.dumps.iterdir()

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def call(self, x: Any = None) -> Any:
        """Loads the module and calls what it compiles."""
        loaded: dict[str, Any] = {}
        exec(compile(self.file.read_text(), str(self.file), "exec"), loaded)
        return ot.compile(loaded["doubled"])(ot.tensor(X) if x is None else x)

    def edit(self, name: str, change: Callable[[str], str]) -> Path:
        file = self.region / name
        text = file.read_text()
        assert change(text) != text
        file.write_text(change(text))
        return file

    def refusal(self) -> str:
        """What the program says now, with DIR and USER for its folder and its file."""
        with pytest.raises((CompileError, IRError)) as caught:
            self.call()
        return self.plain(str(caught.value))

    def plain(self, text: str) -> str:
        text = text.replace(str(self.region), "DIR/R").replace(self.region.name, "R")
        return text.replace(str(self.file), "USER").replace(str(self.dumps), "DIR")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(tmp_path, monkeypatch)


CHANGED = {
    "another number": (
        SOURCE.replace("2.0", "3.0"),
        "USER:5 was `y = x * 2.0`, now it is `y = x * 3.0`"),
    "a line before": (
        SOURCE.replace("def", "# a line\ndef"),
        "USER:5 was `y = x * 2.0`, now it is `def doubled(x):`"),
    "a comment, with nothing else traced": (
        SOURCE.replace("2.0", "2.0  # twice"),
        "USER:5 was `y = x * 2.0`, now it is `y = x * 2.0  # twice`"),
    "an indent": (
        SOURCE.replace("    return y", "    if True:\n        return y"),
        "USER:6 was `return y.exp() + 1.0`, now it is `if True:`"),
    "lines that are gone": (
        "import ostinato as ot\ndef doubled(x): return ot.exp(x)\n",
        "USER:5 was `y = x * 2.0`, now there is none"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_a_source_that_has_changed_is_refused_with_the_difference(
    name: str, program: Program, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    source, change = CHANGED[name]
    file = program.edit("5-fused.mlir", cases.constant)
    program.call()
    program.write(source)
    assert program.refusal() == (
        f"OSTINATO_REPLACE: the source has changed since DIR/R was dumped: {change}; dump the "
        "region again and repeat the edit"
    )
    for words, status in ((["run", str(file)], 1), (["run", str(file), "--stale"], 0)):
        monkeypatch.setattr(sys, "argv", ["ostinato", *words])
        assert main() == status
        out, err = capsys.readouterr()
        if status:
            assert program.plain(err) == (
                f"ostinato: run: the source has changed since DIR/R/5-fused.mlir was dumped: "
                f"{change}; dump the region again, or give --stale to run it all the same\n"
            )
        else:
            assert out.startswith("result 0: tensor<4x5xf32>\n")


def test_a_changed_line_that_ops_do_not_name_is_no_change(program: Program) -> None:
    program.edit("5-fused.mlir", cases.constant)
    made = program.call()
    program.write(SOURCE + "\n# the end\n")
    assert (program.call().numpy() == made.numpy()).all()


def test_without_edits_a_changed_source_is_compiled_as_it_is(program: Program) -> None:
    program.write(SOURCE.replace("2.0", "3.0"))
    program.call()


OLD = "tensor<4x5xf32>"
# The file, the edit, and what is said of it.
EDITED: dict[str, tuple[str, Callable[[str], str], str]] = {
    "text that is no module": (
        "0-captured.mlir", lambda t: t.replace("ot.exp", "ot.exponent"),
        "DIR/R/0-captured.mlir:6: Operation ot.exponent is not registered"),
    "a value that is not there": (
        "3-simplified.mlir", lambda t: t.replace("ot.exp %2", "ot.exp %9"),
        "DIR/R/3-simplified.mlir:6: values used but not defined: [%9]"),
    "a type that does not fit": (
        "5-fused.mlir", lambda t: t.replace("ot.exp %3", "ot.isnan %3"),
        "DIR/R/5-fused.mlir:7: stage 'fused': ot.isnan: results of type tensor<4x5xf32>, but its "
        "operands and attributes make tensor<4x5xi1>"),
    "an op of another stage": (
        "5-fused.mlir", lambda t: t.replace("ot.exp %3 :", "ot.softmax %3 {dim = 0 : i64} :"),
        "DIR/R/5-fused.mlir:7: stage 'fused': ot.softmax is a composite that nothing claims; run "
        "the pass 'decompose'"),
    "a kernel that breaks a rule": (
        "6-kernels.mlir", lambda t: t.replace(" vector", ""),
        "DIR/R/6-kernels.mlir:2: stage 'kernels': kernel.func: unroll without vector; only a "
        "vector axis is unrolled"),
    "another result": (
        "5-fused.mlir", lambda t: t.replace(OLD, "tensor<5x4xf32>"),
        "DIR/R/5-fused.mlir:2: @main is (tensor<5x4xf32>) -> tensor<5x4xf32>; the region needs "
        "(tensor<4x5xf32>) -> tensor<4x5xf32>, so keep its arguments and results"),
    "attributes that are gone": (
        "5-fused.mlir", lambda t: t.replace('"attention", ', ""),
        "DIR/R/5-fused.mlir:2: the attribute ot.claims of @main is not that of the region; keep "
        "it"),
    "a load beyond a tensor": (
        "6-kernels.mlir", lambda t: t.replace("(d0) -> (d0)", "(d0) -> (d0 + 1)", 1),
        "DIR/R/6-kernels.mlir:5: mul_exp_add_0 loads elements 1 to 20 of a buffer that has 20"),
    "a loop that is too long": (
        "8-planned.mlir", lambda t: t.replace("%i to 20", "%i to 24"),
        "DIR/R/8-planned.mlir:5: mul_exp_add_0 loads elements 0 to 23 of a buffer that has 20"),
    "a kernel that is not there": (
        "8-planned.mlir", lambda t: t.replace("launch @mul_exp_add_0", "launch @mul"),
        "DIR/R/8-planned.mlir:15: no kernel is called mul"),
    "elements of another type": (
        "7-kernels.mlir", lambda t: t.replace("f32>", "f64>").replace(": f32", ": f64").replace(
            "tensor<4x5xf64>", "tensor<4x5xf32>"),
        "DIR/R/7-kernels.mlir:13: buffer 0 of mul_exp_add_0 has elements of float64; float32 "
        "comes"),
    "memory beyond the arena": (
        "8-planned.mlir", lambda t: t.replace("program.output 0", "program.arena 0"),
        "DIR/R/8-planned.mlir:14: bytes 0 to 80 of memory that has 0"),
    "a plan for another stage": (
        "7-kernels.mlir", lambda t: t.replace("attributes {", "attributes {program.arena_bytes = "
        "0 : i64, "),
        "DIR/R/7-kernels.mlir:1: stage 'kernels': program.arena_bytes is for stage 'planned'"),
    "generated source": (
        "kernels/mul_exp_add_0.ll", lambda t: t + "\n",
        "OSTINATO_REPLACE: DIR/R/kernels/mul_exp_add_0.ll was edited, which nothing reads; edit a "
        "step"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITED)
def test_an_edit_that_cannot_stand_there_is_refused_with_its_line(
    name: str, program: Program
) -> None:
    file, change, message = EDITED[name]
    program.edit(file, change)
    assert program.refusal().partition("\n  in: ")[0] == message


def test_two_steps_of_one_part_are_refused(program: Program) -> None:
    program.edit("3-simplified.mlir", cases.constant)
    program.edit("5-fused.mlir", cases.constant)
    assert program.refusal() == (
        "OSTINATO_REPLACE: 3-simplified.mlir and 5-fused.mlir in DIR/R were both edited, and one "
        "would undo the other; dump the region again and edit one step"
    )


def test_two_edited_dumps_of_one_region_are_refused(program: Program) -> None:
    program.edit("5-fused.mlir", cases.constant)
    shutil.copytree(program.region, program.dumps / "z")
    assert program.refusal() == (
        "OSTINATO_REPLACE: R and z are dumps of one region, and both were edited; remove one of "
        "them"
    )


def test_a_folder_without_a_region_is_refused(program: Program, tmp_path: Path) -> None:
    program.patch.setenv(REPLACE, str(tmp_path / "cache"))
    assert program.refusal().replace(str(tmp_path), "TMP") == (
        "OSTINATO_REPLACE: there is no region in TMP/cache; run the program with OSTINATO_DUMP="
        "TMP/cache and edit what that leaves"
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"function": 1, "trace": 2, "lines": [3]}'])
def test_a_damaged_index_is_refused(text: str, program: Program) -> None:
    (program.region / "region.json").write_text(text)
    assert program.refusal() == (
        "DIR/R/region.json is damaged; dump the region again with OSTINATO_DUMP"
    )


def test_steps_of_another_version_are_refused(program: Program) -> None:
    index = program.region / "region.json"
    told = json.loads(index.read_text())
    told["files"]["5-joined.mlir"] = told["files"].pop("5-fused.mlir")
    index.write_text(json.dumps(told))
    program.edit("5-fused.mlir", cases.constant).rename(program.region / "5-joined.mlir")
    assert program.refusal() == (
        "R/5-joined.mlir: no such steps are made; another version of ostinato dumped them, so dump "
        "the region again"
    )


def test_a_region_that_was_not_dumped_is_told_with_the_difference(program: Program) -> None:
    program.edit("5-fused.mlir", cases.constant)
    with pytest.warns(UserWarning) as said:
        program.call(ot.ones(2, 3))
    (message,) = (program.plain(str(w.message)) for w in said)
    assert message == (
        "OSTINATO_REPLACE: a region of doubled is compiled as it is, since it is none of those "
        "that were dumped: where line 2 of DIR/R/0-captured.mlir has `func.func @main(%x: "
        'tensor<4x5xf32> {ot.name = "x"}) -> tensor<4x5xf32> {`, it has '
        '`func.func @main(%x: tensor<2x3xf32> {ot.name = "x"}) -> tensor<2x3xf32> {`'
    )


def test_padding_is_planned_for_the_ops_before_it_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(DUMP, str(tmp_path / "dumps"))
    padded: Any = ot.compile(cases.scaled, dims={"x": {1: ot.Bucket(8)}})
    padded(ot.tensor(X))
    monkeypatch.delenv(DUMP)
    (file,) = (tmp_path / "dumps").glob("*/2-decomposed.mlir")
    file.write_text(cases.constant(file.read_text()))
    monkeypatch.setenv(REPLACE, str(tmp_path / "dumps"))
    with pytest.raises(CompileError) as caught:
        ot.compile(cases.scaled, dims={"x": {1: ot.Bucket(8)}})(ot.tensor(X))
    assert str(caught.value) == (
        f"OSTINATO_REPLACE: {file} was edited, but padding is masked as it was planned for the ops "
        "there; edit 3-masked.mlir or a later step"
    )
