"""Edited dumps under the tools that look at what runs: watched values, NaN, profiles and bundles
are those of the edit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato.compiler.bisect import bundle
from ostinato.compiler.bisect.search import find
from ostinato.compiler.dumps import DUMP
from ostinato.compiler.resume.edits import REPLACE
from ostinato.passes import algebra
from ostinato.view.page import page_of as view_page

X = np.array([1.0, 2.0, 5.0], np.float32)
STEPS = ("0-captured", "2-decomposed", "5-fused", "7-kernels", "8-planned")
PULLED_STEPS = ("0-captured", "3-simplified", "5-forward", "6-fused", "9-planned")


def noted(x: Any) -> Any:
    """Statistics, a number, and an op that makes NaN of what is less than -20."""
    y = x * 2.0
    ot.watch(y, "y")
    ot.watch(y.sum(), "total", every=2)
    return (y + 20.0).log()


def pulled(x: Any, w: Any) -> Any:
    """The same with a gradient that is taken outside."""
    return (x * w * 2.0 + 20.0).log().sum()


LINE_OF_LOG = f"{__file__}:{noted.__code__.co_firstlineno + 5}"
LINE_OF_PULLED = f"{__file__}:{pulled.__code__.co_firstlineno + 2}"


def weight() -> Any:
    return ot.ones(3, requires_grad=True)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, dict[str, str]]]:
    """Each file of the dumps of both functions, by name and by path below the folder; made by the
    test that is first to ask."""
    folder = tmp_path_factory.mktemp("dumps")

    @cache
    def make() -> dict[str, dict[str, str]]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(DUMP, str(folder))
            patch.delenv(REPLACE, raising=False)
            ot.compile(noted)(ot.tensor(X))
            ot.compile(pulled)(ot.tensor(X), weight())
        made = {str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*") if f.is_file()}
        return {n: {k: t for k, t in made.items() if k.startswith(n)} for n in ("noted", "pulled")}

    return make


Edit = Callable[[str, str, str], str]


@pytest.fixture
def edit(texts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Puts another number in the place of 2.0 in a step of a function; the file's name, with its
    folder."""
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(REPLACE, str(tmp_path / "edited"))

    def make(function: str, step: str, number: str) -> str:
        named = ""
        original = texts()[function]
        for name, text in original.items():
            file = tmp_path / "edited" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.stem == step:
                named, text = name, text.replace("2.000000e+00", number)
                assert text != original[name]
            file.write_text(text)
        return named

    yield make


@pytest.mark.parametrize("step", STEPS)
def test_watched_values_are_those_of_the_edit(step: str, edit: Edit) -> None:
    edit("noted", step, "3.000000e+00")
    fn = ot.compile(noted)
    for _ in range(3):
        np.testing.assert_allclose(fn(ot.tensor(X)).numpy(), np.log(X * 3 + 20), rtol=1e-6)
    found = fn.watched()
    assert [v.mean for v in found["y"].values] == pytest.approx([8.0] * 3)
    assert [(r.step, r.value) for r in found["total"].records] == [(0, 24.0), (2, 24.0)]


@pytest.mark.parametrize("step", STEPS)
def test_an_edit_that_makes_nan_is_named(step: str, edit: Edit) -> None:
    file = edit("noted", step, "-3.000000e+01")
    fn = ot.compile(noted)
    assert np.isnan(fn(ot.tensor(X)).numpy()).all()
    with ot.detect_anomaly(), pytest.raises(ot.GradientError) as caught:
        fn(ot.tensor(X))
    text = str(caught.value)
    assert text.startswith("detect_anomaly: ")
    assert text.endswith(f" makes NaN of operands that have none, in {file}, which was edited")
    assert LINE_OF_LOG in text


@pytest.mark.parametrize("step", STEPS)
def test_an_edit_that_makes_none_is_what_runs(step: str, edit: Edit) -> None:
    edit("noted", step, "3.000000e+00")
    fn = ot.compile(noted)
    for _ in range(2):
        with ot.detect_anomaly():
            found = fn(ot.tensor(X))
        np.testing.assert_allclose(found.numpy(), np.log(X * 3 + 20), rtol=1e-6)


@pytest.mark.parametrize("step", PULLED_STEPS)
def test_of_a_region_with_a_backward_program_too(step: str, edit: Edit) -> None:
    file = edit("pulled", step, "-3.000000e+01")
    fn = ot.compile(pulled)
    with ot.detect_anomaly(), pytest.raises(ot.GradientError) as caught:
        fn(ot.tensor(X), weight())
    text = str(caught.value)
    assert text.endswith(f" makes NaN of operands that have none, in {file}, which was edited")
    assert LINE_OF_PULLED in text


