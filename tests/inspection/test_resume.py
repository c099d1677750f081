"""Edited dumps: from each step on they give what NumPy predicts, in programs and by themselves."""

from __future__ import annotations

import re
import shutil
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ostinato as ot
import resume_cases as cases
from ostinato.cli import main
from ostinato.compiler.dumps import DUMP
from ostinato.compiler.resume.edits import REPLACE
from ostinato.ir.errors import CheckWarning
from resume_cases import EDITS, X, softmax

STEPS = (
    "0-captured", "1-differentiated", "2-decomposed", "3-simplified", "4-simplified", "5-fused",
    "6-kernels", "7-kernels", "8-planned",
)  # fmt: skip
Array = Any


@pytest.fixture(scope="module")
def dumped(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """The dumps of all programs, made by the test that is first to ask; tests edit copies."""
    folder = tmp_path_factory.mktemp("dumps")

    def make() -> Path:
        if any(folder.iterdir()):
            return folder
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(DUMP, str(folder))
            patch.delenv(REPLACE, raising=False)
            for fn in (cases.scaled, cases.chain, cases.with_break):
                ot.compile(fn)(ot.tensor(X))
            backward_of(cases.trained)
            cases_step()
        return folder

    return make


@pytest.fixture
def edit(
    dumped: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str, Callable[[str], str]], Path]:
    """Edits a step of the region of a function, in a folder that programs then read; its file."""
    folder = tmp_path / "edited"
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "cache"))

    def make(function: str, step: str, change: Callable[[str], str]) -> Path:
        if not folder.exists():
            shutil.copytree(dumped(), folder)
        texts = {f: f.read_text() for f in dumped().glob(f"{function}-*/{step}.mlir")}
        (original,) = (f for f, text in texts.items() if change(text) != text)
        file = folder / original.relative_to(dumped())
        file.write_text(change(texts[original]))
        monkeypatch.setenv(REPLACE, str(folder))
        return file

    return make


def given(fn: Callable[..., Any], *args: Array, **options: Any) -> tuple[Array, Any]:
    """What the compiled function gives for arrays, and the function."""
    compiled = ot.compile(fn, **options)
    return compiled(*map(ot.tensor, args)).numpy(), compiled


def backward_of(fn: Callable[..., Any]) -> tuple[Array, Array]:
    """A result and the gradient of a weight, taken outside of the region."""
    w = ot.tensor(np.full((5, 3), 0.25, np.float32), requires_grad=True)
    loss = ot.compile(fn)(ot.tensor(X), w)
    loss.backward()
    return loss.detach().numpy(), w.grad.numpy()


def cases_step() -> tuple[Array, Array]:
    """The loss of a training step, and the weight after it."""
    step, w = cases.stepping()
    loss = ot.compile(step)(ot.tensor(X), ot.tensor(Y))
    return loss.numpy(), w.detach().numpy()


Y = np.ones((4, 3), np.float32)


