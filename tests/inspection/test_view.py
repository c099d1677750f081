"""What `ostinato view` reads, compares and packs; the page itself is in `test_view_page`."""

from __future__ import annotations

import json
import re
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

import view_cases
from ostinato.cli import main
from ostinato.compiler.dumps import tails
from ostinato.ir.errors import IRError
from ostinato.ir.graph import main_of
from ostinato.ir.listing import list_module
from ostinato.ir.text import parse_module, print_module
from ostinato.view.changes import changes
from ostinato.view.folder import read_folder
from ostinato.view.graph import graph_of
from ostinato.view.page import page_of
from ostinato.view.statistics import summary


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("dump")
    view_cases.dump(made)
    return made


def region_of(folder: Path, name: str) -> Path:
    (found,) = folder.glob(f"{name}-*")
    return found


def test_a_dump_has_a_file_for_each_pass_kernel_and_source(folder: Path) -> None:
    step, scaled = region_of(folder, "step"), region_of(folder, "scaled")
    assert [f.name for f in sorted(step.glob("*.mlir"))] == [
        "0-captured.mlir", "1-differentiated.mlir", "2-decomposed.mlir", "3-simplified.mlir",
        "4-simplified.mlir", "5-fused.mlir", "6-kernels.mlir", "7-kernels.mlir", "8-planned.mlir",
    ]  # fmt: skip
    rows = [(r["part"], r["made_by"], r["stage"]) for r in read_rows(scaled)]
    assert rows[3:7] == [
        ("joint", "simplify", "simplified"), ("forward", "split", "forward"),
        ("forward", "join_products", "forward"), ("forward", "fuse", "fused"),
    ]  # fmt: skip
    assert rows[-2:] == [
        ("backward", "batch", "backward-kernels"), ("backward", "plan_memory", "backward-planned"),
    ]  # fmt: skip
    assert (step / "sources" / "view_cases.py").read_text() == Path(view_cases.__file__).read_text()
    launched = set(re.findall(r"launch @(\w+)", (step / "8-planned.mlir").read_text()))
    assert {f.stem for f in (step / "kernels").iterdir()} == launched != set()
    for file in (step / "kernels").iterdir():
        assert f"define void @{file.stem}(" in file.read_text()
    assert any(f.name.startswith("backward-") for f in (scaled / "kernels").iterdir())


def read_rows(region: Path) -> list[dict[str, str]]:
    return json.loads((region / "steps.json").read_text())


TAILS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("/home/me/a.py", "/home/me/b.py"): ("a.py", "b.py"),
    ("/home/me/x/a.py", "/home/me/y/a.py", "/b.py"): ("x/a.py", "y/a.py", "b.py"),
    ("/a.py", "/x/a.py"): ("a.py", "x/a.py"),
    ("<stdin>", "/p/q/r.py"): ("<stdin>", "r.py"),
    (): (),
}


@pytest.mark.parametrize("paths", TAILS)
def test_files_are_named_without_the_folders_that_hold_them(paths: tuple[str, ...]) -> None:
    assert tails(paths) == dict(zip(paths, TAILS[paths], strict=True))


def test_a_listing_is_the_text_without_locations(folder: Path) -> None:
    for file in sorted(folder.glob("*/*.mlir")):
        module = parse_module(file.read_text(), file.name)
        listing = list_module(module)
        with_lines = print_module(module).splitlines()
        assert len(listing.lines) == len(with_lines)
        for short, long in zip(listing.lines, with_lines, strict=True):
            assert short == re.sub(r" loc\((?:fused\[[^]]*\]|[^()]*)\)", "", long)
        assert [place.op for place in listing.places] == list(module.walk())
        for place in listing.places:
            assert f"{place.op.name}" in listing.lines[place.first]


