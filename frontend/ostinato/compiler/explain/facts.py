"""What there is to say of a Program: read from the data that it was made of, so that one from the
cache says as much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from ...ir.dtypes import BY_NAME
from .ceilings import Ceilings, ceilings_of

Spec = dict[str, Any]


@dataclass(frozen=True)
class Kernel:
    """A kernel or an op of a library: how often it is launched, for which lines of the user, the
    bytes of all that it reads and writes, each tensor once, and its arithmetic (see `ir/work.py`;
    None where a call is taken apart into kernels).

    Where it was profiled, `seconds` are those of all its launches in a run, and `share` is the part
    of them that the device would need at its ceilings (see `ceilings`)."""

    name: str
    kind: str  # "kernel", "call" or "upload"
    launches: int
    lines: tuple[str, ...]
    bytes: int
    operations: int | None
    seconds: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Unfused:
    """`count` values that pass through memory: the op that makes each and the one that reads it,
    their lines, the bytes of one, the code of the reason and what it says."""

    count: int
    producer: str
    made_at: tuple[str, ...]
    consumer: str
    read_at: tuple[str, ...]
    bytes: int
    reason: str
    why: str


@dataclass(frozen=True)
class Memory:
    """Bytes of intermediates that an op of `line` made, of those there are at the fullest
    moment."""

    line: str
    bytes: int


@dataclass(frozen=True)
class Program:
    """The forward or the backward Program of a region. `arena` is what is reserved for
    intermediates, in bytes; `ceilings` are there where it was profiled."""

    part: str
    inputs: int
    results: int
    arena: int
    kernels: tuple[Kernel, ...]
    memory: tuple[Memory, ...]
    unfused: tuple[Unfused, ...]
    ceilings: Ceilings | None = None


def program_facts(
    part: str, spec: Spec, seconds: Sequence[float] | None = None, device: str = "cpu"
) -> Program:
    """All that is said of a Program for `device`; `seconds` are those of each step of it, where it
    was profiled."""
    ceilings = None if seconds is None else ceilings_of(device)
    return Program(
        part, len(spec["inputs"]), len(spec["outputs"]), spec["arena"],
        tuple(_kernels(spec, seconds, ceilings)), tuple(_memory(spec)), tuple(_unfused(spec)),
        ceilings,
    )  # fmt: skip


def touched(step: dict[str, Any]) -> tuple[list[int], list[int]]:
    """The tensors that an instruction reads, and those that it writes."""
    if step["kind"] == "launch":
        tensors, writes = step["tensors"], step["writes"]
        return tensors[: len(tensors) - writes], tensors[len(tensors) - writes :]
    results = [*step["results"], *step.get("scratch", ())]
    return [t for t in step["operands"] if t >= 0], [t for t in results if t >= 0]


def _kernels(
    spec: Spec, seconds: Sequence[float] | None, ceilings: Ceilings | None
) -> Iterator[Kernel]:
    """Each kernel and each op called, those that move the most first."""
    found: dict[tuple[str, str], list[int]] = {}
    for i, step in enumerate(spec["instructions"]):
        name = step.get("kernel") or step.get("op") or "upload"
        kind = "kernel" if step["kind"] == "launch" else step["kind"]
        found.setdefault((kind, name), []).append(i)
    kernels: list[Kernel] = []
    for (kind, name), numbers in found.items():
        steps = [spec["instructions"][i] for i in numbers]
        kernel = _kernel(kind, name, steps, spec)
        if seconds is not None and ceilings is not None:
            kernel = _timed(kernel, steps[0], sum(seconds[i] for i in numbers), ceilings, spec)
        kernels.append(kernel)
    yield from sorted(kernels, key=lambda k: -k.bytes)


def _timed(
    kernel: Kernel, step: dict[str, Any], seconds: float, ceilings: Ceilings, spec: Spec
) -> Kernel:
    """The same with what it took: products are held to those in their dtype, kernels to float32."""
    dtype = "float32"
    if kernel.kind == "call" and step["operands"]:
        dtype = spec["tensors"][step["operands"][0]]["dtype"]
    least = ceilings.seconds(kernel.bytes, kernel.operations or 0, dtype, kernel.kind == "call")
    return replace(kernel, seconds=seconds, share=least / seconds if seconds else None)


def _kernel(kind: str, name: str, steps: list[dict[str, Any]], spec: Spec) -> Kernel:
    lines = tuple(dict.fromkeys(line for step in steps for line in step["lines"]))
    moved = sum(_bytes(spec["tensors"][t]) for step in steps for t in _distinct(step))
    done = [_operations(step, spec) for step in steps]
    known = [n for n in done if n is not None]
    return Kernel(name, kind, len(steps), lines, moved, sum(known) if known == done else None)


def _distinct(step: dict[str, Any]) -> Sequence[int]:
    read, written = touched(step)
    return tuple(dict.fromkeys((*read, *written)))


def _bytes(tensor: dict[str, Any]) -> int:
    """The bytes of a tensor's elements, of axes that repeat one element that one."""
    pairs = zip(tensor["sizes"], tensor["strides"], strict=True)
    return prod(n if step else min(n, 1) for n, step in pairs) * BY_NAME[tensor["dtype"]].itemsize


