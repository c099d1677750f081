"""An explanation as lines and tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .show import Block, Line, Table

if TYPE_CHECKING:
    from .ceilings import Ceilings
    from .facts import Kernel, Program
    from .report import Explanation, Followed, Region


def blocks(explanation: Explanation) -> list[Block]:
    """What is shown, from top to bottom."""
    made: list[Block] = []
    for region in explanation.variants:
        made += _region(region, 0)
    for followed in explanation.followed:
        made += _followed(followed)
    return made or [Line("not captured yet: call the function first")]


def _followed(followed: Followed) -> Iterator[Block]:
    yield Line(f"followed, {followed.calls} calls: {followed.why}")
    if followed.limit is not None:
        yield Line(f"runs eagerly, since {followed.limit} regions were not enough", 2)
    for b in followed.breaks:
        cost = f"{b.count} times, {b.milliseconds:.3f} ms each"
        yield Line(f"break at {b.line}: {b.why}; {cost}", 2)
    for region in followed.regions:
        yield from _region(region, 2)


def _region(region: Region, indent: int) -> Iterator[Block]:
    named = f"{region.name} for {region.sizes}" if region.sizes else region.name
    yield Line(f"{named}: {region.calls} calls", indent)
    took = ", ".join(f"{name} {s * 1e3:.0f} ms" for name, s in region.seconds.items())
    made = "loaded from the cache" if region.from_cache else "compiled"
    yield Line(f"{made}: {took}", indent + 2)
    if region.edited:
        edited = ", ".join(region.edited)
        yield Line(f"edited: {edited} in the place of what was made", indent + 2)
    for program in region.programs:
        title = "" if len(region.programs) == 1 else f"{program.part}: "
        yield from _program(program, title, indent + 2)


def _program(program: Program, title: str, indent: int) -> Iterator[Block]:
    launches = sum(k.launches for k in program.kernels if k.kind == "kernel")
    calls = sum(k.launches for k in program.kernels if k.kind == "call")
    kernels = sum(k.kind == "kernel" for k in program.kernels)
    yield Line(
        f"{title}{launches} launches of {kernels} kernels, {calls} library calls; "
        f"inputs {program.inputs}, results {program.results}, "
        f"intermediates {program.arena / 2**20:.2f} MiB", indent,
    )  # fmt: skip
    if program.kernels:
        yield _kernels(program, indent)
    if program.ceilings is not None:
        yield _ceilings(program.ceilings, indent)
    if program.memory:
        yield _memory(program, indent)
    if program.unfused:
        yield _unfused(program, indent)
        for code, why in {u.reason: u.why for u in program.unfused}.items():
            yield Line(f"{code}: {why}", indent + 2)


def _kernels(program: Program, indent: int) -> Table:
    is_profiled = program.ceilings is not None
    rows = [
        (k.name, k.kind, k.launches, k.bytes / 2**10, _millions(k.operations),
         *(_rates(k) if is_profiled else ()), short(k.lines))
        for k in program.kernels
    ]  # fmt: skip
    rates = ("us", "GB/s", "GFLOP/s", "% of ceiling") if is_profiled else ()
    columns = (
        "kernel or call", "kind", "launches", "KiB moved", "million operations", *rates, "lines"
    )  # fmt: skip
    return Table("kernels and calls, by bytes moved", columns, tuple(rows), indent)


def _rates(kernel: Kernel) -> tuple[float | str, ...]:
    """What a profile says of it."""
    if not kernel.seconds:
        return "", "", "", ""
    share = "" if kernel.share is None else 100 * kernel.share
    arithmetic = "" if kernel.operations is None else kernel.operations / kernel.seconds / 1e9
    return kernel.seconds * 1e6, kernel.bytes / kernel.seconds / 1e9, arithmetic, share


def _ceilings(ceilings: Ceilings, indent: int) -> Line:
    rates = (f"{name} {rate / 1e9:.0f}" for name, rate in ceilings.arithmetic.items())
    return Line(
        f"measured on {ceilings.device}: a copy {ceilings.bandwidth / 1e9:.1f} GB/s, products "
        f"{', '.join(rates)} GFLOP/s", indent + 2,
    )  # fmt: skip


def _millions(operations: int | None) -> float | str:
    return "" if operations is None else operations / 1e6


def _memory(program: Program, indent: int) -> Table:
    rows = [(m.line, m.bytes / 2**10) for m in program.memory]
    return Table("intermediates at the fullest moment", ("line", "KiB"), tuple(rows), indent)


def _unfused(program: Program, indent: int) -> Table:
    rows = [
        (u.count, f"{u.producer} at {short(u.made_at)}", f"{u.consumer} at {short(u.read_at)}",
         u.bytes / 2**10, u.reason)
        for u in program.unfused
    ]  # fmt: skip
    columns = ("values", "made by", "read by", "KiB each", "reason")
    return Table("through memory, not fused", columns, tuple(rows), indent)


def short(lines: tuple[str, ...]) -> str:
    """`train.py:12, 14`: each file once, without its folder."""
    by_file: dict[str, list[str]] = {}
    for line in lines:
        file, _, number = line.rpartition(":")
        by_file.setdefault(file.rpartition("/")[2], []).append(number)
    return "; ".join(f"{file}:{', '.join(numbers)}" for file, numbers in by_file.items())
