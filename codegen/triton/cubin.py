"""Reads what a cubin says of its kernel: registers, bytes of stack, and how many parameters."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ..elf import Section, sections

_INFO = 0x70000000
"""The type of sections `.nv.info` (of all kernels) and `.nv.info.NAME` (of one)."""
_WITH_BYTES = 4
_PARAMETER = 0x17
_FRAME_BYTES = 0x11
_REGISTERS = 0x2F


@dataclass(frozen=True)
class Resources:
    """What one thread of a kernel takes, and how many pointers and numbers a launch passes.

    `local_bytes` is the stack: spilled registers, and arrays that are indexed at run time.
    """

    registers: int
    local_bytes: int
    parameters: int


def resources(cubin: bytes) -> Resources:
    """The resources of the only kernel of `cubin`. ValueError where it is no ELF object or says
    nothing of its kernel."""
    found: dict[int, list[bytes]] = {}
    for section in sections(cubin):
        if section.kind == _INFO:
            for attribute, payload in _attributes(cubin, section):
                found.setdefault(attribute, []).append(payload)
    if _REGISTERS not in found:
        raise ValueError("the cubin does not say how many registers its kernel takes")
    return Resources(
        registers=_largest(found[_REGISTERS]),
        local_bytes=_largest(found.get(_FRAME_BYTES, [])),
        parameters=len(found.get(_PARAMETER, [])),
    )


def _attributes(data: bytes, section: Section) -> Iterator[tuple[int, bytes]]:
    """(attribute, payload) of the records of one `.nv.info` section that have a payload."""
    at, end = section.offset, section.offset + section.size
    while at < end:
        form, attribute, size = struct.unpack_from("<BBH", data, at)
        at += 4
        if form == _WITH_BYTES:
            yield attribute, data[at : at + size]
            at += size


def _largest(payloads: list[bytes]) -> int:
    """The largest of numbers that each come after the number of a symbol."""
    return max((struct.unpack("<II", p)[1] for p in payloads), default=0)