def run_alone(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str
) -> list[Array]:
    """The results of `ostinato run` on one argument, X."""
    np.save(tmp_path / "x.npy", X)
    saved = tmp_path / "results"
    arguments = ["run", str(file), "--input", f"0={tmp_path / 'x.npy'}", "--save", str(saved)]
    monkeypatch.setattr(sys, "argv", ["ostinato", *arguments, *words])
    assert main() == 0
    return [np.load(f) for f in sorted(saved.iterdir())]


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("step", STEPS)
def test_an_edit_of_a_step_gives_what_numpy_predicts(
    step: str, name: str, edit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, predicted = EDITS[name]
    wanted, unedited = predicted(X), softmax(X * 2) + 1
    assert not np.allclose(wanted, unedited)
    file = edit("scaled", step, change)
    made, compiled = given(cases.scaled, X)
    np.testing.assert_allclose(made, wanted, rtol=1e-6)
    (region,) = compiled.explain().variants
    assert region.edited == (f"{file.parent.name}/{step}.mlir",)
    for words in ((), ("--device", "cpu")):
        (alone,) = run_alone(file, tmp_path, monkeypatch, *words)
        np.testing.assert_allclose(alone, wanted, rtol=1e-6)


@pytest.mark.parametrize("step", STEPS[5:])
def test_a_fusion_split_by_hand_is_two_kernels(
    step: str, edit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = step.partition("-")[2]
    file = edit("chain", step, lambda text: cases.split_by_hand(text, stage))
    made, compiled = given(cases.chain, X)
    np.testing.assert_allclose(made, np.exp(X * 2) + 1, rtol=1e-6)
    (program,) = compiled.explain().variants[0].programs
    assert sum(k.launches for k in program.kernels) == 2
    assert program.unfused == ()
    for words in ((), ("--device", "cpu")):
        (alone,) = run_alone(file, tmp_path, monkeypatch, *words)
        np.testing.assert_allclose(alone, made, rtol=1e-6)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_in_its_own_place_changes_nothing_after_it(step: str, edit: Any) -> None:
    """A comment makes it an edit; all later steps have the same bytes."""
    file = edit("scaled", step, lambda text: f"// as it was\n{text}")
    made, compiled = given(cases.scaled, X)
    np.testing.assert_allclose(made, softmax(X * 2) + 1, rtol=1e-6)
    assert compiled.explain().variants[0].edited
    texts = {f.stem.partition("-")[2]: f.read_text() for f in sorted(file.parent.glob("*.mlir"))}
    for stage, text in texts.items():
        assert compiled.ir(stage) == text.removeprefix("// as it was\n")


def test_what_was_edited_has_an_entry_of_its_own_in_the_cache(
    edit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"2": softmax(X * 2) + 1, "3": softmax(X * 3) + 1, "4": softmax(X * 4) + 1}
    made, compiled = given(cases.scaled, X)
    np.testing.assert_allclose(made, wanted["2"], rtol=1e-6)
    for number, from_cache in (("3", False), ("3", True), ("4", False), ("3", True)):
        edit("scaled", "5-fused", partial(cases.constant, new=f"{number}.000000e+00"))
        made, compiled = given(cases.scaled, X)
        np.testing.assert_allclose(made, wanted[number], rtol=1e-6)
        (region,) = compiled.explain().variants
        assert region.edited and region.from_cache == from_cache
    monkeypatch.delenv(REPLACE)
    made, compiled = given(cases.scaled, X)
    np.testing.assert_allclose(made, wanted["2"], rtol=1e-6)
    assert compiled.explain().variants[0].from_cache


def trained_by(forward: float, backward: float) -> tuple[Array, Array]:
    """`trained` with other numbers in its forward and backward Program."""
    w = np.full((5, 3), 0.25, np.float32)
    hidden = np.tanh(X @ w * forward)
    return hidden.sum(), X.T @ ((1 - hidden * hidden) * backward)


TRAINED = {
    "0-captured": (2.5, 2.5), "3-simplified": (2.5, 2.5), "4-forward": (2.5, 1.5),
    "6-fused": (2.5, 1.5), "9-planned": (2.5, 1.5), "10-backward-simplified": (1.5, 2.5),
    "12-backward-fused": (1.5, 2.5), "15-backward-planned": (1.5, 2.5),
}  # fmt: skip


@pytest.mark.parametrize("step", TRAINED)
def test_forward_and_backward_are_edited_apart(step: str, edit: Any) -> None:
    edit("trained", step, lambda t: cases.constant(t, "1.5000", "2.5000"))
    wanted = trained_by(*TRAINED[step])
    for found, right in zip(backward_of(cases.trained), wanted, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5)


def test_forward_and_backward_may_both_be_edited(edit: Any) -> None:
    edit("trained", "6-fused", lambda t: cases.constant(t, "1.5000", "2.5000"))
    edit("trained", "14-backward-kernels", lambda t: cases.constant(t, "1.5000", "0.5000"))
    for found, wanted in zip(backward_of(cases.trained), trained_by(2.5, 0.5), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("step", ["0-captured", "3-simplified", "5-fused", "8-planned"])
def test_a_whole_training_step_is_edited(step: str, edit: Any) -> None:
    edit("step", step, lambda t: cases.constant(t, "1.500000e+00", "2.500000e+00"))
    loss, weight = cases_step()
    w = np.ones((5, 3), np.float32) / 4
    apart = X @ w * 2.5 - Y
    np.testing.assert_allclose(loss, (apart**2).mean(), rtol=1e-5)
    gradient = X.T @ (2 * apart / apart.size) * 2.5
    np.testing.assert_allclose(weight, w - 0.25 * gradient, rtol=1e-5)


def test_a_region_between_breaks_is_edited(edit: Any) -> None:
    edit("with_break", "5-fused", lambda t: t.replace("3.000000e+00", "7.000000e+00"))
    compiled = ot.compile(cases.with_break)
    for _ in range(3):
        found = compiled(ot.tensor(X)).numpy()
        np.testing.assert_allclose(found, X * 2 * 7 + 1, rtol=1e-6)
    (followed,) = compiled.explain().followed
    assert sorted(len(region.edited) for region in followed.regions) == [0, 1]
    assert re.search(r"\n  edited: with_break-[0-9a-f]{8}/5-fused.mlir\n", str(compiled.ledger))


def test_replays_and_trusted_functions_run_what_was_edited(edit: Any) -> None:
    edit("scaled", "6-kernels", cases.constant)
    compiled = ot.compile(cases.scaled, verify="trust")
    for _ in range(3):
        np.testing.assert_allclose(compiled(ot.tensor(X)).numpy(), softmax(X * 3) + 1, rtol=1e-6)


def test_explain_and_ledger_say_what_was_edited(edit: Any) -> None:
    file = edit("scaled", "5-fused", cases.constant)
    _, compiled = given(cases.scaled, X)
    named = f"{file.parent.name}/5-fused.mlir"
    assert f"\n  edited: {named} in the place of what was made\n" in str(compiled.explain())
    assert f"\n  edited: {named}\n" in str(compiled.ledger)


@pytest.mark.parametrize(("step", "made"), [("0-captured", "capture"), ("5-fused", "fuse")])
def test_a_check_blames_the_edit(step: str, made: str, edit: Any) -> None:
    edit("scaled", step, cases.constant)
    with pytest.warns(CheckWarning, match=f"pass '{made}, edited' made it wrong in ot\\.mul"):
        found, _ = given(cases.scaled, X, check="first")
    np.testing.assert_allclose(found, softmax(X * 2) + 1, rtol=1e-6)


def test_an_edited_region_can_be_dumped(
    edit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("scaled", "5-fused", cases.constant)
    monkeypatch.setenv(DUMP, str(tmp_path / "again"))
    given(cases.scaled, X)
    (folder,) = (tmp_path / "again").iterdir()
    numbers = ["2.0", "2.0", "2.0", "2.0", "2.0", "3.0", "3.0", "3.0", "3.0"]
    texts = [(folder / f"{step}.mlir").read_text() for step in STEPS]
    assert [re.findall(r"constant ([23]\.0)", text) for text in texts] == [[n] for n in numbers]


def test_another_size_is_no_part_of_an_edit(edit: Any) -> None:
    edit("scaled", "5-fused", cases.constant)
    compiled = ot.compile(cases.scaled)
    wide = np.concatenate([X, X], axis=1)
    with pytest.warns(UserWarning, match="is compiled as it is, since it is none of those"):
        assert np.allclose(compiled(ot.tensor(wide)).numpy(), softmax(wide * 2) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.allclose(compiled(ot.tensor(X)).numpy(), softmax(X * 3) + 1)


def test_a_bucket_is_edited_after_its_padding_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "cache"))
    dims = {"x": {1: ot.Bucket(8)}}
    monkeypatch.setenv(DUMP, str(tmp_path / "dumps"))
    given(cases.scaled, X, dims=dims)
    monkeypatch.delenv(DUMP)
    (file,) = (tmp_path / "dumps").glob("*/3-masked.mlir")
    monkeypatch.setenv(REPLACE, str(tmp_path / "dumps"))
    file.write_text(cases.constant(file.read_text()))
    found, _ = given(cases.scaled, X, dims=dims)
    np.testing.assert_allclose(found, softmax(X * 3) + 1, rtol=1e-6)
