"""Reads 64-bit ELF objects: their sections, and what they need of other objects."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SYMBOL_TABLE = 2
_UNDEFINED = 0


@dataclass(frozen=True)
class Section:
    """Bytes of an object: its type, where they are, and the section that it refers to."""

    kind: int
    offset: int
    size: int
    link: int


def undefined_symbols(data: bytes) -> list[str]:
    """Names that the 64-bit little-endian ELF object `data` expects others to define."""
    found = sections(data)
    names: list[str] = []
    for table in (s for s in found if s.kind == _SYMBOL_TABLE):
        strings = found[table.link].offset
        # The first entry of a symbol table is empty by definition.
        for at in range(table.offset + 24, table.offset + table.size, 24):
            name, _, _, section = struct.unpack_from("<IBBH", data, at)
            if section == _UNDEFINED:
                start = strings + name
                names.append(data[start : data.index(b"\0", start)].decode())
    return names


def sections(data: bytes) -> list[Section]:
    """The sections of the ELF object `data`. ValueError where it is none."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF object")
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    found: list[Section] = []
    for i in range(count):
        _, kind, _, _, offset, length, link = struct.unpack_from("<IIQQQQI", data, table + i * size)
        found.append(Section(kind, offset, length, link))
    return found
