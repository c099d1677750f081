"""Why a value passes through memory: what fusion answers where two ops are in different kernels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from xdsl.ir import Operation, SSAValue

from ..ir.dialects.ot import TableOp
from ..ir.locations import told_lines
from .fusion.types import count, dtype_of, shape_of


class Reason(StrEnum):
    """Why a producer and a consumer are in different kernels; `text` says it in words."""

    text: str

    def __new__(cls, code: str, text: str) -> Reason:
        """A reason whose value is `code`."""
        made = str.__new__(cls, code)
        made._value_, made.text = code, text
        return made

    CALL = "call", "one of them is a call of a native kernel"
    DEPTH = "depth", "the consumer waits for a call that the producer does not need"
    ACCESS = "access", "the consumer reads other elements than those it computes"
    DOMAIN = "domain", "their loops differ"
    UNFINISHED = "unfinished", "the reduction is complete only after all iterations"
    CYCLE = "cycle", "something between them would have to run inside of the kernel"
    LIMIT = "limit", "the kernel would take too many buffers"
    BATCH = "batch", "an elementwise composite, which is batched with others of its kind"
    PINNED = "pinned", "`with ot.nofuse()`, or statistics of `ot.watch`, which not every call makes"
    FEW = "few", "rows would wait for each other in a kernel that a small part of the machine runs"
    STORED = "stored", "the value is read from memory: cheaper than computing it again"
    STOPPED = "stopped", "the passes were told to end before"


@dataclass(frozen=True)
class ThroughMemory:
    """A value that passes through memory: the op that makes it, the one that reads it, the source
    lines of both, its size in bytes, and why."""

    producer: str
    made_at: tuple[str, ...]
    consumer: str
    read_at: tuple[str, ...]
    bytes: int
    reason: Reason


def through_memory(value: SSAValue, consumer: Operation, reason: Reason) -> ThroughMemory:
    """What there is to say of `value`, which `consumer` reads from memory."""
    producer = value.owner
    assert isinstance(producer, Operation)
    size = count(shape_of(value)) * dtype_of(value).itemsize
    return ThroughMemory(
        table_name(producer), told_lines(producer.location),
        table_name(consumer), told_lines(consumer.location), size, reason,
    )  # fmt: skip


def as_rows(found: Iterable[ThroughMemory]) -> list[list[Any]]:
    """The same as lists of what JSON has, each different one once, with how often it is there."""
    counted: dict[ThroughMemory, int] = {}
    for each in found:
        counted[each] = counted.get(each, 0) + 1
    return [
        [n, u.producer, list(u.made_at), u.consumer, list(u.read_at), u.bytes, u.reason.value]
        for u, n in counted.items()
    ]  # fmt: skip


def table_name(op: Operation) -> str:
    """What the table calls an op."""
    return op.SCHEMA.name if isinstance(op, TableOp) else op.name
