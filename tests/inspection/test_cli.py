"""The command line: what it prints, what it refuses, and its exit status."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import ostinato as ot
from ostinato.cli import main
from ostinato.nn import functional as F
from ostinato.passes.pipeline import PASSES

MODULE = """builtin.module {
  func.func @main(%x: tensor<2x2xf32> loc("a.py":1:0), %n: !ot.number<f64> loc("a.py":1:0)) \
-> tensor<2x2xf32> {
    %0 = ot.mul %x, %n : (tensor<2x2xf32>, !ot.number<f64>) -> tensor<2x2xf32> loc("a.py":2:0)
    %1 = ot.relu %0 : (tensor<2x2xf32>) -> tensor<2x2xf32> loc("a.py":3:0)
    func.return %1 : tensor<2x2xf32> loc("a.py":4:0)
  } loc("a.py":1:0)
} loc("a.py":1:0)
"""


class Console:
    """Runs the command line in this process."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path
    ) -> None:
        self.monkeypatch, self.capsys, self.file = monkeypatch, capsys, file
        file.write_text(MODULE)

    def __call__(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        """Exit status, stdout and stderr; FILE stands for a file with the module."""
        arguments = ["ostinato", *(str(self.file) if w == "FILE" else w for w in words)]
        self.monkeypatch.setattr(sys, "argv", arguments)
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        status = main()
        out, err = self.capsys.readouterr()
        return status, out, err


@pytest.fixture
def console(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Console:
    return Console(monkeypatch, capsys, tmp_path / "m.mlir")


def test_opt_without_passes_prints_the_same_text(console: Console) -> None:
    assert console("opt", "FILE") == (0, MODULE, "")
    assert console("opt", "-", stdin=MODULE) == (0, MODULE, "")


def stepped() -> str:
    """A module whose passes have many applications: several fusions, and a call."""
    x = ot.from_numpy(np.arange(12, dtype="float32").reshape(4, 3) % 5)
    fn = ot.compile(lambda x: F.relu(F.softmax(x @ x.t(), dim=-1).sum(0) * 2) + x.sum(1))
    fn(x)
    return fn.ir("captured")


def test_run_runs_what_opt_leaves_wherever_it_stops(console: Console) -> None:
    text = stepped()
    wanted = numbers(console("run", "-", stdin=text))
    refused = 0
    for name in PASSES:
        _, after, told = console("opt", "-", f"--passes={name}", "--trail", stdin=text)
        for count in range(told.count("\n") + 1 if told.strip() else 1):
            stop = ("--passes=" + name, "--stop-after", str(count))
            _, module, _ = console("opt", "-", *stop, stdin=text)
            found = numbers(console("run", "-", stdin=module))
            np.testing.assert_allclose(found, wanted, rtol=1e-5)
            status, _, error = console("run", "-", "--device", "cpu", stdin=module)
            if status:
                assert name == "lower" and error.endswith(HALF_LOWERED), error
                assert console("opt", "-", stdin=module)[::2] == (1, error)
                refused += 1
        text = after
    assert refused > 0


OUT_OF_TURN = {
    "lower": ("captured", "differentiated", "fused"),
    "batch": ("fused", "fused", "kernels"),
    "plan_memory": ("captured", "differentiated", "kernels"),
    "batch ": ("planned", "planned", "kernels"),
    "plan_memory ": ("planned", "planned", "kernels"),
}


@pytest.mark.parametrize("name", OUT_OF_TURN)
def test_a_pass_out_of_its_turn_says_what_it_takes(name: str, console: Console) -> None:
    given, found, needed = OUT_OF_TURN[name]
    x = ot.ones(4, 3)
    fn = ot.compile(lambda x: F.softmax(x * 2, dim=-1).tanh())
    fn(x)
    status, _, error = console("opt", "-", f"--passes={name}", stdin=fn.ir(given))
    text = f"pass '{name.strip()}' takes a module at stage '{needed}'; this one is at '{found}'. "
    assert status == 1
    assert text in error


HALF_LOWERED = (
    "the pass 'lower' was stopped in the middle of it; `ostinato run` without --device runs that, "
    "but no pass goes on from there\n"
)


def numbers(ran: tuple[int, str, str]) -> list[float]:
    """What `ostinato run` printed of results."""
    status, told, error = ran
    assert status == 0, error
    return [float(n) for line in told.splitlines() if not line.startswith("result")
            for n in re.findall(r"[-\d.e+]+", line)]  # fmt: skip


def test_opt_runs_passes_writes_a_file_and_tells_times(console: Console, tmp_path: Path) -> None:
    out = tmp_path / "out.mlir"
    status, printed, err = console(
        "opt", "FILE", "--passes=decompose, simplify", "--timing", "--output", str(out)
    )
    assert (status, printed) == (0, "")
    assert re.fullmatch(r"decompose +\d+\.\d{4} s\nsimplify +\d+\.\d{4} s\n", err)
    assert "ot.relu" in out.read_text() and "ot.claims" in out.read_text()


def test_opt_lists_passes(console: Console) -> None:
    status, printed, err = console("opt", "--list")
    assert (status, err) == (0, "")
    assert [x.partition(":")[0] for x in re.findall(r"^\w+: to stage", printed, re.M)] == [*PASSES]
    assert "    Expands each `ot.gradient`, in order" in printed


def test_opt_tells_what_it_applied_and_stops(console: Console) -> None:
    status, printed, err = console("opt", "FILE", "--passes=fuse,lower", "--trail")
    assert status == 0 and "program.launch" in printed
    lines = [line.split() for line in err.splitlines()]
    assert [x[:3] for x in lines] == [["1", "fuse", "merge"], ["2", "fuse", "form"],
                                      ["3", "lower", "pointwise"]]  # fmt: skip
    assert lines[0][-2:] == ["ot.relu", "a.py:3"]
    stopped = console("opt", "FILE", "--passes=fuse,lower", "--stop-after", "2")
    assert stopped == (0, console("opt", "FILE", "--passes=fuse")[1], "")
    assert console("opt", "FILE", "--passes=fuse,lower", "--stop-after", "0") == (0, MODULE, "")


def test_run_takes_arrays_and_numbers_and_saves_results(console: Console, tmp_path: Path) -> None:
    x = np.array([[1, -2], [3, 4]], "float32")
    np.save(tmp_path / "x.npy", x)
    status, out, err = console(
        "run", "FILE", "--input", f"0={tmp_path / 'x.npy'}", "--input", "1=2",
        "--save", str(tmp_path / "results"),
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert out == "result 0: tensor<2x2xf32>\n[[2. 0.]\n [6. 8.]]\n"
    np.testing.assert_array_equal(np.load(tmp_path / "results" / "0.npy"), np.maximum(2 * x, 0))


def test_run_draws_what_is_not_given_by_the_seed(console: Console) -> None:
    first, again, other = (console("run", "FILE", "--seed", s)[1] for s in ("1", "1", "2"))
    assert first == again != other


REFUSED = [
    (("opt", "FILE", "--passes=simplify,inline"), 1,
     "ostinato: no pass is called 'inline'; there are autodiff, decompose, simplify, "
     "join_products, fuse, lower, batch, plan_memory\n"),
    (("run", "FILE", "--input", "2=1"), 2,
     "Error: Invalid value: there is no argument 2; the module has 2\n"),
    (("run", "FILE", "--input", "x"), 2,
     "Error: Invalid value: 'x' is not INDEX=VALUE, as in 0=x.npy or 1=0.5\n"),
    (("run", "FILE", "--input", "0=many"), 2,
     "Error: Invalid value: 'many' is neither a number nor a .npy file\n"),
    (("run", "nowhere.mlir"), 1,
     "ostinato: [Errno 2] No such file or directory: 'nowhere.mlir'\n"),
    (("run", "FILE", "--input", "0=nowhere.npy"), 2,
     "'nowhere.npy' cannot be read as an array: [Errno 2] No such file or directory: "
     "'nowhere.npy'\n"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "status", "message"), REFUSED)
def test_refusals(console: Console, words: tuple[str, ...], status: int, message: str) -> None:
    found, out, err = console(*words)
    assert (found, out) == (status, "")
    assert err.endswith(message)


def test_files_that_are_none_are_named(console: Console, tmp_path: Path) -> None:
    array, noise = tmp_path / "x.npy", tmp_path / "noise.npy"
    np.save(array, np.ones((2, 7)))
    noise.write_bytes(b"\xff\x00")
    _, _, error = console("run", "FILE", "--input", f"0={array}")
    assert error.endswith("argument 0 has shape (2, 2), and (2, 7) came\n")
    _, _, error = console("run", "FILE", "--input", f"0={noise}")
    assert f"'{noise}' cannot be read as an array: " in error
    assert console("run", str(noise))[::2] == (
        1, f"ostinato: {noise} is not text; give a module as `opt` prints it\n",
    )  # fmt: skip


def test_malformed_text_names_file_and_line(console: Console) -> None:
    status, _, err = console("opt", "-", stdin=MODULE.replace("ot.relu", "ot.rely"))
    assert (status, err) == (1, "ostinato: stdin:4: Operation ot.rely is not registered\n")


def test_a_module_that_breaks_the_rules_is_told_with_its_op(console: Console) -> None:
    wrong = MODULE.replace("ot.relu %0", "ot.isnan %0")
    status, _, err = console("run", "-", stdin=wrong)
    assert status == 1
    assert err.startswith(
        "ostinato: stdin:4: stage 'captured': ot.isnan: results of type tensor<2x2xf32>, but its "
        "operands and attributes make tensor<2x2xi1>\n  in: "
    )


def test_help_names_both_commands(console: Console) -> None:
    status, out, _ = console("--help")
    assert status == 0 and "opt " in out and "run " in out