def test_a_backward_that_was_edited_runs_where_nan_is_looked_for(edit: Edit) -> None:
    edit("pulled", "12-backward-fused", "4.000000e+00")
    fn, w = ot.compile(pulled), weight()
    with ot.detect_anomaly():
        fn(ot.tensor(X), w).backward()
    np.testing.assert_allclose(w.grad.numpy(), 4 * X / (4 * X + 20), rtol=1e-5)


@pytest.mark.parametrize("step", STEPS[2:])
def test_a_profile_and_kernels_are_of_the_edit(step: str, edit: Edit) -> None:
    edit("noted", step, "3.000000e+00")
    fn = ot.compile(noted)
    fn(ot.tensor(X))
    with ot.profile() as found:
        fn(ot.tensor(X))
    assert {s.name for s in found.steps} == {k.name for k in fn.kernels()}
    assert any("3.0" in k.source or "0x4008" in k.source for k in fn.kernels())
    assert "3.000000e+00" in fn.ir(step.partition("-")[2])


def of_bundle(folder: Path) -> tuple[bundle.Bundle, Any]:
    """The one bundle in a folder, and what is wrong with it."""
    (path,) = bundle.bundles_in(folder)
    found = bundle.read(path)
    return found, find(found, lambda line: None)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_a_bundle_is_of_what_ran(
    step: str, edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("noted", step, "3.000000e+00")
    monkeypatch.setenv(bundle.VARIABLE, str(tmp_path / "bundles"))
    ot.compile(noted)(ot.tensor(X))
    made, wrong = of_bundle(tmp_path / "bundles")
    assert "3.000000e+00" in made.module
    assert "2.000000e+00" not in made.module
    assert wrong is None


def test_a_wrong_rewrite_of_what_was_edited_is_found(
    edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(x: Any) -> Any:
        return algebra.log(x), algebra.mul(x, x)

    wrong = algebra.Pair("planted", planted, exact=True, holds=lambda dtype: True)
    monkeypatch.setattr(algebra, "PAIRS", [wrong, *algebra.PAIRS])
    algebra.pairs_for.cache_clear()
    try:
        edit("noted", "2-decomposed", "3.000000e+00")
        monkeypatch.setenv(bundle.VARIABLE, str(tmp_path / "bundles"))
        ot.compile(noted)(ot.tensor(X))
        _, found = of_bundle(tmp_path / "bundles")
    finally:
        algebra.pairs_for.cache_clear()
    assert (found.place, found.rewrite) == ("simplify", "planted")
    assert LINE_OF_LOG in found.lines


LATE = {"noted": "8-planned", "pulled": "5-forward"}


@pytest.mark.parametrize("function", LATE)
def test_a_bundle_of_a_part_is_refused(
    function: str, edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(function, LATE[function], "3.000000e+00")
    monkeypatch.setenv(bundle.VARIABLE, str(tmp_path / "bundles"))
    with pytest.warns(
        UserWarning,
        match=rf"the bundle of {function} is not written: {LATE[function]}\.mlir was edited, and "
        "passes after it do not see the whole region; edit an earlier step",
    ):
        if function == "noted":
            ot.compile(noted)(ot.tensor(X))
        else:
            ot.compile(pulled)(ot.tensor(X), weight())


def test_a_variant_for_any_sizes_is_dumped_and_edited_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(DUMP, str(tmp_path / "dump"))
    sizes = [3, 5, 8]
    run = ot.compile(scaled)
    for n in sizes:
        run(ot.arange(float(n)))
    assert any("size" in line for line in str(run.ledger).splitlines())
    monkeypatch.delenv(DUMP)
    folders = list((tmp_path / "dump").iterdir())
    assert len(folders) == 2, "the first size, and the one that a variant for any was made for"
    (of_five,) = (f for f in folders if "tensor<5x" in (f / "0-captured.mlir").read_text())
    assert view_page(tmp_path / "dump").startswith("<!DOCTYPE html>")
    for step in ("0-captured", "5-fused", "8-planned"):
        file = of_five / f"{step}.mlir"
        text = file.read_text()
        file.write_text(text.replace("2.000000e+00", "3.000000e+00"))
        monkeypatch.setenv(REPLACE, str(tmp_path / "dump"))
        run = ot.compile(scaled)
        with pytest.warns(UserWarning, match="it is none of those that were dumped"):
            found = [run(ot.arange(float(n))).numpy() for n in (*sizes, 5)]
        wanted = [np.exp(np.arange(n) * (3 if n == 5 else 2) * 0.1) for n in (*sizes, 5)]
        for ours, right in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, right, rtol=1e-6)
        monkeypatch.delenv(REPLACE)
        file.write_text(text)


def scaled(x: Any) -> Any:
    return (x * 2.0 * 0.1).exp()