BEFORE = """builtin.module {
  func.func @main(%x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<2xf32> {
    %0 = ot.exp %x : (tensor<2xf32>) -> tensor<2xf32>
    %1 = ot.exp %y : (tensor<2xf32>) -> tensor<2xf32>
    %2 = ot.sub %1, %0 : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    func.return %2 : tensor<2xf32>
  }
}
"""
LINES = BEFORE.splitlines()
# Edits as (from, to), and the runs that they make.
CHANGES: dict[str, tuple[list[tuple[str, str]], list[tuple[int, int, int, int]]]] = {
    "nothing": ([], []),
    "a line came, which makes new numbers for all after it": (
        [(f"{LINES[2]}\n", f"    %9 = ot.log %x : (tensor<2xf32>) -> tensor<2xf32>\n{LINES[2]}\n")],
        [(2, 2, 2, 3)],
    ),
    "an op was replaced": ([("ot.sub", "ot.add")], [(4, 5, 4, 5)]),
    "an operand is another value, with no other difference": (
        [("ot.sub %1, %0", "ot.sub %0, %1")], [(4, 5, 4, 5)],
    ),
    "a line went": ([(f"{LINES[3]}\n", ""), ("ot.sub %1", "ot.sub %y")], [(3, 5, 3, 4)]),
    "an argument is read in place of another": ([("ot.exp %y", "ot.exp %x")], [(3, 4, 3, 4)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_changes(name: str) -> None:
    edits, expected = CHANGES[name]
    text = BEFORE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    before, after = (list_module(parse_module(each)) for each in (BEFORE, text))
    found = changes(before, after)
    assert found == expected
    assert applied(before.lines, after.lines, found) == masked(after.lines)


def applied(before: list[str], after: list[str], runs: list[Any]) -> list[str]:
    """The lines before, with the runs that differ replaced; numbers left out."""
    made: list[str] = []
    start = 0
    for a, b, c, d in runs:
        made += before[start:a] + after[c:d]
        start = b
    return masked(made + before[start:])


def masked(lines: list[str]) -> list[str]:
    return [re.sub(r"%(\w+?_)?\d+\b", r"%\1", line) for line in lines]


def test_changes_of_every_pass_lead_from_one_text_to_the_next(folder: Path) -> None:
    for region in page_data(folder)["regions"]:
        strings = page_data(folder)["strings"]
        texts = [[strings[n] for n in step["lines"]] for step in region["steps"]]
        for step, text in zip(region["steps"], texts, strict=True):
            if step["before"] is not None:
                assert applied(texts[step["before"]], text, step["changes"]) == masked(text)


def page_data(folder: Path) -> dict[str, Any]:
    text = re.search(r'<script type="application/json" id="data">\n(.*)\n', page_of(folder))
    assert text is not None
    return json.loads(text[1])


def read_by(module: ModuleOp) -> set[tuple[Operation, Operation]]:
    """Pairs of ops of the function, where one reads what the other defines."""
    block = main_of(module).body.block
    return {
        (value.owner, op)
        for op in block.ops
        for inner in op.walk()
        for value in inner.operands
        if isinstance(value.owner, Operation) and value.owner.parent is block
    }


@pytest.mark.parametrize("stage", ["0-captured", "5-fused", "7-kernels"])
def test_a_graph_has_the_edges_of_its_block_and_they_lead_down(folder: Path, stage: str) -> None:
    file = region_of(folder, "step") / f"{stage}.mlir"
    module = parse_module(file.read_text())
    graph = graph_of(main_of(module).body.block)
    ops = {(a, b) for a, b in graph.edges if isinstance(a, Operation)}
    assert ops == read_by(module)
    for maker, reader in graph.edges:
        assert graph.places[maker][0] < graph.places[reader][0]
    taken = sorted(graph.places.values())
    assert all(b[0] > a[0] or b[1] - a[1] >= 0.999 for a, b in pairwise(taken))


def test_edges_of_a_planned_program_follow_memory(folder: Path) -> None:
    """Its launches are those of the stage before, and read what the same launches wrote."""
    edges: list[set[tuple[str, str]]] = []
    for stage in ("7-kernels", "8-planned"):
        module = parse_module((region_of(folder, "step") / f"{stage}.mlir").read_text())
        graph = graph_of(main_of(module).body.block)
        steps = [op for op in main_of(module).body.block.ops if op.name in STEPS]
        number: dict[Any, str] = {
            op: f"{i} {op.properties.get('kernel')}" for i, op in enumerate(steps)
        }
        edges.append({
            (number[a], number[b]) for a, b in graph.edges if a in number and b in number
        })  # fmt: skip
    # A view stands between some launches before memory is planned.
    assert edges[0] <= edges[1] != set()


STEPS = ("program.launch", "program.call")


def test_the_data_of_a_page_has_each_op_with_its_lines(folder: Path) -> None:
    data = page_data(folder)
    (step,) = [r for r in data["regions"] if r["title"].startswith("step")]
    strings = data["strings"]
    names = [strings[op[2]] for op in step["steps"][0]["ops"]]
    assert names[:2] == ["builtin.module", "func.func"] and "ot.linear" in names
    (file,) = step["files"]
    assert file["name"] == "view_cases.py"
    source = [strings[n] for n in file["lines"]]
    for op in step["steps"][0]["ops"]:
        if strings[op[2]] == "ot.cross_entropy":
            (line,) = step["places"][op[3]]
            assert "F.cross_entropy" in source[step["lines"][line][1] - 1]
            break
    else:
        pytest.fail("no op is a cross_entropy")
    assert str(Path(view_cases.__file__).parent) not in page_of(folder)


def remove(name: str) -> Any:
    return lambda region: (region / name).unlink()


def write(name: str, content: bytes) -> Any:
    return lambda region: (region / name).write_bytes(content)


AGAIN = "; dump the region again"
DAMAGED = {
    "no stage": (remove("3-simplified.mlir"), f"view: R/3-simplified.mlir is missing{AGAIN}"),
    "no text": (
        write("0-captured.mlir", b"\xff\xfe"), f"view: R/0-captured.mlir is not text{AGAIN}",
    ),
    "no module": (
        write("0-captured.mlir", b"builtin.module {\n  oops\n"),
        "R/0-captured.mlir:3: Operation oops is not registered",
    ),
    "empty stage": (
        write("2-decomposed.mlir", b""),
        "R/2-decomposed.mlir:1: Could not parse entire input!",
    ),
    "no JSON": (write("steps.json", b"{"), f"view: R/steps.json is damaged{AGAIN}"),
    "other JSON": (
        write("steps.json", b'[{"file": 1}]'), f"view: R/steps.json is damaged{AGAIN}",
    ),
    "no steps": (write("steps.json", b"[]"), f"view: R/steps.json names no step{AGAIN}"),
    "no rewrites": (write("rewrites.json", b"[1]"), f"view: R/rewrites.json is damaged{AGAIN}"),
    "other rewrites": (
        write("rewrites.json", b'{"a": [{}]}'), f"view: R/rewrites.json is damaged{AGAIN}",
    ),
    "no kernel text": (write("kernels/x.ll", b"\xff"), f"view: R/kernels/x.ll is not text{AGAIN}"),
}  # fmt: skip


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ostinato", "view", *words])
    return main()


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_region_is_refused(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    region = tmp_path / "step"
    shutil.copytree(region_of(folder, "step"), region)
    damage, text = DAMAGED[name]
    damage(region)
    assert run(monkeypatch, str(tmp_path)) == 1
    out, err = capsys.readouterr()
    assert (out, err.replace(str(region), "R")) == ("", f"ostinato: {text}\n")
    assert not (tmp_path / "view.html").exists()


@pytest.mark.parametrize("stage", ["0-captured", "5-fused", "8-planned"])
def test_statistics_of_a_run_are_those_of_its_values(
    stage: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    region = tmp_path / "step"
    shutil.copytree(region_of(folder, "step"), region)
    file = region / f"{stage}.mlir"
    monkeypatch.setattr(
        sys, "argv", ["ostinato", "run", str(file), "--stats", "--save", str(tmp_path)]
    )
    assert main() == 0
    assert f"statistics: {region / stage}.stats.json\n" in capsys.readouterr().out
    (step,) = [s for s in page_data(tmp_path)["regions"][0]["steps"] if s["statistics"]]
    recorded = step["statistics"]
    loss = np.load(tmp_path / "0.npy")
    wanted = {"min": f"{loss:.6g}", "max": f"{loss:.6g}", "mean": f"{loss:.6g}", "nan": "0"}
    assert wanted in recorded.values()
    assert len(recorded) > 10
    file.with_suffix(".stats.json").write_text(json.dumps([{"value": 1, "name": "none"}]))
    with pytest.raises(IRError) as said:
        page_of(tmp_path)
    assert str(said.value) == (
        f"view: {region / stage}.stats.json does not fit; make it with "
        f"`ostinato run --stats {stage}.mlir`"
    )


SUMMARIES: dict[tuple[float, ...], tuple[str, ...]] = {
    (1.0, -2.0, 4.0): ("-2", "4", "1", "0"),
    (float("nan"), float("inf"), 1.0): ("1", "inf", "inf", "1"),
    (float("nan"),): ("nan", "nan", "nan", "1"),
    (): ("nan", "nan", "nan", "0"),
    (True, False): ("0", "1", "0.5", "0"),
}


@pytest.mark.parametrize("numbers", SUMMARIES)
def test_summaries(numbers: tuple[float, ...]) -> None:
    assert tuple(summary(np.array(numbers)).values()) == SUMMARIES[numbers]


def test_a_folder_without_a_dump_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "file").touch()
    said = {
        tmp_path / "no": "does not exist; give the folder that OSTINATO_DUMP named",
        tmp_path / "file": "is a file; give the folder that OSTINATO_DUMP named",
    }
    for path, text in said.items():
        assert run(monkeypatch, str(path)) == 1
        assert capsys.readouterr().err == f"ostinato: view: {path} {text}\n"
    assert run(monkeypatch, str(tmp_path)) == 1
    assert capsys.readouterr().err == (
        f"ostinato: view: there is no region in {tmp_path}; run the program with "
        f"OSTINATO_DUMP={tmp_path}, and let it call what it compiles\n"
    )


def test_the_page_is_written_and_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert run(monkeypatch, str(folder)) == 0
    page = (folder / "view.html").read_text()
    assert capsys.readouterr().out == f"{folder / 'view.html'}: {len(page.encode()) / 1e6:.1f} MB\n"
    assert run(monkeypatch, str(region_of(folder, "step")), "-o", str(tmp_path / "one.html")) == 0
    assert (tmp_path / "one.html").read_text().count('"title":') == 1
    assert [r.folder.name.partition("-")[0] for r in read_folder(folder)] == ["scaled", "step"]
    # Nothing is fetched: the only address is the namespace of what is no file.
    assert re.findall(r"""(?:src|href)=["'](?!data:)|https?://|@import|url\(""", page) == []