def _operations(step: dict[str, Any], spec: Spec) -> int | None:
    if step["kind"] != "call":
        return step.get("operations", 0 if step["kind"] == "upload" else None)
    from ...ir.op import OPS, Type
    from ...ir.work import op_operations

    tensors = spec["tensors"]
    types = [
        None if t < 0 else Type(tuple(tensors[t]["sizes"]), BY_NAME[tensors[t]["dtype"]])
        for t in step["operands"]
    ]
    op = OPS[step["op"]]
    attrs = {p.name: _attribute(v) for p, v in zip(op.attrs, step["attrs"], strict=True)}
    return op_operations(op.name, op.grouped(types), attrs)


def _attribute(value: Any) -> Any:
    match value:
        case {"dtype": name}:
            return BY_NAME[name]
        case [*items]:
            return tuple(items)
        case _:
            return value


def _memory(spec: Spec) -> Iterator[Memory]:
    """The intermediates at the fullest moment by line, the largest first."""
    by_line: dict[str, int] = {}
    for line, size in _fullest(spec):
        by_line[line] = by_line.get(line, 0) + size
    for line, size in sorted(by_line.items(), key=lambda item: -item[1]):
        yield Memory(line, size)


@dataclass
class _Life:
    """Bytes of the arena that hold one value, which an op of `line` made: from when to when."""

    start: int
    end: int
    line: str
    first: int
    last: int


def _fullest(spec: Spec) -> list[tuple[str, int]]:
    """Line and bytes of all values that are there when most bytes are taken."""
    lives = _lives(spec)
    moments = range(len(spec["instructions"]))
    there = [[(x.line, x.end - x.start) for x in lives if x.first <= t <= x.last] for t in moments]
    return max([[], *there], key=lambda values: sum(size for _, size in values))


def _lives(spec: Spec) -> list[_Life]:
    """The values in the arena. One ends where another is written over it."""
    over: list[_Life] = []
    now: list[_Life] = []
    for at, step in enumerate(spec["instructions"]):
        read, written = (_extents(spec, tensors) for tensors in touched(step))
        for life in now:
            if any(life.start < end and start < life.end for start, end in read):
                life.last = at
        for start, end in written:
            past = [x for x in now if x.start < end and start < x.end]
            for life in past:
                life.last = min(life.last, at - 1)
            over += past
            now = [x for x in now if x not in past]
            now.append(_Life(start, end, (*step["lines"], "")[0], at, at))
    return over + now


def _extents(spec: Spec, numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The bytes of the arena that these tensors lie in."""
    tensors = [spec["tensors"][t] for t in numbers]
    return [_extent(t) for t in tensors if t["space"] == "arena" and 0 not in t["sizes"]]


def _extent(tensor: dict[str, Any]) -> tuple[int, int]:
    """The bytes of the arena from a tensor's first to its last element."""
    size = BY_NAME[tensor["dtype"]].itemsize
    pairs = list(zip(tensor["sizes"], tensor["strides"], strict=True))
    low = tensor["start"] + sum(min(0, (n - 1) * step) for n, step in pairs)
    high = tensor["start"] + sum(max(0, (n - 1) * step) for n, step in pairs)
    return tensor["offset"] + low * size, tensor["offset"] + (high + 1) * size


def _unfused(spec: Spec) -> Iterator[Unfused]:
    from ...passes.reasons import Reason

    for count, producer, made_at, consumer, read_at, size, code in spec["unfused"]:
        yield Unfused(count, producer, tuple(made_at), consumer, tuple(read_at), size, code,
                      Reason(code).text)  # fmt: skip
