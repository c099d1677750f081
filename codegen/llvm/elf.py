"""Reads what an ELF object needs of other objects: nothing, for a kernel that we may load."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SYMBOL_TABLE = 2
_UNDEFINED = 0


@dataclass(frozen=True)
class _Section:
    kind: int
    offset: int
    size: int
    link: int


def undefined_symbols(data: bytes) -> list[str]:
    """Names that the 64-bit little-endian ELF object `data` expects others to define."""
    sections = _sections(data)
    names: list[str] = []
    for table in (s for s in sections if s.kind == _SYMBOL_TABLE):
        strings = sections[table.link].offset
        # The first entry of a symbol table is empty by definition.
        for at in range(table.offset + 24, table.offset + table.size, 24):
            name, _, _, section = struct.unpack_from("<IBBH", data, at)
            if section == _UNDEFINED:
                start = strings + name
                names.append(data[start : data.index(b"\0", start)].decode())
    return names


def _sections(data: bytes) -> list[_Section]:
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF object")
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    sections: list[_Section] = []
    for i in range(count):
        _, kind, _, _, offset, length, link = struct.unpack_from("<IIQQQQI", data, table + i * size)
        sections.append(_Section(kind, offset, length, link))
    return sections
