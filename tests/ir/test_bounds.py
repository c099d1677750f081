"""Programs stay in their memory: those of random regions do, and edited ones are told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from xdsl.dialects.builtin import ModuleOp

from fusion_cases import random_region
from ostinato.ir.bounds import check_bounds
from ostinato.ir.errors import IRError
from ostinato.ir.text import parse_placed
from ostinato.passes.pipeline import run_passes


@pytest.mark.parametrize("seed", range(12))
def test_programs_of_random_regions_stay_in_their_memory(seed: int) -> None:
    checked: list[str] = []

    def check(stage: str, module: ModuleOp) -> None:
        if stage in ("kernels", "planned"):
            check_bounds(module, lambda op: f"{op}: ")
            checked.append(stage)

    run_passes(random_region(seed).module, after=check)
    assert checked == ["kernels", "kernels", "planned"]


PRODUCT = """builtin.module {
  func.func @main(%x: tensor<4x5xf32>, %w: tensor<5x3xf32>) -> tensor<4x3xf32> \
attributes {program.arena_bytes = 64 : i64} {
    %0 = program.input %x : tensor<4x5xf32> -> memref<4x5xf32>
    %1 = program.input %w : tensor<5x3xf32> -> memref<3x5xf32, strided<[1, 3]>>
    %2 = program.arena 0 : memref<4x3xf32>
    %3 = program.input %w : tensor<5x3xf32> -> memref<5x3xf32>
    program.call matmul(%0, %3) {} into (%2) : (memref<4x5xf32>, memref<5x3xf32>, memref<4x3xf32>) \
-> ()
    %4 = program.output 0 : memref<4x3xf32>
    program.call clone(%2) {} into (%4) : (memref<4x3xf32>, memref<4x3xf32>) -> ()
    %5 = program.result %4 : memref<4x3xf32> -> tensor<4x3xf32>
    func.return %5 : tensor<4x3xf32>
  }
}
"""
WRONG: dict[str, tuple[Callable[[str], str], str]] = {
    "operands": (
        lambda t: t.replace("matmul(%0, %3)", "matmul(%3, %0)").replace(
            "(memref<4x5xf32>, memref<5x3xf32>,", "(memref<5x3xf32>, memref<4x5xf32>,"),
        "t:7: matmul: shapes (5, 3) and (4, 5) do not multiply; the last size of the first must "
        "equal the second to last (or only) size of the second"),
    "result": (
        lambda t: t.replace("memref<4x3xf32>", "memref<3x4xf32>"),
        "t:7: result 0 of matmul is float32[4, 3]; float32[3, 4] is there"),
    "arena": (
        lambda t: t.replace("program.arena 0", "program.arena 32"),
        "t:5: bytes 32 to 80 of memory that has 64"),
    "input": (
        lambda t: t.replace("strided<[1, 3]>", "strided<[1, 4]>"),
        "t:4: bytes 0 to 76 of memory that has 60"),
    "output": (
        lambda t: t.replace("program.output 0", "program.output 2"), "t:8: there is no result 2"),
}  # fmt: skip


def test_a_right_program_is_not_refused() -> None:
    check_bounds(*parse_placed(PRODUCT, "t"))


@pytest.mark.parametrize("name", WRONG)
def test_what_leaves_memory_is_refused_with_its_line(name: str) -> None:
    change, message = WRONG[name]
    with pytest.raises(IRError) as caught:
        check_bounds(*parse_placed(change(PRODUCT), "t"))
    assert str(caught.value) == message
