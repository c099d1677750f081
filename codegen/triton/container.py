"""Several cubins in one piece, with what launching them must know.

A line that names the format, a line with the SHA-256 of all that follows, a line with the size of
the header, the header in JSON, the cubins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ...ir.errors import CompileError
from .build import BuiltKernel

FORMAT = "cubin"
_MAGIC = b"ostinato-cubins-1\n"


def pack(built: Sequence[BuiltKernel], target: str) -> bytes:
    """The container of `built`. CompileError where two kernels have one name."""
    names = [b.kernel.name for b in built]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise CompileError(f"triton: two kernels are named {repeated}; give each its own name")
    records: list[dict[str, Any]] = []
    at = 0
    for b in built:
        records.append(b.record | {"offset": at, "size": len(b.cubin)})
        at += len(b.cubin)
    header = json.dumps({"target": target, "kernels": records}).encode()
    body = b"%d\n" % len(header) + header + b"".join(b.cubin for b in built)
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def records(data: bytes) -> list[dict[str, Any]]:
    """The records of the kernels in a container, each with the `offset` of its cubin in `data` and
    its `size`. CompileError where `data` is none or is damaged."""
    digest, _, body = data.removeprefix(_MAGIC).partition(b"\n")
    if not data.startswith(_MAGIC) or hashlib.sha256(body).hexdigest().encode() != digest:
        raise CompileError("triton: these cubins are damaged; build them again")
    size, _, rest = body.partition(b"\n")
    start = len(data) - len(rest) + int(size)
    found: list[dict[str, Any]] = json.loads(rest[: int(size)])["kernels"]
    return [r | {"offset": start + r["offset"]} for r in found]
